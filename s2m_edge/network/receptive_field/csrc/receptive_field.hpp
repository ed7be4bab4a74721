// A whole MRF-SE block (arXiv 2601.01285, section 3.1) in one pass over the picture:
//
//   e = ELU(W_e x + b_e);  d_k = ELU(depthwise_k e + b_k), k = 3, 5, 7;  z = ELU(W_f [d_3; d_5; d_7] + b_f)
//   s = sigmoid(W_2 ELU(W_1 mean(z) + b_1) + b_2);  y = x + W_p (s * z) + b_p
//
// Operator by operator, the widest maps (6 and 18 times the block's channels) are written to memory and read again ten
// times. Here a band of rows is worked on row by row: seven rows of e and a few panels of d live in the cache, and only
// z is kept. BatchNorm is folded into the weights before.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "exponential.hpp"
#include "plan.hpp"
#include "product.hpp"

namespace s2m_edge {

struct ReceptiveFieldShape {
  std::size_t channels, width, hidden;  // C, F, and the gates' hidden units
};

// Pointers to weights as PyTorch has them: out x in for 1x1 convolutions, F x k x k for depthwise ones.
struct ReceptiveFieldWeights {
  const float *expand, *expand_bias;
  const float *branch[3], *branch_bias[3];
  const float *fuse, *fuse_bias;
  const float *reduce, *reduce_bias, *widen, *widen_bias;
  const float *project, *project_bias;
};

// The weights in the order in which they are used. Built once, used by any number of threads.
class ReceptiveField {
 public:
  ReceptiveField(const ReceptiveFieldShape& shape, const ReceptiveFieldWeights& from)
      : shape_(shape),
        expand_(from.expand, shape.width, shape.channels),
        fuse_(from.fuse, shape.width, 3 * shape.width),
        project_(from.project, shape.channels, shape.width),
        reduce_(from.reduce, from.reduce + shape.hidden * shape.width),
        widen_(from.widen, from.widen + shape.width * shape.hidden) {
    const auto copy = [](const float* values, std::size_t count) { return std::vector<float>(values, values + count); };
    expand_bias_ = copy(from.expand_bias, shape.width);
    fuse_bias_ = copy(from.fuse_bias, shape.width);
    project_bias_ = copy(from.project_bias, shape.channels);
    reduce_bias_ = copy(from.reduce_bias, shape.hidden);
    widen_bias_ = copy(from.widen_bias, shape.width);
    for (std::size_t b = 0; b < 3; ++b) {
      branch_[b] = copy(from.branch[b], shape.width * side(b) * side(b));
      branch_bias_[b] = copy(from.branch_bias[b], shape.width);
    }
  }

  // x and y: batch x channels x height x width, contiguous; they must not overlap.
  // parallel_for(count, body) must call body(begin, end) over disjoint ranges that cover [0, count), on any threads.
  template <class ParallelFor>
  void run(const float* x, float* y, std::size_t batch, std::size_t height, std::size_t width,
           const ParallelFor& parallel_for) const {
    if (batch == 0 || height == 0 || width == 0) return;
    const Layout layout(*this, height, width);
    static thread_local Scratch fused;  // the bands' own scratch is used meanwhile
    float* const kept = fused.reserve(layout.panels() * kPanel * shape_.width);
    std::vector<float> sums(layout.bands * shape_.width);
    PackedMatrix gated;
    for (std::size_t item = 0; item < batch; ++item) {
      const float* in = x + item * shape_.channels * height * width;
      float* out = y + item * shape_.channels * height * width;
      std::fill(sums.begin(), sums.end(), 0.0f);
      parallel_for(layout.bands, [&](std::size_t begin, std::size_t end) {
        for (std::size_t band = begin; band < end; ++band)
          fuse_band(layout, band, in, kept + layout.first_panel(band) * kPanel * shape_.width,
                    sums.data() + band * shape_.width);
      });
      gated.scale_columns(project_, gates(sums, layout.bands, height * width).data());
      parallel_for(layout.panels(), [&](std::size_t begin, std::size_t end) {
        for (std::size_t panel = begin; panel < end; ++panel) project_panel(layout, panel, gated, kept, in, out);
      });
    }
  }

