// BatchNorm in training and the ELU behind it, forward and backward, in passes over memory that each do all they can.
//
//   forward:   mean, variance of each channel;  y = elu(z),  z = (x - mean) * scale + beta,  scale = gamma / deviation
//   backward:  d = upstream * elu'(z);  sums of d and of d * (x - mean);
//              gradient = scale * (d - mean of d - (x - mean) * (mean of d * (x - mean)) / variance)
//
// x is read twice each way, z is never stored: elu'(z) = exp(min(z, 0)) comes from x again. Tensors lie channels last,
// rows x channels. Sums are of float32 within a block that stays in the cache and of float64 beyond, over parts that do
// not depend on how many threads run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "brain.hpp"
#include "exponential.hpp"
#include "vector.hpp"

namespace s2m_edge {

struct NormShape {
  std::size_t rows, channels;
};

// What a channel is normalised with, `channels` of each.
struct NormValues {
  const float *mean, *scale, *beta;
};

constexpr std::size_t kNormParts = 64;      // tasks at most; their sums are added in their order
constexpr std::size_t kNormBlock = 1 << 14;  // values of a block: 64 KB of float32

// The first `count` values, the others zero. Whole vectors are told apart outside the loops over rows.
template <class Storage>
S2M_EDGE_INLINE Vector load_some(const Storage* from, std::size_t count) {
  if (count >= kLanes) return load(from);
  Storage padded[kLanes] = {};
  std::memcpy(padded, from, count * sizeof(Storage));
  return load(static_cast<const Storage*>(padded));
}

template <class Storage>
S2M_EDGE_INLINE void store_some(Storage* to, const Vector& value, std::size_t count) {
  if (count >= kLanes) return store(to, value);
  Storage padded[kLanes];
  store(static_cast<Storage*>(padded), value);
  std::memcpy(to, padded, count * sizeof(Storage));
}

S2M_EDGE_INLINE Vector slope_of_elu(const Vector& z) { return exponential_less_one(negative_part(z)) + same(1.0f); }

// body(v, count) for each vector of channels, `count` of which are there.
template <class Body>
S2M_EDGE_INLINE void each_vector(std::size_t channels, const Body& body) {
  std::size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, kLanes);  // a constant: no test is left in the loop
  if (c < channels) body(c, channels - c);
}

// body(row) for each row; whole rows lie one after the other in memory, and so are gone through.
template <class ParallelFor, class Body>
void each_row(const NormShape& shape, const ParallelFor& parallel_for, const Body& body) {
  const std::size_t parts = std::min(kNormParts, shape.rows);
  parallel_for(parts, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin * shape.rows / parts; row < end * shape.rows / parts; ++row) body(row);
  });
}

struct NormParts {
  std::size_t parts, rows_a_part, rows_a_block;

  explicit NormParts(const NormShape& shape)
      : parts(std::max<std::size_t>(1, std::min(kNormParts, shape.rows))),
        rows_a_part((shape.rows + parts - 1) / parts),
        rows_a_block(std::max<std::size_t>(1, kNormBlock / std::max<std::size_t>(1, shape.channels))) {}

  // body(first, last) for each block of rows of a part, in order.
  template <class Body>
  void each_block(const NormShape& shape, std::size_t part, const Body& body) const {
    const std::size_t end = std::min(shape.rows, (part + 1) * rows_a_part);
    for (std::size_t first = part * rows_a_part; first < end; first += rows_a_block)
      body(first, std::min(end, first + rows_a_block));
  }
};

