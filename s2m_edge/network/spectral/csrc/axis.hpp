// One axis: N samples to the cosine and sine parts of its M kept frequencies, and back. Columns side by side.
//
// Symmetry does half of the work, twice. With e[n] = x[n] + x[N-n] and o[n] = x[n] - x[N-n], cosines need e only and
// sines need o only; for even N, about N / 4, even frequencies' cosines need e[n] + e[N/2-n], odd ones' e[n] - e[N/2-n],
// and sines the other way round. What is left are four (two for odd N) small matrix products a column panel: folded
// samples times a constant basis. The way back computes the same four parts of y[n] and adds and subtracts them.
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "vector.hpp"

namespace s2m_edge {

// Rows of a tile product: `rows` outputs, whose coefficients lie at `offset`, one run of `rows` for each input.
struct Block {
  std::size_t rows, offset;
};

// The samples of one symmetry and the frequencies that meet them.
struct Group {
  std::size_t first_sample, samples;        // n = first_sample .. first_sample + samples - 1
  std::size_t panel_row;                    // where they begin in a folded panel
  std::size_t spectrum_row, step, members;  // spectrum rows spectrum_row + step * (0 .. members - 1)
  std::vector<Block> forward, inverse;
};

// Everything that is known of an axis before its data: built once for a length and a count of frequencies.
class AxisPlan {
 public:
  // length: N >= 1. kept: K' <= N frequencies, -(K' / 2) .. K' - K' / 2 - 1.
  AxisPlan(std::size_t length, std::size_t kept) : length_(length), frequencies_(kept / 2 + 1) {
    const std::size_t half = length / 2;
    if (length % 2 == 0) {
      add_group(false, 0, 2, 0, half / 2 + 1);
      add_group(false, 1, 2, 0, (half + 1) / 2);
      add_group(true, 1, 2, 1, half / 2 + 1);
      add_group(true, 2, 2, 1, (half + 1) / 2);
    } else {
      add_group(false, 0, 1, 0, half + 1);
      add_group(true, 1, 1, 1, half + 1);
    }
  }

  std::size_t length() const { return length_; }
  std::size_t frequencies() const { return frequencies_; }        // M
  std::size_t spectrum_rows() const { return 2 * frequencies_; }  // M cosines, then M sines
  std::size_t panel_rows() const { return panel_rows_; }
  const std::vector<Group>& groups() const { return groups_; }
  const float* coefficients() const { return coefficients_.data(); }

  // Whether a spectrum row is zero for every input, and is never written: the sine of frequency 0 and of N / 2.
  bool is_void(std::size_t spectrum_row) const {
    return spectrum_row >= frequencies_ && 2 * (spectrum_row - frequencies_) % length_ == 0;
  }

 private:
  double basis(bool sine, std::size_t sample, std::size_t frequency) const {
    // Reduced modulo N as integers, so that large angles lose no digits.
    const double turns = static_cast<double>(sample * frequency % length_) / static_cast<double>(length_);
    const double angle = 6.283185307179586476925 * turns;
    return (sine ? std::sin(angle) : std::cos(angle)) / std::sqrt(static_cast<double>(length_));
  }

  void add_group(bool sine, std::size_t first_frequency, std::size_t step, std::size_t first_sample,
                 std::size_t stop_sample) {
    Group group;
    group.first_sample = first_sample;
    group.samples = stop_sample > first_sample ? stop_sample - first_sample : 0;
    group.panel_row = panel_rows_;
    group.spectrum_row = first_frequency + (sine ? frequencies_ : 0);
    group.step = step;
    group.members = 0;
    for (std::size_t f = first_frequency; f < frequencies_; f += step) group.members += !sine || 2 * f < length_;
    panel_rows_ += group.samples;
    const auto entry = [&](std::size_t sample, std::size_t member) {
      return static_cast<float>(basis(sine, first_sample + sample, first_frequency + step * member));
    };
    if (group.samples && group.members) {
      pack(group.forward, group.members, group.samples, [&](std::size_t row, std::size_t k) { return entry(k, row); });
      pack(group.inverse, group.samples, group.members, entry);
    }
    groups_.push_back(group);
  }

