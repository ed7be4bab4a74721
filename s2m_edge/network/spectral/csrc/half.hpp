// float16 as storage: 16 bits of IEEE 754 binary16, turned to float32 where it is read and back where it is written.
#pragma once

#include <cstdint>
#include <cstring>

namespace s2m_edge {

struct Half {
  std::uint16_t bits;
};

// Exact: every float16 is a float32.
inline float to_float(Half value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  std::uint32_t bits;
  if (magnitude >= 0x7c00u) {  // infinity and NaN keep their payload
    bits = 0x7f800000u | (magnitude & 0x3ffu) << 13;
  } else if (magnitude >= 0x400u) {
    bits = (magnitude << 13) + (112u << 23);
  } else {  // subnormal: magnitude * 2^-24
    const float small = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
    std::memcpy(&bits, &small, sizeof bits);
  }
  bits |= sign;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// Rounded to nearest, ties to even; what is too large becomes infinity.
inline Half to_half(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  bits &= 0x7fffffffu;
  std::uint32_t half;
  if (bits > 0x7f800000u) {  // NaN stays one, made quiet
    half = 0x7e00u | (bits >> 13 & 0x3ffu);
  } else if (bits >= 0x47800000u) {  // 65536 and above; 65520 to 65536 round up to infinity below
    half = 0x7c00u;
  } else if (bits >= 0x38800000u) {
    bits -= 112u << 23;
    half = (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
  } else {  // subnormal or zero: the addition of 0.5 leaves the rounded multiple of 2^-24 in the low bits
    float shifted;
    std::memcpy(&shifted, &bits, sizeof shifted);
    shifted += 0.5f;
    std::memcpy(&half, &shifted, sizeof half);
    half -= 0x3f000000u;
  }
  Half result;
  result.bits = static_cast<std::uint16_t>(sign | half);
  return result;
}

inline float to_float(float value) { return value; }
inline void convert(float from, float& to) { to = from; }
inline void convert(float from, Half& to) { to = to_half(from); }

}  // namespace s2m_edge
