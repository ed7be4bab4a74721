// The filter between the two transforms: see s2m_edge/network/spectral/dft.py for the equations.
#pragma once

#include <cstddef>

#include "vector.hpp"

namespace s2m_edge {

// The K' <= N frequencies that a filter and an axis have in common: entries start .. start + kept - 1 of the filter.
struct Kept {
  std::size_t start, kept;
};

inline Kept keep(std::size_t filter, std::size_t length) {
  const std::size_t kept = filter < length ? filter : length;
  return {filter / 2 - kept / 2, kept};
}

// P and Q of one channel's filter, transposed: M2 rows (width frequencies) of `stride` floats, of which M1 are set.
// P sums the filter over the frequencies (+-f1, +-f2) that it has; Q sums it with the sign of f1 * f2. lines: 2 * K2'.
inline void fold_filter(const float* filter, std::size_t filter_columns, const Kept& rows, const Kept& columns,
                        float* direct, float* crossed, std::size_t stride, float* lines) {
  const std::size_t zero_row = rows.kept / 2, zero_column = columns.kept / 2;
  float *even = lines, *odd = lines + columns.kept;
  for (std::size_t f1 = 0; f1 <= zero_row; ++f1) {
    const float* negative = filter + (rows.start + zero_row - f1) * filter_columns + columns.start;
    const bool has_positive = f1 > 0 && zero_row + f1 < rows.kept;
    const float* positive = has_positive ? negative + 2 * f1 * filter_columns : negative;
    const float sign = f1 > 0 ? 1.0f : 0.0f, second = has_positive ? 1.0f : 0.0f;
    for (std::size_t column = 0; column < columns.kept; ++column) {
      even[column] = negative[column] + second * positive[column];
      odd[column] = second * positive[column] - sign * negative[column];
    }
    direct[f1] = even[zero_column];
    crossed[f1] = 0.0f;
    for (std::size_t f2 = 1; f2 <= zero_column; ++f2) {
      const std::size_t left = zero_column - f2, right = zero_column + f2;
      const bool has_right = right < columns.kept;
      direct[f2 * stride + f1] = even[left] + (has_right ? even[right] : 0.0f);
      crossed[f2 * stride + f1] = (has_right ? odd[right] : 0.0f) - odd[left];
    }
  }
}

// Z_cc = P cc - Q ss, Z_cs = P cs + Q sc, Z_sc = P sc + Q cs, Z_ss = P ss - Q cc; in each name height comes first.
// Spectra: 2 * M2 rows of cosines then sines of the width, each with M1 cosines then M1 sines of the height.
// direct, crossed: M2 x gain_stride, zero beyond M1. Whole vectors are written: `out` has gain_stride + M1 columns.
inline void apply_gains(const float* direct, const float* crossed, std::size_t gain_stride, std::size_t m1,
                        std::size_t m2, const float* in, std::size_t in_stride, float* out, std::size_t out_stride) {
  for (std::size_t f2 = 0; f2 < m2; ++f2) {
    const float *p = direct + f2 * gain_stride, *q = crossed + f2 * gain_stride;
    const float *cosine = in + f2 * in_stride, *sine = in + (m2 + f2) * in_stride;
    float *out_cosine = out + f2 * out_stride, *out_sine = out + (m2 + f2) * out_stride;
    for (std::size_t i = 0; i < m1; i += kLanes) {  // the height's cosines: what overflows is overwritten below
      const Vector gain = load(p + i), cross = load(q + i);
      store(out_cosine + i, gain * load(cosine + i) - cross * load(sine + m1 + i));
      store(out_sine + i, gain * load(sine + i) + cross * load(cosine + m1 + i));
    }
    for (std::size_t i = 0; i < m1; i += kLanes) {
      const Vector gain = load(p + i), cross = load(q + i);
      store(out_cosine + m1 + i, gain * load(cosine + m1 + i) + cross * load(sine + i));
      store(out_sine + m1 + i, gain * load(sine + m1 + i) - cross * load(cosine + i));
    }
  }
}

}  // namespace s2m_edge
