#include "intensity.hpp"

#include <algorithm>
#include <cmath>

namespace s2m {

namespace {

constexpr std::size_t kValues = 65536;

// The value at a percentile, by nearest rank: one that occurs.
double percentile(const std::vector<std::size_t>& counts, std::size_t count, double percent) {
  const auto rank = static_cast<std::size_t>(std::floor(percent / 100 * static_cast<double>(count - 1) + 0.5));
  std::size_t value = 0;
  for (std::size_t before = counts[0]; before <= rank; before += counts[value]) ++value;
  return static_cast<double>(value);
}

}  // namespace

std::vector<std::uint8_t> spread(const std::uint16_t* values, std::size_t count, const Intensity& intensity) {
  double low = intensity.low, high = intensity.high;
  if (!intensity.window) {
    std::vector<std::size_t> counts(kValues);
    for (std::size_t at = 0; at < count; ++at) ++counts[values[at]];
    low = percentile(counts, count, intensity.low);
    high = percentile(counts, count, intensity.high);
  }
  std::vector<std::uint8_t> table(kValues), levels(count);
  for (std::size_t value = 0; high > low && value < kValues; ++value) {
    const double scaled = (static_cast<double>(value) - low) * 255.0 / (high - low);
    table[value] = static_cast<std::uint8_t>(std::floor(std::clamp(scaled, 0.0, 255.0) + 0.5));
  }
  std::transform(values, values + count, levels.begin(), [&table](std::uint16_t value) { return table[value]; });
  return levels;
}

}  // namespace s2m