  // Split `rows` into blocks as even as can be (a block of one row would wait for its own additions), and lay out
  // their coefficients in the order in which a tile reads them.
  template <class Entry>
  void pack(std::vector<Block>& blocks, std::size_t rows, std::size_t inputs, const Entry& entry) {
    const std::size_t count = (rows + kTileRows - 1) / kTileRows;
    for (std::size_t index = 0, begin = 0; index < count; ++index) {
      const std::size_t height = rows / count + (index < rows % count);
      blocks.push_back({height, coefficients_.size()});
      for (std::size_t k = 0; k < inputs; ++k)
        for (std::size_t row = begin; row < begin + height; ++row) coefficients_.push_back(entry(row, k));
      begin += height;
    }
  }

  std::size_t length_, frequencies_, panel_rows_ = 0;
  std::vector<Group> groups_;
  std::vector<float> coefficients_;
};

// Up to kTileVectors vectors of a row: where each begins. The last of a row overlaps the one before it where the
// width is no multiple of kLanes, and both write the same values there.
struct Columns {
  std::size_t at[kTileVectors];
};

inline Columns panel_columns() {
  Columns columns;
  for (std::size_t v = 0; v < kTileVectors; ++v) columns.at[v] = v * kLanes;
  return columns;
}

constexpr std::size_t kPanelStride = kTileVectors * kLanes;

// out[row] = sum over k of a[k][row] * in[k], for kRows rows and kVectors vectors, held in registers throughout.
template <std::size_t kRows, std::size_t kVectors>
S2M_EDGE_INLINE void multiply_tile(const float* a, std::size_t inputs, const float* in, std::size_t in_stride,
                                   const Columns& in_columns, float* out, std::size_t out_stride,
                                   const Columns& out_columns) {
  Vector sum[kRows][kVectors] = {};
  for (std::size_t k = 0; k < inputs; ++k) {
    Vector value[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) value[v] = load(in + in_columns.at[v]);
    for (std::size_t row = 0; row < kRows; ++row)
      for (std::size_t v = 0; v < kVectors; ++v) sum[row][v] = sum[row][v] + value[v] * a[row];
    a += kRows;
    in += in_stride;
  }
  for (std::size_t row = 0; row < kRows; ++row)
    for (std::size_t v = 0; v < kVectors; ++v) store(out + row * out_stride + out_columns.at[v], sum[row][v]);
}

template <std::size_t kVectors, std::size_t kRows = kTileRows>
S2M_EDGE_INLINE void multiply_block(const Block& block, const float* coefficients, std::size_t inputs, const float* in,
                                    std::size_t in_stride, const Columns& in_columns, float* out,
                                    std::size_t out_stride, const Columns& out_columns) {
  if constexpr (kRows > 0) {
    if (block.rows == kRows)
      multiply_tile<kRows, kVectors>(coefficients + block.offset, inputs, in, in_stride, in_columns, out, out_stride,
                                     out_columns);
    else
      multiply_block<kVectors, kRows - 1>(block, coefficients, inputs, in, in_stride, in_columns, out, out_stride,
                                          out_columns);
  }
}

// Samples to symmetric parts. panel: panel_rows x kPanelStride.
template <std::size_t kVectors, class Storage>
S2M_EDGE_INLINE void fold(const AxisPlan& plan, const Storage* in, std::size_t stride, const Columns& columns,
                          float* panel) {
  const std::size_t length = plan.length(), half = length / 2;
  const auto part = [&](std::size_t group, std::size_t n) {  // where a group's sample n goes
    const Group& g = plan.groups()[group];
    return panel + (g.panel_row + n - g.first_sample) * kPanelStride;
  };
  const auto sample = [&](std::size_t n, std::size_t v) { return load(in + n * stride + columns.at[v]); };
  if (length % 2) {
    float *even = part(0, 0), *odd = part(1, 1);
    for (std::size_t v = 0; v < kVectors; ++v) store(even + v * kLanes, sample(0, v));
    for (std::size_t n = 1; n <= half; ++n) {
      even += kPanelStride;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Vector a = sample(n, v), b = sample(length - n, v);
        store(even + v * kLanes, a + b);
        store(odd + v * kLanes, a - b);
      }
      odd += kPanelStride;
    }
    return;
  }
  float *cosine_even = part(0, 0), *cosine_odd = part(1, 0), *sine_odd = part(2, 1), *sine_even = part(3, 1);
  for (std::size_t v = 0; v < kVectors; ++v) {
    const Vector a = sample(0, v), b = sample(half, v);
    store(cosine_even + v * kLanes, a + b);
    store(cosine_odd + v * kLanes, a - b);
  }
  for (std::size_t n = 1; n < half - n; ++n) {
    cosine_even += kPanelStride;
    cosine_odd += kPanelStride;
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Vector a = sample(n, v), b = sample(length - n, v), c = sample(half - n, v), d = sample(half + n, v);
      const Vector e = a + b, f = c + d, o = a - b, p = c - d;
      store(cosine_even + v * kLanes, e + f);
      store(cosine_odd + v * kLanes, e - f);
      store(sine_odd + v * kLanes, o + p);
      store(sine_even + v * kLanes, o - p);
    }
    sine_odd += kPanelStride;
    sine_even += kPanelStride;
  }
  if (half % 2 == 0)
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Vector a = sample(half / 2, v), b = sample(length - half / 2, v);
      store(cosine_even + kPanelStride + v * kLanes, a + b);
      store(sine_odd + v * kLanes, a - b);
    }
}

