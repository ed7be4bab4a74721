// The spectral filter, y = Re(IFFT2(pad(W * crop(fftshift(FFT2(x)))))), in real arithmetic and without an FFT.
//
// Per plane: height to frequencies (the width's columns side by side in vectors), transpose, width to frequencies
// (the height's frequencies side by side), gains, and the same way back. See axis.hpp, gains.hpp and dft.py.
#pragma once

#include <cstddef>
#include <cstring>

#include "axis.hpp"
#include "gains.hpp"
#include "half.hpp"
#include "plan.hpp"

namespace s2m_edge {

struct SpectralShape {
  std::size_t batch, channels, height, width;
  std::size_t filter_rows, filter_columns;  // K1, K2 as given; frequencies that the map does not have are ignored
};

// Calls body(begin, end) over [0, count) on the calling thread: for hosts without a pool.
struct SerialFor {
  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    body(std::size_t{0}, count);
  }
};

// Where one thread keeps what lies between the steps: offsets into its scratch, in floats, and row strides.
struct Workspace {
  std::size_t wide, narrow, gained, gain;  // strides: a row of width, of height frequencies, of gained ones, of P and Q
  std::size_t rows, turned, spectrum, filtered, back, direct, crossed, lines, panel, staging, total;

  Workspace(const AxisPlan& height, const AxisPlan& width, std::size_t filter_columns) {
    const std::size_t m1 = height.frequencies(), m2 = width.frequencies();
    const std::size_t width_rows = round_up(width.length(), 4), height_rows = round_up(2 * m1, 4);
    wide = round_up(width.length(), kLanes);
    narrow = round_up(2 * m1, kLanes);
    gain = round_up(m1, kLanes);
    gained = round_up(m1 + gain, kLanes);
    const std::size_t panel_rows =
        height.panel_rows() > width.panel_rows() ? height.panel_rows() : width.panel_rows();
    const auto take = [this](std::size_t count) {
      const std::size_t offset = total;
      total += round_up(count, 16);
      return offset;
    };
    total = 0;
    rows = take(height_rows * wide);
    turned = take(width_rows * narrow);
    spectrum = take(2 * m2 * narrow + kLanes);
    filtered = take(2 * m2 * gained);
    back = take(height_rows * wide);
    direct = take(m2 * gain);
    crossed = take(m2 * gain);
    lines = take(2 * filter_columns);
    panel = take(panel_rows * kPanelStride);
    staging = take(width.length() < kLanes ? height.length() * kLanes : 0);
  }
};

// One plane, in != out or equal. `scratch` has the layout `w`, and its void rows are zero.
template <class Storage>
void filter_plane(const Storage* in, Storage* out, const AxisPlan& height, const AxisPlan& width, const Workspace& w,
                  float* scratch) {
  float *rows = scratch + w.rows, *turned = scratch + w.turned, *spectrum = scratch + w.spectrum;
  float *filtered = scratch + w.filtered, *back = scratch + w.back, *panel = scratch + w.panel;
  float* staging = scratch + w.staging;
  const std::size_t h = height.length(), n = width.length(), m1 = height.frequencies(), m2 = width.frequencies();
  if (n < kLanes) {  // narrower than a vector: whole vectors would reach beyond the plane
    for (std::size_t i = 0; i < h; ++i)
      for (std::size_t j = 0; j < n; ++j) staging[i * kLanes + j] = to_float(in[i * n + j]);
    forward_axis(height, staging, kLanes, kLanes, rows, w.wide, panel);
  } else {
    forward_axis(height, in, n, n, rows, w.wide, panel);
  }
  transpose(rows, w.wide, 2 * m1, n, turned, w.narrow);
  forward_axis(width, turned, w.narrow, w.narrow, spectrum, w.narrow, panel);
  apply_gains(scratch + w.direct, scratch + w.crossed, w.gain, m1, m2, spectrum, w.narrow, filtered, w.gained);
  inverse_axis(width, filtered, w.gained, w.narrow, turned, w.narrow, panel);
  transpose(turned, w.narrow, n, 2 * m1, back, w.wide);
  if (n < kLanes) {
    inverse_axis(height, back, w.wide, kLanes, staging, kLanes, panel);
    for (std::size_t i = 0; i < h; ++i)
      for (std::size_t j = 0; j < n; ++j) convert(staging[i * kLanes + j], out[i * n + j]);
  } else {
    inverse_axis(height, back, w.wide, n, out, n, panel);
  }
}

// x and y: batch x channels x height x width, contiguous; x == y is allowed, other overlaps are not. Storage: float or
// Half. weight: channels x filter_rows x filter_columns, float32.
// parallel_for(count, body) must call body(begin, end) over disjoint ranges that cover [0, count), on any threads.
// Safe to call from many threads at once. Allocates only for a shape that its thread has not met.
template <class Storage, class ParallelFor>
void spectral_filter(const Storage* x, const float* weight, Storage* y, const SpectralShape& shape,
                     const ParallelFor& parallel_for) {
  const std::size_t plane = shape.height * shape.width, count = shape.batch * shape.channels;
  if (plane == 0 || count == 0) return;
  const Kept rows = keep(shape.filter_rows, shape.height), columns = keep(shape.filter_columns, shape.width);
  if (rows.kept == 0 || columns.kept == 0) {  // no frequency passes
    for (std::size_t i = 0; i < count * plane; ++i) convert(0.0f, y[i]);
    return;
  }
  const auto height = plan_axis(shape.height, rows.kept), width = plan_axis(shape.width, columns.kept);
  const Workspace w(*height, *width, columns.kept);
  // Planes are taken channel by channel, so that a channel's filter is folded once for a whole batch.
  parallel_for(count, [&](std::size_t begin, std::size_t end) {
    float* scratch = Scratch::of_this_thread().reserve(w.total);
    // What no step writes must be zero: the void sines, and P's and Q's padding. Other shapes have used this memory.
    const std::size_t m1 = height->frequencies(), m2 = width->frequencies();
    for (std::size_t row = 0; row < round_up(2 * m1, 4); ++row)
      if (row >= 2 * m1 || height->is_void(row))
        std::memset(scratch + w.rows + row * w.wide, 0, w.wide * sizeof(float));
    for (std::size_t row = 0; row < 2 * m2; ++row)
      if (width->is_void(row)) std::memset(scratch + w.spectrum + row * w.narrow, 0, w.narrow * sizeof(float));
    std::memset(scratch + w.direct, 0, m2 * w.gain * sizeof(float));
    std::memset(scratch + w.crossed, 0, m2 * w.gain * sizeof(float));
    for (std::size_t index = begin; index < end; ++index) {
      const std::size_t channel = index / shape.batch, item = index % shape.batch;
      if (index == begin || item == 0)
        fold_filter(weight + channel * shape.filter_rows * shape.filter_columns, shape.filter_columns, rows, columns,
                    scratch + w.direct, scratch + w.crossed, w.gain, scratch + w.lines);
      const std::size_t offset = (item * shape.channels + channel) * plane;
      filter_plane(x + offset, y + offset, *height, *width, w, scratch);
    }
  });
}

}  // namespace s2m_edge
