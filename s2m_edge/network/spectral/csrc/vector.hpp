// The processor's vector of float32: arithmetic, loads and stores (of float32 and float16), small transposes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "half.hpp"

#if defined(__F16C__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#endif

#if defined(__GNUC__)
#define S2M_EDGE_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define S2M_EDGE_INLINE __forceinline
#else
#define S2M_EDGE_INLINE inline
#endif

namespace s2m_edge {

// kLanes floats a vector. A tile of kTileRows x kTileVectors accumulators is what the registers hold beside its inputs.
#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16, kTileRows = 10, kTileVectors = 2;
#elif defined(__AVX__)
constexpr std::size_t kLanes = 8, kTileRows = 6, kTileVectors = 2;
#elif defined(__aarch64__) || defined(_M_ARM64)
constexpr std::size_t kLanes = 4, kTileRows = 6, kTileVectors = 4;
#else
constexpr std::size_t kLanes = 4, kTileRows = 6, kTileVectors = 2;
#endif

#if defined(__GNUC__) && !defined(S2M_EDGE_PLAIN_VECTORS)
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
#else
struct Vector {  // loops of a known count, which compilers turn into vector instructions
  float lane[kLanes];
  friend S2M_EDGE_INLINE Vector operator+(Vector a, const Vector& b) {
    for (std::size_t i = 0; i < kLanes; ++i) a.lane[i] += b.lane[i];
    return a;
  }
  friend S2M_EDGE_INLINE Vector operator-(Vector a, const Vector& b) {
    for (std::size_t i = 0; i < kLanes; ++i) a.lane[i] -= b.lane[i];
    return a;
  }
  friend S2M_EDGE_INLINE Vector operator*(Vector a, const Vector& b) {
    for (std::size_t i = 0; i < kLanes; ++i) a.lane[i] *= b.lane[i];
    return a;
  }
  friend S2M_EDGE_INLINE Vector operator*(Vector a, float b) {
    for (std::size_t i = 0; i < kLanes; ++i) a.lane[i] *= b;
    return a;
  }
};
#endif

S2M_EDGE_INLINE Vector load(const float* from) {
  Vector result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

S2M_EDGE_INLINE void store(float* to, const Vector& value) { std::memcpy(to, &value, sizeof value); }

S2M_EDGE_INLINE Vector load(const Half* from) {
  Vector result;
#if defined(__AVX512F__)
  const __m512 wide = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  std::memcpy(&result, &wide, sizeof result);
#elif defined(__F16C__)
  const __m256 wide = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  std::memcpy(&result, &wide, sizeof result);
#elif defined(__aarch64__) && defined(__GNUC__)
  const float32x4_t wide = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&from->bits)));
  std::memcpy(&result, &wide, sizeof result);
#else
  float wide[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) wide[i] = to_float(from[i]);
  result = load(wide);
#endif
  return result;
}

S2M_EDGE_INLINE void store(Half* to, const Vector& value) {
#if defined(__AVX512F__)
  __m512 wide;
  std::memcpy(&wide, &value, sizeof wide);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(wide, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  __m256 wide;
  std::memcpy(&wide, &value, sizeof wide);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(wide, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__aarch64__) && defined(__GNUC__)
  float32x4_t wide;
  std::memcpy(&wide, &value, sizeof wide);
  vst1_u16(&to->bits, vreinterpret_u16_f16(vcvt_f16_f32(wide)));
#else
  float wide[kLanes];
  store(wide, value);
  for (std::size_t i = 0; i < kLanes; ++i) to[i] = to_half(wide[i]);
#endif
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector) && !defined(S2M_EDGE_PLAIN_VECTORS)
#define S2M_EDGE_SHUFFLES 1
#endif
#endif

// out[j * out_stride + i] = in[i * in_stride + j] for a block of 4 x 4.
S2M_EDGE_INLINE void transpose_block(const float* in, std::size_t in_stride, float* out, std::size_t out_stride) {
#if defined(S2M_EDGE_SHUFFLES)
  typedef float Four __attribute__((vector_size(16)));
  Four row[4];
  for (std::size_t i = 0; i < 4; ++i) std::memcpy(&row[i], in + i * in_stride, sizeof(Four));
  const Four low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
  const Four low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const Four high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Four high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  const Four column[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (std::size_t j = 0; j < 4; ++j) std::memcpy(out + j * out_stride, &column[j], sizeof(Four));
#else
  for (std::size_t j = 0; j < 4; ++j)
    for (std::size_t i = 0; i < 4; ++i) out[j * out_stride + i] = in[i * in_stride + j];
#endif
}

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// rows x columns to columns x rows. Whole blocks of 4 are read and written: both sides must be padded to that.
inline void transpose(const float* in, std::size_t in_stride, std::size_t rows, std::size_t columns, float* out,
                      std::size_t out_stride) {
  for (std::size_t j = 0; j < columns; j += 4)
    for (std::size_t i = 0; i < rows; i += 4)
      transpose_block(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
}

}  // namespace s2m_edge