 private:
  static constexpr std::size_t kReach = 3;      // rows and columns that the largest kernel sees on each side
  static constexpr std::size_t kRing = 8;       // rows of e that are kept: 2 * kReach + 2, two rows at a time
  static constexpr std::size_t kLine = 16;      // floats of a cache line
  static constexpr std::size_t kMargin = kLine;  // zeros before a row of e, which begins on a cache line
  static constexpr std::size_t kWaiting = 4;    // panels of d that are collected before they are multiplied

  static constexpr std::size_t side(std::size_t branch) { return 2 * branch + 3; }
  // How a map is cut: bands of whole rows, and within each panels of kPanel pixels that go on from row to row.
  struct Layout {
    Layout(const ReceptiveField& block, std::size_t height_, std::size_t width_) : height(height_), width(width_) {
      // A band computes its neighbours' rows of e again, so it must not be low; an even count suits most processors.
      constexpr std::size_t kLowest = 10;
      bands = 1;
      while (bands * 2 * kLowest <= height + kLowest && bands * 2 <= height) bands *= 2;
      row = kMargin + round_up(width, kPanel) + kLine;
      if (row % 512 == 0) row += kLine;  // rows that fall on one cache set would drive each other out
      ring = block.shape_.width * kRing * row;
      waiting = kWaiting + 2 * width / kPanel + 3;
      collected = waiting * 3 * block.shape_.width * kPanel;
      staged = block.shape_.channels * kPanel + row;
    }

    std::size_t first_row(std::size_t band) const { return band * height / bands; }
    std::size_t pixels(std::size_t band) const { return (first_row(band + 1) - first_row(band)) * width; }
    std::size_t panels(std::size_t band) const { return (pixels(band) + kPanel - 1) / kPanel; }
    std::size_t first_panel(std::size_t band) const {
      std::size_t sum = 0;
      for (std::size_t i = 0; i < band; ++i) sum += panels(i);
      return sum;
    }
    std::size_t panels() const { return first_panel(bands); }

    std::size_t height, width, bands;
    std::size_t row, ring, waiting, collected, staged;
  };

  // Rows first_row to the band's last of z, as panels of width x kPanel, and their sums over pixels.
  void fuse_band(const Layout& layout, std::size_t band, const float* x, float* fused, float* sums) const {
    const std::size_t stride = 3 * shape_.width * kPanel, pixels = layout.pixels(band);
    const std::size_t first = layout.first_row(band), last = layout.first_row(band + 1);
    float* const ring = Scratch::of_this_thread().reserve(layout.ring + layout.collected + layout.staged);
    float* const collected = ring + layout.ring;
    float* const staged = collected + layout.collected;
    std::size_t expanded = first > kReach ? first - kReach : 0;  // the next row of e
    std::size_t done = 0, taken = 0;                             // panels multiplied, pixels of d collected
    for (std::size_t row = 0; row < shape_.width * kRing; ++row)
      std::fill(ring + row * layout.row, ring + row * layout.row + kMargin, 0.0f);
    float* const zeros = staged + shape_.channels * kPanel;
    std::fill(zeros, zeros + layout.row, 0.0f);
    for (std::size_t r = first, rows = 0; r < last; r += rows) {
      rows = std::min<std::size_t>(2, last - r);
      for (; expanded < std::min(r + kReach + rows, layout.height); ++expanded)
        expand_row(layout, x, expanded, ring, staged);
      const std::size_t at = taken - done * kPanel;
      if (rows == 2)
        collect_rows<2>(layout, r, ring, zeros, collected, at);
      else
        collect_rows<1>(layout, r, ring, zeros, collected, at);
      taken += rows * layout.width;
      const bool ends = r + rows == last;
      const std::size_t ready = ends ? (taken + kPanel - 1) / kPanel - done : taken / kPanel - done;
      if (!ends && ready < kWaiting) continue;
      if (ends && taken % kPanel != 0) {  // what lies beyond the last pixel is multiplied, but must be numbers
        float* const panel = collected + (ready - 1) * stride;
        for (std::size_t k = 0; k < 3 * shape_.width; ++k)
          std::fill(panel + k * kPanel + taken % kPanel, panel + (k + 1) * kPanel, 0.0f);
      }
      for (std::size_t row = 0; row < shape_.width; row += kProductRows)
        for (std::size_t panel = 0; panel < ready; ++panel)
          fuse_block(row, collected + panel * stride, pixels - std::min(pixels, (done + panel) * kPanel),
                     fused + (done + panel) * kPanel * shape_.width, sums);
      done += ready;
      if (!ends && taken % kPanel != 0) std::memmove(collected, collected + ready * stride, stride * sizeof(float));
    }
  }