// Symmetric parts to samples: the transpose of `fold`.
template <std::size_t kVectors, class Storage>
S2M_EDGE_INLINE void unfold(const AxisPlan& plan, const float* panel, Storage* out, std::size_t stride,
                            const Columns& columns) {
  const std::size_t length = plan.length(), half = length / 2;
  const auto part = [&](std::size_t group, std::size_t n) {
    const Group& g = plan.groups()[group];
    return panel + (g.panel_row + n - g.first_sample) * kPanelStride;
  };
  const auto put = [&](std::size_t n, std::size_t v, const Vector& value) {
    store(out + n * stride + columns.at[v], value);
  };
  if (length % 2) {
    const float *even = part(0, 0), *odd = part(1, 1);
    for (std::size_t v = 0; v < kVectors; ++v) put(0, v, load(even + v * kLanes));
    for (std::size_t n = 1; n <= half; ++n) {
      even += kPanelStride;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Vector e = load(even + v * kLanes), o = load(odd + v * kLanes);
        put(n, v, e + o);
        put(length - n, v, e - o);
      }
      odd += kPanelStride;
    }
    return;
  }
  const float *cosine_even = part(0, 0), *cosine_odd = part(1, 0), *sine_odd = part(2, 1), *sine_even = part(3, 1);
  for (std::size_t v = 0; v < kVectors; ++v) {
    const Vector a = load(cosine_even + v * kLanes), b = load(cosine_odd + v * kLanes);
    put(0, v, a + b);
    put(half, v, a - b);
  }
  for (std::size_t n = 1; n < half - n; ++n) {
    cosine_even += kPanelStride;
    cosine_odd += kPanelStride;
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Vector a = load(cosine_even + v * kLanes), b = load(cosine_odd + v * kLanes);
      const Vector c = load(sine_odd + v * kLanes), d = load(sine_even + v * kLanes);
      const Vector e = a + b, f = a - b, o = d + c, p = c - d;
      put(n, v, e + o);
      put(length - n, v, e - o);
      put(half - n, v, f + p);
      put(half + n, v, f - p);
    }
    sine_odd += kPanelStride;
    sine_even += kPanelStride;
  }
  if (half % 2 == 0)
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Vector a = load(cosine_even + kPanelStride + v * kLanes), c = load(sine_odd + v * kLanes);
      put(half / 2, v, a + c);
      put(length - half / 2, v, a - c);
    }
}

