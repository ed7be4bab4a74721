// A table of 256 bytes looked up for many, as wide as the processor that this is compiled for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__AVX512BW__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace s2m_edge {

using Levels = std::array<std::uint8_t, 256>;

// result[i] = table[levels[i]] for begin <= i < end.
inline void look_up(const Levels& table, const std::uint8_t* levels, std::uint8_t* result, std::size_t begin,
                    std::size_t end) {
  std::size_t i = begin;
  // A shuffle finds one of sixteen bytes and gives 0 where the index has its highest bit set. Of level - 16 k only the
  // levels of the k-th sixteen, raised by 0x70 with saturation, lack that bit: sixteen shuffles joined find one of 256.
#if defined(__AVX512BW__)
  __m512i part[16];
  for (int k = 0; k < 16; k++)
    part[k] = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data() + 16 * k)));
  const __m512i raise = _mm512_set1_epi8(0x70), step = _mm512_set1_epi8(16);
  for (; i + 64 <= end; i += 64) {
    __m512i level = _mm512_loadu_si512(levels + i), found = _mm512_setzero_si512();
    for (const __m512i& bytes : part) {
      found = _mm512_or_si512(found, _mm512_shuffle_epi8(bytes, _mm512_adds_epu8(level, raise)));
      level = _mm512_sub_epi8(level, step);
    }
    _mm512_storeu_si512(result + i, found);
  }
#elif defined(__AVX2__)
  __m256i part[16];
  for (int k = 0; k < 16; k++)
    part[k] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data() + 16 * k)));
  const __m256i raise = _mm256_set1_epi8(0x70), step = _mm256_set1_epi8(16);
  for (; i + 32 <= end; i += 32) {
    __m256i level = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(levels + i)), found = _mm256_setzero_si256();
    for (const __m256i& bytes : part) {
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(bytes, _mm256_adds_epu8(level, raise)));
      level = _mm256_sub_epi8(level, step);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(result + i), found);
  }
#elif defined(__aarch64__) && defined(__ARM_NEON)
  // NEON looks up one of 64 and leaves what it does not find.
  uint8x16x4_t part[4];
  for (int k = 0; k < 4; k++)
    for (int j = 0; j < 4; j++) part[k].val[j] = vld1q_u8(table.data() + 64 * k + 16 * j);
  const uint8x16_t step = vdupq_n_u8(64);
  for (; i + 16 <= end; i += 16) {
    uint8x16_t level = vld1q_u8(levels + i), found = vqtbl4q_u8(part[0], level);
    for (int k = 1; k < 4; k++) {
      level = vsubq_u8(level, step);
      found = vqtbx4q_u8(found, part[k], level);
    }
    vst1q_u8(result + i, found);
  }
#endif
  for (; i < end; i++) result[i] = table[levels[i]];
}

}  // namespace s2m_edge
