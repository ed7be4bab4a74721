// LayerNorm over the channels of each position of a map whose channels are planes: no transposition, one pass of memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "exponential.hpp"
#include "vector.hpp"

namespace s2m_edge {

// kLanes positions (of which the first `count` are there), all channels; the variance is that of the differences from
// the mean, as PyTorch's.
inline void norm_positions(const float* x, float* y, std::size_t channels, std::size_t plane, std::size_t count,
                           const float* weight, const float* bias, float epsilon) {
  const bool whole = count >= kLanes;
  const auto read = [&](std::size_t c) {
    if (whole) return load(x + c * plane);
    float lanes[kLanes] = {};
    std::memcpy(lanes, x + c * plane, count * sizeof(float));
    return load(lanes);
  };
  Vector sum{};
  for (std::size_t c = 0; c < channels; ++c) sum = sum + read(c);
  const float share = 1.0f / static_cast<float>(channels);
  const Vector mean = sum * share;
  Vector squares{};
  for (std::size_t c = 0; c < channels; ++c) {
    const Vector difference = read(c) - mean;
    squares = squares + difference * difference;
  }
  float scale[kLanes];
  store(scale, squares * share);
  for (std::size_t i = 0; i < kLanes; ++i) scale[i] = 1.0f / std::sqrt(scale[i] + epsilon);
  const Vector factor = load(scale);
  for (std::size_t c = 0; c < channels; ++c) {
    const Vector value = (read(c) - mean) * factor * weight[c] + same(bias[c]);
    if (whole) {
      store(y + c * plane, value);
    } else {
      float lanes[kLanes];
      store(lanes, value);
      std::memcpy(y + c * plane, lanes, count * sizeof(float));
    }
  }
}

// x and y: batch x channels x plane, contiguous; x == y is allowed. parallel_for as in receptive_field.hpp.
template <class ParallelFor>
void channel_norm(const float* x, float* y, std::size_t batch, std::size_t channels, std::size_t plane,
                  const float* weight, const float* bias, float epsilon, const ParallelFor& parallel_for) {
  const std::size_t vectors = (plane + kLanes - 1) / kLanes;
  parallel_for(batch * vectors, [&](std::size_t begin, std::size_t end) {
    for (std::size_t index = begin; index < end; ++index) {
      const std::size_t at = index % vectors * kLanes, offset = index / vectors * channels * plane + at;
      norm_positions(x + offset, y + offset, channels, plane, std::min(kLanes, plane - at), weight, bias, epsilon);
    }
  });
}

}  // namespace s2m_edge
