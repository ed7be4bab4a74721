#include "guard.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "json.hpp"
#include "safetensors.hpp"
#include "text.hpp"

namespace s2m {

namespace {

constexpr const char kFormat[] = "s2m-edge-guard", kFormatVersion[] = "1", kDescriptor[] = "thumbnail-cosine-1";
constexpr std::size_t kSide = 64, kPixels = kSide * kSide, kCells = 4, kEdge = kSide / kCells;
constexpr std::size_t kBands = 6;  // the n-th holds frequencies from 2^n below 2^(n + 1)
constexpr double kFaintest = 1e-6, kEnd = 0.1, kDarkestContrast = 0.05, kDarkestColour = 0.1;
constexpr double kPi = 3.14159265358979323846;

using Plane = std::vector<double>;  // kSide x kSide

std::size_t descriptor_length(std::size_t channels) {
  const std::size_t rest = kBands + 3;  // contrast; deviation, black, white
  return channels == 3 ? 3 * (kCells * kCells + kBands) + rest + 4 : kCells * kCells + kBands + rest;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

template <class Function>
Plane mapped(const Plane& plane, const Function& function) {
  Plane result(plane.size());
  std::transform(plane.begin(), plane.end(), result.begin(), function);
  return result;
}

// The orthonormal cosine transform, frequency x position.
const Plane& cosines() {
  static const Plane matrix = [] {
    const auto side = static_cast<double>(kSide);
    Plane made(kPixels, std::sqrt(1.0 / side));
    for (std::size_t frequency = 1; frequency < kSide; ++frequency)
      for (std::size_t position = 0; position < kSide; ++position)
        made[frequency * kSide + position] =
            std::sqrt(2.0 / side) *
            std::cos(kPi * (static_cast<double>(position) + 0.5) * static_cast<double>(frequency) / side);
    return made;
  }();
  return matrix;
}

// Means of the cells, row by row.
void add_cell_means(const Plane& plane, std::vector<double>& descriptor) {
  std::array<double, kCells * kCells> sums{};
  for (std::size_t row = 0; row < kSide; ++row)
    for (std::size_t column = 0; column < kSide; ++column)
      sums[row / kEdge * kCells + column / kEdge] += plane[row * kSide + column];
  for (const double sum : sums) descriptor.push_back(sum / static_cast<double>(kEdge * kEdge));
}

// The decimal logarithm of what each band adds to the plane's variance, coarse to fine.
void add_band_energies(const Plane& plane, std::vector<double>& descriptor) {
  const Plane& matrix = cosines();
  Plane half(kPixels);  // frequency of the rows x column
  for (std::size_t v = 0; v < kSide; ++v)
    for (std::size_t row = 0; row < kSide; ++row)
      for (std::size_t column = 0; column < kSide; ++column)
        half[v * kSide + column] += matrix[v * kSide + row] * plane[row * kSide + column];
  std::array<double, kBands> sums{};
  for (std::size_t v = 0; v < kSide; ++v)
    for (std::size_t u = 0; u < kSide; ++u) {
      const std::size_t frequency = std::max(u, v);
      if (frequency == 0) continue;
      double coefficient = 0;
      for (std::size_t column = 0; column < kSide; ++column)
        coefficient += half[v * kSide + column] * matrix[u * kSide + column];
      std::size_t band = 0;
      while (frequency >> (band + 1)) ++band;
      sums[band] += coefficient * coefficient / static_cast<double>(kPixels);
    }
  for (const double sum : sums) descriptor.push_back(std::log10(sum + kFaintest));
}

std::vector<float> numbers(const Safetensors& file, const std::string& name, const std::vector<std::size_t>& shape,
                           bool positive) {
  const StoredTensor& tensor = file.require(name);
  if (tensor.type != "F32" || tensor.shape != shape) throw std::runtime_error(name + " is of another size or type");
  std::vector<float> values = float_values(tensor);
  for (const float value : values) {
    if (!std::isfinite(value)) throw std::runtime_error(name + " is not finite");
    if (positive && !(value > 0)) throw std::runtime_error(name + " is not positive");
  }
  return values;
}

double threshold_of(const std::string& stated) {
  double threshold = 0;
  try {
    threshold = Json::parse(stated).number();
  } catch (const std::runtime_error&) {  // also a number beyond double; zero says the same below
  }
  if (!(threshold > 0)) throw std::runtime_error("the threshold is '" + shown(stated) + "'");
  return threshold;
}

}  // namespace

std::string GuardVerdict::warning() const {
  if (!unusual()) return "";
  char text[200];
  std::snprintf(text, sizeof text,
                "looks unlike the pictures this network was trained on (score %.1f, usual up to %.1f); the mask may mean "
                "nothing",
                score, threshold);
  return text;
}

Guard read_guard(Bytes bytes, std::size_t channels) {
  const Safetensors file(std::move(bytes));
  if (!file.has_metadata("format") || file.metadata("format") != kFormat) throw std::runtime_error("it is no guard");
  if (file.metadata("format_version") != kFormatVersion || file.metadata("descriptor") != kDescriptor)
    throw std::runtime_error("it is of version '" + shown(file.metadata("format_version")) + "' with the descriptor '" +
                             shown(file.metadata("descriptor")) + "', and this program knows " + kFormatVersion + " with " +
                             kDescriptor);
  if (file.metadata("channels") != std::to_string(channels))
    throw std::runtime_error("it is about pictures of '" + shown(file.metadata("channels")) +
                             "' channels, and the network takes " + std::to_string(channels));
  const std::size_t length = descriptor_length(channels);
  const StoredTensor& deviations = file.require("deviations");
  const std::size_t kept = deviations.shape.empty() ? 0 : deviations.shape[0];
  return {channels,
          numbers(file, "mean", {length}, false),
          numbers(file, "scale", {length}, true),
          numbers(file, "directions", {kept, length}, false),
          numbers(file, "deviations", {kept}, true),
          static_cast<double>(numbers(file, "residual", {1}, true)[0]),
          threshold_of(file.metadata("threshold"))};
}

std::vector<double> describe(const std::vector<std::uint8_t>& fitted, std::size_t height, std::size_t width,
                             std::size_t channels) {
  std::vector<Plane> planes;
  std::vector<float> plane(height * width);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    for (std::size_t at = 0; at < plane.size(); ++at) plane[at] = static_cast<float>(fitted[at * channels + channel]);
    const std::vector<float> thumbnail = resample(plane, height, width, kSide, kSide);
    planes.emplace_back(thumbnail.begin(), thumbnail.end());
    for (double& value : planes.back()) value /= 255.0;
  }
  std::vector<double> colour;
  if (channels == 3) {
    const Plane red = planes[0], green = planes[1], blue = planes[2];
    Plane saturation(kPixels), relative(kPixels);
    for (std::size_t at = 0; at < kPixels; ++at) {
      const double largest = std::max({red[at], green[at], blue[at]});
      saturation[at] = largest - std::min({red[at], green[at], blue[at]});
      relative[at] = saturation[at] / (largest + kDarkestColour);
      planes[0][at] = 0.299 * red[at] + 0.587 * green[at] + 0.114 * blue[at];
      planes[1][at] = red[at] - green[at];
      planes[2][at] = (red[at] + green[at]) / 2 - blue[at];
    }
    colour = {mean_of(relative), deviation_of(relative), mean_of(saturation), deviation_of(saturation)};
  }
  const Plane& luma = planes[0];
  std::vector<double> descriptor;
  for (const Plane& each : planes) {
    add_cell_means(each, descriptor);
    add_band_energies(each, descriptor);
  }
  add_band_energies(mapped(luma, [](double value) { return std::log10(value + kDarkestContrast); }), descriptor);
  const auto share = [&luma](const auto& distance) {  // of pixels at one end of the range, the less the farther from it
    return mean_of(mapped(luma, [&](double value) { return std::clamp((kEnd - distance(value)) / kEnd, 0.0, 1.0); }));
  };
  descriptor.push_back(deviation_of(luma));
  descriptor.push_back(share([](double value) { return value; }));
  descriptor.push_back(share([](double value) { return 1.0 - value; }));
  descriptor.insert(descriptor.end(), colour.begin(), colour.end());
  return descriptor;
}

double score(const Guard& guard, const std::vector<double>& descriptor) {
  const std::size_t length = descriptor.size();
  std::vector<double> centred(length);
  double left = 0, squared = 0;
  for (std::size_t at = 0; at < length; ++at) {
    centred[at] = (descriptor[at] - static_cast<double>(guard.mean[at])) / static_cast<double>(guard.scale[at]);
    left += centred[at] * centred[at];
  }
  for (std::size_t direction = 0; direction < guard.deviations.size(); ++direction) {
    double along = 0;
    for (std::size_t at = 0; at < length; ++at)
      along += static_cast<double>(guard.directions[direction * length + at]) * centred[at];
    left -= along * along;
    along /= static_cast<double>(guard.deviations[direction]);
    squared += along * along;
  }
  return std::sqrt(squared + std::max(0.0, left) / (guard.residual * guard.residual));
}

GuardVerdict judge(const Guard& guard, const Picture& picture, const Preprocessing& preprocessing) {
  const std::vector<std::uint8_t> fitted = fit_to_network(picture, preprocessing);
  return {score(guard, describe(fitted, preprocessing.height, preprocessing.width, preprocessing.channels)),
          guard.threshold};
}

}  // namespace s2m