// Mean and (biased) variance of each channel. Chan's formula joins the blocks, so that a mean far from zero costs no digits.
template <class Storage, class ParallelFor>
void norm_statistics(const Storage* x, const NormShape& shape, float* mean, float* variance,
                     const ParallelFor& parallel_for) {
  const NormParts plan(shape);
  const std::size_t width = shape.channels;
  std::vector<double> means(plan.parts * width), squares(plan.parts * width);
  parallel_for(plan.parts, [&](std::size_t begin, std::size_t end) {
    for (std::size_t part = begin; part < end; ++part) {
      double *center = means.data() + part * width, *spread = squares.data() + part * width;
      double seen = 0.0;
      plan.each_block(shape, part, [&](std::size_t first, std::size_t last) {
        const double fresh = static_cast<double>(last - first), all = seen + fresh;
        each_vector(width, [&](std::size_t c, std::size_t count) {
          Vector sum{};
          for (std::size_t row = first; row < last; ++row) sum = sum + load_some(x + row * width + c, count);
          const Vector middle = sum * static_cast<float>(1.0 / fresh);
          Vector square{}, rest{};
          for (std::size_t row = first; row < last; ++row) {
            const Vector apart = load_some(x + row * width + c, count) - middle;
            square = square + apart * apart;
            rest = rest + apart;  // what the rounding of `middle` left
          }
          float middles[kLanes], spreads[kLanes], rests[kLanes];
          store(middles, middle);
          store(spreads, square);
          store(rests, rest);
          for (std::size_t i = 0; i < count; ++i) {
            const double left = rests[i] / fresh, here = middles[i] + left, step = here - center[c + i];
            center[c + i] += step * fresh / all;
            spread[c + i] += spreads[i] - left * left * fresh + step * step * seen * fresh / all;
          }
        });
        seen = all;
      });
    }
  });
  for (std::size_t c = 0; c < width; ++c) {
    double seen = 0.0, center = 0.0, spread = 0.0;
    for (std::size_t part = 0; part < plan.parts; ++part) {
      const std::size_t from = part * plan.rows_a_part, to = std::min(shape.rows, from + plan.rows_a_part);
      if (from >= to) break;
      const double fresh = static_cast<double>(to - from), all = seen + fresh;
      const double step = means[part * width + c] - center;
      center += step * fresh / all;
      spread += squares[part * width + c] + step * step * seen * fresh / all;
      seen = all;
    }
    mean[c] = static_cast<float>(center);
    variance[c] = seen > 0.0 ? static_cast<float>(spread / seen) : 0.0f;
  }
}

template <class Storage, class ParallelFor>
void norm_elu_forward(const Storage* x, const NormShape& shape, const NormValues& values, Storage* y,
                      const ParallelFor& parallel_for) {
  each_row(shape, parallel_for, [&](std::size_t row) {
    const Storage* from = x + row * shape.channels;
    Storage* to = y + row * shape.channels;
    each_vector(shape.channels, [&](std::size_t c, std::size_t count) {
      const Vector apart = load_some(from + c, count) - load_some(values.mean + c, count);
      store_some(to + c, elu(apart * load_some(values.scale + c, count) + load_some(values.beta + c, count)), count);
    });
  });
}

// Of each channel: the sum of d, and that of d * (x - mean), in float64.
template <class Storage, class ParallelFor>
void norm_elu_sums(const Storage* x, const Storage* upstream, const NormShape& shape, const NormValues& values,
                   double* sum, double* weighted, const ParallelFor& parallel_for) {
  const NormParts plan(shape);
  const std::size_t width = shape.channels;
  std::vector<double> sums(plan.parts * width), weights(plan.parts * width);
  parallel_for(plan.parts, [&](std::size_t begin, std::size_t end) {
    for (std::size_t part = begin; part < end; ++part)
      plan.each_block(shape, part, [&](std::size_t first, std::size_t last) {
        each_vector(width, [&](std::size_t c, std::size_t count) {
          const Vector mean = load_some(values.mean + c, count), scale = load_some(values.scale + c, count);
          const Vector beta = load_some(values.beta + c, count);
          Vector plain{}, by_x{};
          for (std::size_t row = first; row < last; ++row) {
            const Vector apart = load_some(x + row * width + c, count) - mean;
            const Vector d = load_some(upstream + row * width + c, count) * slope_of_elu(apart * scale + beta);
            plain = plain + d;
            by_x = by_x + d * apart;
          }
          float plains[kLanes], by_xs[kLanes];
          store(plains, plain);
          store(by_xs, by_x);
          for (std::size_t i = 0; i < count; ++i) {
            sums[part * width + c + i] += plains[i];
            weights[part * width + c + i] += by_xs[i];
          }
        });
      });
  });
  for (std::size_t c = 0; c < width; ++c) {
    sum[c] = weighted[c] = 0.0;
    for (std::size_t part = 0; part < plan.parts; ++part) {
      sum[c] += sums[part * width + c];
      weighted[c] += weights[part * width + c];
    }
  }
}

// gradient = scale * d - level - (x - mean) * slope, the last two of each channel.
template <class Storage, class ParallelFor>
void norm_elu_backward(const Storage* x, const Storage* upstream, const NormShape& shape, const NormValues& values,
                       const float* level, const float* slope, Storage* gradient, const ParallelFor& parallel_for) {
  each_row(shape, parallel_for, [&](std::size_t row) {
    const Storage *from = x + row * shape.channels, *above = upstream + row * shape.channels;
    Storage* to = gradient + row * shape.channels;
    each_vector(shape.channels, [&](std::size_t c, std::size_t count) {
      const Vector apart = load_some(from + c, count) - load_some(values.mean + c, count);
      const Vector scale = load_some(values.scale + c, count);
      const Vector d = load_some(above + c, count) * slope_of_elu(apart * scale + load_some(values.beta + c, count));
      store_some(to + c, d * scale - load_some(level + c, count) - apart * load_some(slope + c, count), count);
    });
  });
}

}  // namespace s2m_edge
