// bfloat16 as storage: the upper half of a float32, widened and rounded where it is read and written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vector.hpp"

namespace s2m_edge {

struct Brain {
  std::uint16_t bits;
};

inline float to_float(Brain value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// To the nearest, ties to even; what is no number stays none.
inline Brain to_brain(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return Brain{static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return Brain{static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

#if defined(__GNUC__) && !defined(S2M_EDGE_PLAIN_VECTORS)
typedef std::uint16_t Shorts __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));
typedef std::uint32_t Words __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));

S2M_EDGE_INLINE Vector load(const Brain* from) {
  Shorts bits;
  std::memcpy(&bits, from, sizeof bits);
  const Words wide = __builtin_convertvector(bits, Words) << 16;
  Vector result;
  std::memcpy(&result, &wide, sizeof result);
  return result;
}

S2M_EDGE_INLINE void store(Brain* to, const Vector& value) {
  Words bits;
  std::memcpy(&bits, &value, sizeof bits);
  const Words upper = bits >> 16, rounded = (bits + 0x7fffu + (upper & 1u)) >> 16;
  const Shorts result = __builtin_convertvector(value == value ? rounded : (upper | 0x40u), Shorts);
  std::memcpy(to, &result, sizeof result);
}
#else
S2M_EDGE_INLINE Vector load(const Brain* from) {
  float wide[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) wide[i] = to_float(from[i]);
  return load(wide);
}

S2M_EDGE_INLINE void store(Brain* to, const Vector& value) {
  float wide[kLanes];
  store(wide, value);
  for (std::size_t i = 0; i < kLanes; ++i) to[i] = to_brain(wide[i]);
}
#endif

}  // namespace s2m_edge
