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

// rows x columns to rows x width.
std::vector<float> resample_columns(const float* plane, std::size_t rows, std::size_t columns, const Resampling& axis) {
  std::vector<float> narrowed(rows * axis.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const float* source = plane + row * columns;
    float* target = narrowed.data() + row * axis.size();
    for (std::size_t index = 0; index < axis.size(); ++index) {
      const float* weights = axis.weights(index);
      const float* values = source + axis.first(index);
      float sum = 0;
      for (std::size_t at = 0; at < axis.count(index); ++at) sum += weights[at] * values[at];
      target[index] = sum;
    }
  }
  return narrowed;
}

// Row `index` of the result, of width `width`, from rows already of that width.
void resample_row(const float* narrowed, std::size_t width, const Resampling& axis, std::size_t index, float* target) {
  std::fill(target, target + width, 0.0f);
  for (std::size_t at = 0; at < axis.count(index); ++at) {
    const float weight = axis.weights(index)[at];
    const float* source = narrowed + (axis.first(index) + at) * width;
    for (std::size_t column = 0; column < width; ++column) target[column] += weight * source[column];
  }
}

}  // namespace

std::vector<float> resample(const std::vector<float>& plane, std::size_t rows, std::size_t columns, std::size_t height,
                            std::size_t width) {
  if (rows == height && columns == width) return plane;
  const Resampling across(columns, width), down(rows, height);
  const std::vector<float> narrowed = resample_columns(plane.data(), rows, columns, across);
  std::vector<float> result(height * width);
  for (std::size_t row = 0; row < height; ++row)
    resample_row(narrowed.data(), width, down, row, result.data() + row * width);
  return result;
}

std::vector<std::uint8_t> fit_to_network(const Picture& picture, const Preprocessing& preprocessing) {
  const std::size_t height = preprocessing.height, width = preprocessing.width, channels = preprocessing.channels;
  const std::size_t pixels = picture.width * picture.height;
  std::vector<std::uint8_t> fitted(height * width * channels);
  std::vector<float> plane(pixels);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::uint8_t* rgb = picture.rgb.data();
    for (std::size_t at = 0; at < pixels; ++at, rgb += 3)
      plane[at] = channels == 3 ? static_cast<float>(rgb[channel])
                                : 0.299f * static_cast<float>(rgb[0]) + 0.587f * static_cast<float>(rgb[1]) +
                                      0.114f * static_cast<float>(rgb[2]);
    const std::vector<float> stretched = resample(plane, picture.height, picture.width, height, width);
    for (std::size_t at = 0; at < height * width; ++at)
      fitted[at * channels + channel] =
          static_cast<std::uint8_t>(std::floor(std::min(std::max(stretched[at], 0.0f), 255.0f) + 0.5f));
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
  std::vector<std::vector<float>> narrowed;
  for (std::size_t output = 0; output < outputs; ++output)
    narrowed.push_back(resample_columns(probabilities.data() + output * rows * columns, rows, columns, across));
  std::vector<std::uint8_t> labels;
  labels.reserve(height * width);
  std::vector<float> row(outputs * width);
  for (std::size_t y = 0; y < height; ++y) {  // row by row: a large picture's probabilities would not fit a small board
    for (std::size_t output = 0; output < outputs; ++output)
      resample_row(narrowed[output].data(), width, down, y, row.data() + output * width);
    const std::vector<std::uint8_t> decided = decide(row, outputs, threshold);
    labels.insert(labels.end(), decided.begin(), decided.end());
  }
  return labels;
}

}  // namespace s2m
