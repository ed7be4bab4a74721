// The weight gradient of a depthwise convolution: stride 1, odd square kernel, as much padding as keeps the size.
//
//   gradient[c][i][j] = sum over b, h, w of x[b][h + i - K/2][w + j - K/2][c] * upstream[b][h][w][c]
//
// oneDNN has a fast form of it for kernels of 3 alone; for 5 and 7 it takes the general one, which multiplies sixteen
// times too much. Here a block of channels lies in the lanes of a vector, and the K sums of one kernel row stay in
// registers along a row of the picture. The rows of x that the kernel reaches are kept in a ring, as float32 and with
// zeros at both ends, so that the inner loop has neither conversions nor borders.
#pragma once

#include <cstddef>
#include <vector>

#include "brain.hpp"
#include "vector.hpp"

namespace s2m_edge {

struct DepthwiseShape {
  std::size_t batch, channels, height, width;
};

constexpr std::size_t kChannelBlock = 16;
constexpr std::size_t kBlockVectors = kChannelBlock / kLanes;

// `present` channels of `width` positions, `stride` values apart, to blocks of kChannelBlock; lacking ones become zero.
template <class Storage>
void read_row(const Storage* from, std::size_t stride, std::size_t width, std::size_t present, float* to) {
  if (present == kChannelBlock) {
    for (std::size_t w = 0; w < width; ++w, from += stride, to += kChannelBlock)
      for (std::size_t c = 0; c < kChannelBlock; ++c) to[c] = to_float(from[c]);
    return;
  }
  for (std::size_t w = 0; w < width; ++w, from += stride, to += kChannelBlock)
    for (std::size_t c = 0; c < kChannelBlock; ++c) to[c] = c < present ? to_float(from[c]) : 0.0f;
}

// sums[j] += sum over w of x[w + j] * upstream[w], each a block of channels.
template <std::size_t K>
void correlate_rows(const float* x, const float* upstream, std::size_t width, float* sums) {
  for (std::size_t v = 0; v < kBlockVectors; ++v) {
    const float* from = x + v * kLanes;
    const float* gradient = upstream + v * kLanes;
    Vector total[K] = {};
    std::size_t w = 0;
    for (; w + 2 <= width; w += 2) {  // two positions at a time share all loads of x but one
      const Vector first = load(gradient + w * kChannelBlock), second = load(gradient + (w + 1) * kChannelBlock);
      Vector value = load(from + w * kChannelBlock);
      for (std::size_t j = 0; j < K; ++j) {
        total[j] = total[j] + value * first;
        value = load(from + (w + j + 1) * kChannelBlock);
        total[j] = total[j] + value * second;
      }
    }
    for (; w < width; ++w) {
      const Vector only = load(gradient + w * kChannelBlock);
      for (std::size_t j = 0; j < K; ++j) total[j] = total[j] + load(from + (w + j) * kChannelBlock) * only;
    }
    for (std::size_t j = 0; j < K; ++j) {
      float* sum = sums + j * kChannelBlock + v * kLanes;
      store(sum, load(sum) + total[j]);
    }
  }
}

// One block of channels, from `channel` on: the whole batch, so that the result does not depend on how many threads run.
template <std::size_t K, class Storage>
void block_gradient(const Storage* x, const Storage* upstream, const DepthwiseShape& shape, std::size_t channel,
                    float* gradient) {
  constexpr std::size_t kHalf = K / 2;
  const std::size_t row = shape.width * shape.channels, padded = (shape.width + K - 1) * kChannelBlock;
  const std::size_t present =
      shape.channels - channel < kChannelBlock ? shape.channels - channel : kChannelBlock;
  std::vector<float> ring(K * padded), line(shape.width * kChannelBlock), sums(K * K * kChannelBlock);
  for (std::size_t b = 0; b < shape.batch; ++b) {
    const Storage* picture = x + b * shape.height * row + channel;
    const Storage* slope = upstream + b * shape.height * row + channel;
    const auto keep = [&](std::size_t h) {
      read_row(picture + h * row, shape.channels, shape.width, present,
               ring.data() + h % K * padded + kHalf * kChannelBlock);
    };
    for (std::size_t h = 0; h < kHalf && h < shape.height; ++h) keep(h);
    for (std::size_t h = 0; h < shape.height; ++h) {
      if (h + kHalf < shape.height) keep(h + kHalf);
      read_row(slope + h * row, shape.channels, shape.width, present, line.data());
      for (std::size_t i = 0; i < K; ++i) {
        if (h + i < kHalf || h + i >= shape.height + kHalf) continue;  // rows of zeros beyond the picture
        correlate_rows<K>(ring.data() + (h + i - kHalf) % K * padded, line.data(), shape.width,
                          sums.data() + i * K * kChannelBlock);
      }
    }
  }
  for (std::size_t c = 0; c < present; ++c)
    for (std::size_t tap = 0; tap < K * K; ++tap)
      gradient[(channel + c) * K * K + tap] = sums[tap * kChannelBlock + c];
}

// x and upstream: batch x height x width x channels; gradient: channels x K x K. `parallel_for(count, body)` calls
// body(begin, end) for parts of 0..count, on whatever threads it has.
template <std::size_t K, class Storage, class ParallelFor>
void depthwise_weight_gradient(const Storage* x, const Storage* upstream, const DepthwiseShape& shape, float* gradient,
                               const ParallelFor& parallel_for) {
  const std::size_t blocks = (shape.channels + kChannelBlock - 1) / kChannelBlock;
  parallel_for(blocks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t block = begin; block < end; ++block)
      block_gradient<K>(x, upstream, shape, block * kChannelBlock, gradient);
  });
}

}  // namespace s2m_edge
