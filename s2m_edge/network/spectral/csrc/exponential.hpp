// ELU on vectors: max(x, 0) + exp(min(x, 0)) - 1, without a branch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vector.hpp"

namespace s2m_edge {

#if defined(__GNUC__) && !defined(S2M_EDGE_PLAIN_VECTORS)
typedef std::int32_t Integers __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

S2M_EDGE_INLINE Vector same(float value) { return Vector{} + value; }
// A NaN stays one on the side of the positives: `x < 0` is false for it.
S2M_EDGE_INLINE Vector negative_part(Vector x) { return x < 0.0f ? x : Vector{}; }
S2M_EDGE_INLINE Vector positive_part(Vector x) { return x < 0.0f ? Vector{} : x; }
S2M_EDGE_INLINE Vector at_least(Vector x, float least) { return x < least ? same(least) : x; }
S2M_EDGE_INLINE Vector power_of_two(Vector shifted) {
  Integers bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  std::memcpy(&shifted, &bits, sizeof bits);
  return shifted;
}
#else
S2M_EDGE_INLINE Vector same(float value) {
  Vector result;
  for (std::size_t i = 0; i < kLanes; ++i) result.lane[i] = value;
  return result;
}
S2M_EDGE_INLINE Vector negative_part(Vector x) {
  for (std::size_t i = 0; i < kLanes; ++i) x.lane[i] = x.lane[i] < 0.0f ? x.lane[i] : 0.0f;
  return x;
}
S2M_EDGE_INLINE Vector positive_part(Vector x) {
  for (std::size_t i = 0; i < kLanes; ++i) x.lane[i] = x.lane[i] < 0.0f ? 0.0f : x.lane[i];
  return x;
}
S2M_EDGE_INLINE Vector at_least(Vector x, float least) {
  for (std::size_t i = 0; i < kLanes; ++i) x.lane[i] = x.lane[i] < least ? least : x.lane[i];
  return x;
}
S2M_EDGE_INLINE Vector power_of_two(Vector shifted) {
  for (std::size_t i = 0; i < kLanes; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &shifted.lane[i], sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    std::memcpy(&shifted.lane[i], &bits, sizeof bits);
  }
  return shifted;
}
#endif

// exp(x) - 1 for x <= 0: x = n ln 2 + r with |r| <= ln 2 / 2, and exp(r) - 1 by its Taylor sum to r^7 (the rest is
// below 5e-9), so that small x keep all their digits. Below -87 it is -1.
S2M_EDGE_INLINE Vector exponential_less_one(Vector x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which lies in the lowest bits
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = at_least(x, -87.0f);
  const Vector shifted = x * kLog2E + same(kShift);
  const Vector n = shifted - same(kShift);
  const Vector r = (x - n * kLn2High) - n * kLn2Low;
  Vector sum = r * (1.0f / 5040.0f) + same(1.0f / 720.0f);
  sum = sum * r + same(1.0f / 120.0f);
  sum = sum * r + same(1.0f / 24.0f);
  sum = sum * r + same(1.0f / 6.0f);
  sum = sum * r + same(0.5f);
  sum = sum * (r * r) + r;
  const Vector scale = power_of_two(shifted);  // the shift's own bits fall out on the left
  return scale * sum + (scale - same(1.0f));
}

S2M_EDGE_INLINE Vector elu(Vector x) { return positive_part(x) + exponential_less_one(negative_part(x)); }

}  // namespace s2m_edge