  // One row of e into the ring, with zeros on both sides.
  void expand_row(const Layout& layout, const float* x, std::size_t r, float* ring, float* staged) const {
    const std::size_t plane = layout.height * layout.width;
    for (std::size_t begin = 0; begin < layout.width; begin += kPanel) {
      const std::size_t pixels = std::min(kPanel, layout.width - begin);
      for (std::size_t c = 0; c < shape_.channels; ++c) {
        const float* from = x + c * plane + r * layout.width + begin;
        std::memcpy(staged + c * kPanel, from, pixels * sizeof(float));
        std::fill(staged + c * kPanel + pixels, staged + (c + 1) * kPanel, 0.0f);
      }
      for (std::size_t row = 0; row < shape_.width; row += kProductRows)
        product(expand_, row, staged, pixels, [&](std::size_t f, std::size_t at, const Vector& sum) {
          float* to = ring + (f * kRing + r % kRing) * layout.row + kMargin + begin + at;
          store(to, elu(sum + same(expand_bias_[f])));
        });
    }
    for (std::size_t f = 0; f < shape_.width; ++f) {  // the last panel may have gone beyond the row
      float* const row = ring + (f * kRing + r % kRing) * layout.row;
      std::fill(row + kMargin + layout.width, row + layout.row, 0.0f);
    }
  }

  // kRows rows of the three branches from r on, every channel, into the collected panels from pixel `at` on.
  template <std::size_t kRows>
  void collect_rows(const Layout& layout, std::size_t r, const float* ring, const float* zeros, float* collected,
                    std::size_t at) const {
    for (std::size_t f = 0; f < shape_.width; ++f) {
      const float* rows[2 * kReach + kRows];
      for (std::size_t i = 0; i < 2 * kReach + kRows; ++i) {
        const std::size_t source = r + i;  // row source - kReach
        const bool outside = source < kReach || source - kReach >= layout.height;
        rows[i] = (outside ? zeros : ring + (f * kRing + (source - kReach) % kRing) * layout.row) + kMargin - kReach;
      }
      std::size_t column = 0;
      for (; column + kLanes < layout.width; column += 2 * kLanes)
        filter_pixels<kRows, 2>(f, rows, column, layout.width, collected, at);
      for (; column < layout.width; column += kLanes)
        filter_pixels<kRows, 1>(f, rows, column, layout.width, collected, at);
    }
  }

