#include "window.hpp"

#include <algorithm>
#include <cmath>

#include "failure.hpp"

namespace s2m {

namespace {

constexpr double kLeastWeight = 1e-3;
constexpr std::size_t kLargestStrip = std::size_t{1} << 30;  // bytes of sums

// Black pixels before a picture that is shorter than the window; the others, if one is over, come after it.
std::size_t padding(std::size_t length, std::size_t side) { return length < side ? (side - length) / 2 : 0; }

// Sums of weighted probabilities, outputs x height x width, and of weights, height x width.
class Strip {
 public:
  Strip(std::size_t outputs, std::size_t height, std::size_t width)
      : outputs_(outputs), height_(height), width_(width), sums_(outputs * height * width), counted_(height * width) {}

  void add(const std::vector<float>& found, const std::vector<double>& weights, std::size_t left, std::size_t columns) {
    for (std::size_t row = 0; row < height_; ++row) {
      const double* weight = weights.data() + row * columns;
      for (std::size_t output = 0; output < outputs_; ++output) {
        double* sum = sums_.data() + (output * height_ + row) * width_ + left;
        const float* value = found.data() + (output * height_ + row) * columns;
        for (std::size_t column = 0; column < columns; ++column) sum[column] += weight[column] * value[column];
      }
      double* count = counted_.data() + row * width_ + left;
      for (std::size_t column = 0; column < columns; ++column) count[column] += weight[column];
    }
  }

  // Means outputs x rows x columns of the rows and columns from (top, left) on.
  std::vector<float> means(std::size_t top, std::size_t rows, std::size_t left, std::size_t columns) const {
    std::vector<float> result;
    result.reserve(outputs_ * rows * columns);
    for (std::size_t output = 0; output < outputs_; ++output)
      for (std::size_t row = top; row < top + rows; ++row)
        for (std::size_t column = left; column < left + columns; ++column)
          result.push_back(static_cast<float>(sums_[(output * height_ + row) * width_ + column] /
                                              counted_[row * width_ + column]));
    return result;
  }

  // Let the first rows go.
  void advance(std::size_t rows) {
    for (std::size_t output = 0; output < outputs_; ++output) shift(sums_.data() + output * height_ * width_, rows);
    shift(counted_.data(), rows);
  }

 private:
  void shift(double* plane, std::size_t rows) const {
    double* end = std::copy(plane + rows * width_, plane + height_ * width_, plane);
    std::fill(end, plane + height_ * width_, 0.0);
  }

  std::size_t outputs_, height_, width_;
  std::vector<double> sums_, counted_;
};

}  // namespace

std::vector<std::size_t> window_positions(std::size_t length, std::size_t side, double overlap) {
  if (length <= side) return {0};
  const auto step = static_cast<std::size_t>(std::max(1.0, std::floor(static_cast<double>(side) * (1.0 - overlap))));
  const std::size_t count = (length - side + step - 1) / step + 1;
  std::vector<std::size_t> positions;
  for (std::size_t index = 0; index < count; ++index) positions.push_back(std::min(index * step, length - side));
  return positions;
}

std::vector<double> window_weights(std::size_t height, std::size_t width, double sigma) {
  const auto along = [sigma](std::size_t side) {
    std::vector<double> weights(side);
    const double length = static_cast<double>(side), deviation = sigma * length;
    for (std::size_t at = 0; at < side; ++at) {
      const double distance = static_cast<double>(at) - (length - 1.0) / 2.0;
      weights[at] = std::exp(-(distance * distance) / (2.0 * (deviation * deviation)));
    }
    return weights;
  };
  const std::vector<double> rows = along(height), columns = along(width);
  std::vector<double> weights;
  weights.reserve(height * width);
  for (const double row : rows)
    for (const double column : columns) weights.push_back(std::max(row * column, kLeastWeight));
  return weights;
}

Picture window_of(const Picture& picture, std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
  Picture window{width, height, std::vector<std::uint8_t>(width * height * 3)};
  const std::size_t above = padding(picture.height, height), before = padding(picture.width, width);
  const std::size_t rows = std::min(height, picture.height), columns = std::min(width, picture.width);
  for (std::size_t row = 0; row < rows; ++row)
    std::copy_n(picture.rgb.data() + ((top + row) * picture.width + left) * 3, columns * 3,
                window.rgb.data() + ((above + row) * width + before) * 3);
  return window;
}

void slide(const Picture& picture, const Preprocessing& preprocessing, std::size_t outputs,
           const std::function<std::vector<float>(const Picture& window)>& predict, const Progress& progress,
           const Band& band) {
  const Window& window = preprocessing.window.value();
  const std::size_t height = preprocessing.height, width = preprocessing.width;
  const std::vector<std::size_t> rows = window_positions(picture.height, height, window.overlap);
  const std::vector<std::size_t> columns = window_positions(picture.width, width, window.overlap);
  const std::vector<double> weights = window_weights(height, width, window.sigma);
  const std::size_t padded_width = std::max(picture.width, width), total = rows.size() * columns.size();
  if (outputs * height * padded_width > kLargestStrip / sizeof(double))
    throw ImageFailure("a picture " + std::to_string(picture.width) + " pixels wide takes too much memory in windows",
                       "Cut it into parts.");
  Strip strip(outputs, height, padded_width);
  for (std::size_t index = 0; index < rows.size(); ++index) {
    for (std::size_t number = 0; number < columns.size(); ++number) {
      progress(index * columns.size() + number, total);
      strip.add(predict(window_of(picture, rows[index], columns[number], height, width)), weights, columns[number], width);
    }
    // Rows that no later window reaches are done.
    const std::size_t ready = index + 1 == rows.size() ? height : rows[index + 1] - rows[index];
    const std::size_t shown = std::min(ready, picture.height);
    band(rows[index], shown,
         strip.means(padding(picture.height, height), shown, padding(picture.width, width), picture.width));
    strip.advance(ready);
  }
  progress(total, total);
}

}  // namespace s2m