template <std::size_t kVectors, class Storage>
void forward_panel(const AxisPlan& plan, const Storage* in, std::size_t in_stride, const Columns& columns, float* panel,
                   float* spectrum, std::size_t stride) {
  fold<kVectors>(plan, in, in_stride, columns, panel);
  for (const Group& group : plan.groups()) {
    float* out = spectrum + group.spectrum_row * stride;
    for (const Block& block : group.forward) {
      multiply_block<kVectors>(block, plan.coefficients(), group.samples, panel + group.panel_row * kPanelStride,
                               kPanelStride, panel_columns(), out, group.step * stride, columns);
      out += block.rows * group.step * stride;
    }
  }
}

template <std::size_t kVectors, class Storage>
void inverse_panel(const AxisPlan& plan, const float* spectrum, std::size_t stride, const Columns& columns,
                   float* panel, Storage* out, std::size_t out_stride) {
  for (const Group& group : plan.groups()) {
    const float* in = spectrum + group.spectrum_row * stride;
    float* part = panel + group.panel_row * kPanelStride;
    if (group.members == 0)
      for (std::size_t i = 0; i < group.samples * kPanelStride; ++i) part[i] = 0.0f;
    for (const Block& block : group.inverse) {
      multiply_block<kVectors>(block, plan.coefficients(), group.members, in, group.step * stride, columns, part,
                               kPanelStride, panel_columns());
      part += block.rows * kPanelStride;
    }
  }
  unfold<kVectors>(plan, panel, out, out_stride, columns);
}

template <std::size_t kVectors, class Panel>
S2M_EDGE_INLINE void call_with_vectors(std::size_t vectors, const Panel& panel) {
  if constexpr (kVectors > 0) {
    if (vectors == kVectors)
      panel(std::integral_constant<std::size_t, kVectors>{});
    else
      call_with_vectors<kVectors - 1>(vectors, panel);
  }
}

// Calls panel(kVectors, columns) over the panels of a row of `width` >= kLanes floats.
template <class Panel>
S2M_EDGE_INLINE void for_each_panel(std::size_t width, const Panel& panel) {
  const std::size_t vectors = (width + kLanes - 1) / kLanes;
  const std::size_t panels = (vectors + kTileVectors - 1) / kTileVectors;
  for (std::size_t index = 0, begin = 0; index < panels; ++index) {
    const std::size_t count = vectors / panels + (index < vectors % panels);
    Columns columns = {};
    for (std::size_t v = 0; v < count; ++v) {
      const std::size_t at = (begin + v) * kLanes;
      columns.at[v] = at < width - kLanes ? at : width - kLanes;
    }
    call_with_vectors<kTileVectors>(count, [&](auto size) { panel(size, columns); });
    begin += count;
  }
}

// in: length x width, rows in_stride apart. spectrum: spectrum_rows x width. panel: panel_rows x kPanelStride of scratch.
template <class Storage>
void forward_axis(const AxisPlan& plan, const Storage* in, std::size_t in_stride, std::size_t width, float* spectrum,
                  std::size_t stride, float* panel) {
  for_each_panel(width, [&](auto size, const Columns& columns) {
    forward_panel<decltype(size)::value>(plan, in, in_stride, columns, panel, spectrum, stride);
  });
}

template <class Storage>
void inverse_axis(const AxisPlan& plan, const float* spectrum, std::size_t stride, std::size_t width, Storage* out,
                  std::size_t out_stride, float* panel) {
  for_each_panel(width, [&](auto size, const Columns& columns) {
    inverse_panel<decltype(size)::value>(plan, spectrum, stride, columns, panel, out, out_stride);
  });
}

}  // namespace s2m_edge