  // The three depthwise filters of channel f on kVectors vectors of each row from `column` on. Rows share the pixels
  // that they read.
  template <std::size_t kRows, std::size_t kVectors>
  S2M_EDGE_INLINE void filter_pixels(std::size_t f, const float* const* rows, std::size_t column, std::size_t width,
                                     float* collected, std::size_t at) const {
    const float *small = branch_[0].data() + f * 9, *middle = branch_[1].data() + f * 25;
    const float* large = branch_[2].data() + f * 49;
    Vector sum[3][kRows][kVectors];
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t o = 0; o < kRows; ++o)
        for (std::size_t v = 0; v < kVectors; ++v) sum[b][o][v] = same(branch_bias_[b][f]);
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
    for (std::size_t row = 0; row < 2 * kReach + kRows; ++row)
#if defined(__GNUC__)
#pragma GCC unroll 7
#endif
      for (std::size_t j = 0; j < 7; ++j) {
        Vector pixels[kVectors];
        for (std::size_t v = 0; v < kVectors; ++v) pixels[v] = load(rows[row] + column + j + v * kLanes);
        for (std::size_t o = 0; o < kRows; ++o) {
          if (row < o || row > o + 6) continue;
          const std::size_t i = row - o;
          for (std::size_t v = 0; v < kVectors; ++v) {
            Vector *const s3 = &sum[0][o][v], *const s5 = &sum[1][o][v], *const s7 = &sum[2][o][v];
            *s7 = *s7 + pixels[v] * large[i * 7 + j];
            if (i >= 1 && i <= 5 && j >= 1 && j <= 5) *s5 = *s5 + pixels[v] * middle[(i - 1) * 5 + j - 1];
            if (i >= 2 && i <= 4 && j >= 2 && j <= 4) *s3 = *s3 + pixels[v] * small[(i - 2) * 3 + j - 2];
          }
        }
      }
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t o = 0; o < kRows; ++o)
        for (std::size_t v = 0; v < kVectors; ++v)
          store_pixels(elu(sum[b][o][v]), width - column - v * kLanes, b * shape_.width + f,
                       at + o * width + column + v * kLanes, collected);
  }

  // A vector, or the first `count` of it where they are fewer, into row k of the collected panels from pixel `at` on; it
  // may reach into the next panel.
  S2M_EDGE_INLINE void store_pixels(const Vector& value, std::size_t count, std::size_t k, std::size_t at,
                                    float* collected) const {
    const std::size_t depth = 3 * shape_.width, lane = at % kPanel;
    float* const to = collected + (at / kPanel * depth + k) * kPanel + lane;
    if (count >= kLanes && lane + kLanes <= kPanel) {
      store(to, value);
      return;
    }
    float lanes[kLanes];
    store(lanes, value);
    count = std::min(count, kLanes);
    const std::size_t here = std::min(count, kPanel - lane);
    std::memcpy(to, lanes, here * sizeof(float));
    std::memcpy(to - lane + depth * kPanel, lanes + here, (count - here) * sizeof(float));
  }

  // kProductRows channels of z on one panel, of which `pixels` count.
  void fuse_block(std::size_t first, const float* panel, std::size_t pixels, float* fused, float* sums) const {
    product(fuse_, first, panel, pixels, [&](std::size_t f, std::size_t at, const Vector& sum) {
      const Vector value = elu(sum + same(fuse_bias_[f]));
      float lanes[kLanes];
      store(lanes, value);
      const std::size_t count = std::min(kLanes, pixels - at);
      float total = 0.0f;
      for (std::size_t i = 0; i < count; ++i) total += lanes[i];
      sums[f] += total;
      std::memcpy(fused + f * kPanel + at, lanes, sizeof lanes);
    });
  }

  // s, from the bands' sums.
  std::vector<float> gates(const std::vector<float>& sums, std::size_t bands, std::size_t pixels) const {
    std::vector<float> mean(shape_.width), hidden(shape_.hidden), result(shape_.width);
    for (std::size_t f = 0; f < shape_.width; ++f) {
      double total = 0.0;
      for (std::size_t band = 0; band < bands; ++band) total += sums[band * shape_.width + f];
      mean[f] = static_cast<float>(total / static_cast<double>(pixels));
    }
    for (std::size_t h = 0; h < shape_.hidden; ++h) {
      float sum = reduce_bias_[h];
      for (std::size_t f = 0; f < shape_.width; ++f) sum += reduce_[h * shape_.width + f] * mean[f];
      hidden[h] = sum < 0.0f ? std::expm1(sum) : sum;
    }
    for (std::size_t f = 0; f < shape_.width; ++f) {
      float sum = widen_bias_[f];
      for (std::size_t h = 0; h < shape_.hidden; ++h) sum += widen_[f * shape_.hidden + h] * hidden[h];
      result[f] = 1.0f / (1.0f + std::exp(-sum));
    }
    return result;
  }

  // y on one panel: the gated projection, its bias and x.
  void project_panel(const Layout& layout, std::size_t index, const PackedMatrix& gated, const float* fused,
                     const float* x, float* y) const {
    std::size_t band = 0, within = index;
    while (within >= layout.panels(band)) within -= layout.panels(band++);
    const std::size_t plane = layout.height * layout.width, pixels = layout.pixels(band) - within * kPanel;
    const std::size_t begin = layout.first_row(band) * layout.width + within * kPanel;
    for (std::size_t row = 0; row < shape_.channels; row += kProductRows)
      product(gated, row, fused + index * kPanel * shape_.width, pixels,
              [&](std::size_t c, std::size_t at, const Vector& sum) {
                const std::size_t place = c * plane + begin + at, count = std::min(kLanes, pixels - at);
                if (count == kLanes) {
                  store(y + place, sum + same(project_bias_[c]) + load(x + place));
                } else {
                  float lanes[kLanes];
                  store(lanes, sum);
                  for (std::size_t i = 0; i < count; ++i) y[place + i] = lanes[i] + project_bias_[c] + x[place + i];
                }
              });
  }

  ReceptiveFieldShape shape_;
  PackedMatrix expand_, fuse_, project_;
  std::vector<float> reduce_, widen_;
  std::vector<float> expand_bias_, fuse_bias_, project_bias_, reduce_bias_, widen_bias_;
  std::vector<float> branch_[3], branch_bias_[3];
};

}  // namespace s2m_edge
