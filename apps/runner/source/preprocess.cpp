#include "preprocess.hpp"

#include <algorithm>
#include <cmath>

namespace s2m {

Resampling::Resampling(std::size_t length, std::size_t new_length) {
  const double scale = static_cast<double>(length) / static_cast<double>(new_length);
  const double radius = std::max(1.0, scale);
  std::vector<double> row;
  starts_.push_back(0);
  for (std::size_t index = 0; index < new_length; ++index) {
    const double centre = (static_cast<double>(index) + 0.5) * scale - 0.5;
    const auto begin = static_cast<std::size_t>(std::max(0.0, std::floor(centre - radius)));
    const auto end = std::min(length, static_cast<std::size_t>(std::max(0.0, std::ceil(centre + radius))) + 1);
    std::size_t first = end;
    double sum = 0;
    row.clear();
    for (std::size_t at = begin; at < end; ++at) {
      const double weight = 1.0 - std::abs(static_cast<double>(at) - centre) / radius;
      if (weight <= 0) continue;
      first = std::min(first, at);
      row.push_back(weight);
      sum += weight;
    }
    first_.push_back(first);
    for (const double weight : row) weights_.push_back(static_cast<float>(weight / sum));
    starts_.push_back(weights_.size());
  }
}

namespace {

// Sums are of doubles, rounded once at the end: in float32 they would depend on their order, which no two languages and
// no two processors share, and a pixel half-way between two levels would be one here and the other there.

// One row of axis.length() values to axis.size() values.
template <typename Value>
void resample_line(const Value* source, const Resampling& axis, double* target) {
  for (std::size_t index = 0; index < axis.size(); ++index) {
    const float* weights = axis.weights(index);
    const Value* values = source + axis.first(index);
    double sum = 0;
    for (std::size_t at = 0; at < axis.count(index); ++at)
      sum += static_cast<double>(weights[at]) * static_cast<double>(values[at]);
    target[index] = sum;
  }
}

// rows x columns to rows x width.
std::vector<double> resample_columns(const float* plane, std::size_t rows, std::size_t columns, const Resampling& axis) {
  std::vector<double> narrowed(rows * axis.size());
  for (std::size_t row = 0; row < rows; ++row)
    resample_line(plane + row * columns, axis, narrowed.data() + row * axis.size());
  return narrowed;
}

// Row `index` of the result, of width `width`, from rows already of that width.
void resample_row(const double* narrowed, std::size_t width, const Resampling& axis, std::size_t index, double* sums,
                  float* target) {
  std::fill(sums, sums + width, 0.0);
  for (std::size_t at = 0; at < axis.count(index); ++at) {
    const double weight = axis.weights(index)[at];
    const double* source = narrowed + (axis.first(index) + at) * width;
    for (std::size_t column = 0; column < width; ++column) sums[column] += weight * source[column];
  }
  for (std::size_t column = 0; column < width; ++column) target[column] = static_cast<float>(sums[column]);
}

// Luma in doubles is exact: no product has more than 32 bits.
double level(const std::uint8_t* rgb, std::size_t channel, std::size_t channels) {
  if (channels == 3) return rgb[channel];
  return static_cast<double>(0.299f) * rgb[0] + static_cast<double>(0.587f) * rgb[1] +
         static_cast<double>(0.114f) * rgb[2];
}

}  // namespace

std::vector<float> resample(const std::vector<float>& plane, std::size_t rows, std::size_t columns, std::size_t height,
                            std::size_t width) {
  if (rows == height && columns == width) return plane;
  const Resampling across(columns, width), down(rows, height);
  const std::vector<double> narrowed = resample_columns(plane.data(), rows, columns, across);
  std::vector<float> result(height * width);
  std::vector<double> sums(width);
  for (std::size_t row = 0; row < height; ++row)
    resample_row(narrowed.data(), width, down, row, sums.data(), result.data() + row * width);
  return result;
}

std::vector<std::uint8_t> fit_to_network(const Picture& picture, const Preprocessing& preprocessing) {
  const std::size_t height = preprocessing.height, width = preprocessing.width, channels = preprocessing.channels;
  const Resampling across(picture.width, width), down(picture.height, height);  // weights of 1 where a length stays
  std::vector<std::uint8_t> fitted(height * width * channels);
  std::vector<double> line(picture.width), narrowed(picture.height * width), sums(width);
  std::vector<float> values(width);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::uint8_t* rgb = picture.rgb.data();
    for (std::size_t row = 0; row < picture.height; ++row) {  // a whole plane of doubles would not fit a small board
      for (std::size_t column = 0; column < picture.width; ++column, rgb += 3) line[column] = level(rgb, channel, channels);
      resample_line(line.data(), across, narrowed.data() + row * width);
    }
    for (std::size_t row = 0; row < height; ++row) {
      resample_row(narrowed.data(), width, down, row, sums.data(), values.data());
      for (std::size_t column = 0; column < width; ++column) {
        const double value = std::min(std::max(values[column], 0.0f), 255.0f);
        fitted[(row * width + column) * channels + channel] = static_cast<std::uint8_t>(std::floor(value + 0.5));
      }
    }
  }
  return fitted;
}

std::vector<float> normalise(const std::vector<std::uint8_t>& fitted, const Preprocessing& preprocessing) {
  const std::size_t channels = preprocessing.channels, pixels = preprocessing.height * preprocessing.width;
  std::vector<float> planes(channels * pixels);
  for (std::size_t channel = 0; channel < channels; ++channel)
    for (std::size_t at = 0; at < pixels; ++at)
      planes[channel * pixels + at] =
          (static_cast<float>(fitted[at * channels + channel]) * preprocessing.scale - preprocessing.mean[channel]) /
          preprocessing.deviation[channel];
  return planes;
}

std::vector<std::uint8_t> decide(const std::vector<float>& probabilities, std::size_t outputs, float threshold) {
  const std::size_t pixels = probabilities.size() / outputs;
  std::vector<std::uint8_t> labels(pixels);
  for (std::size_t at = 0; at < pixels; ++at) {
    if (outputs == 1) {
      labels[at] = probabilities[at] >= threshold;
      continue;
    }
    std::size_t best = 0;
    for (std::size_t output = 1; output < outputs; ++output)
      if (probabilities[output * pixels + at] > probabilities[best * pixels + at]) best = output;
    labels[at] = static_cast<std::uint8_t>(best);
  }
  return labels;
}

std::vector<std::uint8_t> mask_in_original_size(const std::vector<float>& probabilities, std::size_t outputs,
                                                const Preprocessing& preprocessing, std::size_t height,
                                                std::size_t width, float threshold) {
  const std::size_t rows = preprocessing.height, columns = preprocessing.width;
  if (height == rows && width == columns) return decide(probabilities, outputs, threshold);
  const Resampling across(columns, width), down(rows, height);
  std::vector<std::vector<double>> narrowed;
  for (std::size_t output = 0; output < outputs; ++output)
    narrowed.push_back(resample_columns(probabilities.data() + output * rows * columns, rows, columns, across));
  std::vector<std::uint8_t> labels;
  labels.reserve(height * width);
  std::vector<float> row(outputs * width);
  std::vector<double> sums(width);
  for (std::size_t y = 0; y < height; ++y) {  // row by row: a large picture's probabilities would not fit a small board
    for (std::size_t output = 0; output < outputs; ++output)
      resample_row(narrowed[output].data(), width, down, y, sums.data(), row.data() + output * width);
    const std::vector<std::uint8_t> decided = decide(row, outputs, threshold);
    labels.insert(labels.end(), decided.begin(), decided.end());
  }
  return labels;
}

}  // namespace s2m
