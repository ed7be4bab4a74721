// Small matrix products on panels of pixels: the 1x1 convolutions of a block whose activations never leave the cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "exponential.hpp"
#include "vector.hpp"

namespace s2m_edge {

// A tile is kProductRows output channels times up to kProductVectors vectors of pixels: what the registers hold.
#if defined(__AVX512F__)
constexpr std::size_t kProductRows = 12, kProductVectors = 2;
#elif defined(__AVX__)
constexpr std::size_t kProductRows = 6, kProductVectors = 2;
#elif defined(__aarch64__) || defined(_M_ARM64)
constexpr std::size_t kProductRows = 6, kProductVectors = 4;
#else
constexpr std::size_t kProductRows = 6, kProductVectors = 2;
#endif
constexpr std::size_t kPanel = kProductVectors * kLanes;  // pixels of a panel

// A matrix of rows x depth as blocks of kProductRows rows, each depth x kProductRows; missing rows are zero.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(const float* values, std::size_t rows, std::size_t depth) : rows_(rows), depth_(depth) {
    values_.assign(round_up(rows, kProductRows) * depth, 0.0f);
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t k = 0; k < depth; ++k) values_[place(row, k)] = values[row * depth + k];
  }

  // The same matrix with each column multiplied by its factor.
  void scale_columns(const PackedMatrix& from, const float* factors) {
    rows_ = from.rows_;
    depth_ = from.depth_;
    values_.resize(from.values_.size());
    for (std::size_t block = 0; block < values_.size(); block += depth_ * kProductRows)
      for (std::size_t k = 0; k < depth_; ++k)
        for (std::size_t i = 0; i < kProductRows; ++i) {
          const std::size_t index = block + k * kProductRows + i;
          values_[index] = from.values_[index] * factors[k];
        }
  }

  std::size_t rows() const { return rows_; }
  std::size_t depth() const { return depth_; }
  const float* block(std::size_t first_row) const { return values_.data() + first_row * depth_; }

 private:
  std::size_t place(std::size_t row, std::size_t k) const {
    return (row / kProductRows * depth_ + k) * kProductRows + row % kProductRows;
  }

  std::size_t rows_ = 0, depth_ = 0;
  std::vector<float> values_;
};

// sums[i * vectors + v] = sum over k of block[k][i] * panel[k][v], in the order of k.
template <std::size_t kVectors>
S2M_EDGE_INLINE void multiply(const float* block, const float* panel, std::size_t depth, Vector* sums) {
  Vector sum[kProductRows][kVectors];
  for (std::size_t i = 0; i < kProductRows; ++i)
    for (std::size_t v = 0; v < kVectors; ++v) sum[i][v] = Vector{};
  for (std::size_t k = 0; k < depth; ++k) {
    Vector pixels[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) pixels[v] = load(panel + k * kPanel + v * kLanes);
    for (std::size_t i = 0; i < kProductRows; ++i)
      for (std::size_t v = 0; v < kVectors; ++v) sum[i][v] = sum[i][v] + pixels[v] * block[k * kProductRows + i];
  }
  for (std::size_t i = 0; i < kProductRows; ++i)
    for (std::size_t v = 0; v < kVectors; ++v) sums[i * kVectors + v] = sum[i][v];
}

// For every row of `matrix` and every vector of the panel's first `pixels`: finish(row, vector's first pixel, sum).
template <std::size_t kVectors, class Finish>
void product_of_width(const PackedMatrix& matrix, std::size_t first_row, const float* panel, const Finish& finish) {
  Vector sums[kProductRows * kVectors];
  multiply<kVectors>(matrix.block(first_row), panel, matrix.depth(), sums);
  const std::size_t rows = std::min(kProductRows, matrix.rows() - first_row);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t v = 0; v < kVectors; ++v) finish(first_row + i, v * kLanes, sums[i * kVectors + v]);
}

// One block of rows, as above; vectors without a pixel are left out.
template <class Finish>
void product(const PackedMatrix& matrix, std::size_t first_row, const float* panel, std::size_t pixels,
             const Finish& finish) {
  const std::size_t vectors = (std::min(pixels, kPanel) + kLanes - 1) / kLanes;
  if (vectors == 1) return product_of_width<1>(matrix, first_row, panel, finish);
  if constexpr (kProductVectors > 2) {
    if (vectors == 2) return product_of_width<2>(matrix, first_row, panel, finish);
    if constexpr (kProductVectors > 3)
      if (vectors == 3) return product_of_width<3>(matrix, first_row, panel, finish);
  }
  product_of_width<kProductVectors>(matrix, first_row, panel, finish);
}

}  // namespace s2m_edge
