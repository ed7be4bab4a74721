// From the folded gains P and Q back to a filter, for runtimes whose node carries the gains (targets/onnx/spectral.py).
#pragma once

#include <cstddef>
#include <vector>

namespace s2m_edge {

// The matrices E and O with W = E P E' + O Q O', for square maps.
struct Unfolding {
  std::size_t kept;               // K: rows and columns of W
  std::size_t count;              // M: rows and columns of P and Q
  std::vector<float> even, odd;   // K x M, row-major
};

// Folding adds the gains of the frequencies f and -f up, so many filters have one P and Q and all filter alike. This is
// the one that gives f and -f half each. Where the map has no +N/2 beside its -N/2, the whole goes to -N/2, and Q
// (whose sines are zero there) counts for nothing.
inline Unfolding unfolding_matrices(std::size_t length, std::size_t count) {
  const std::size_t both = 2 * count - 1;
  const std::size_t kept = both < length ? both : length;
  Unfolding result{kept, count, std::vector<float>(kept * count, 0.0f), std::vector<float>(kept * count, 0.0f)};
  for (std::size_t row = 0; row < kept; ++row) {
    const bool negative = row < kept / 2;
    const std::size_t frequency = negative ? kept / 2 - row : row - kept / 2;
    const bool alone = frequency == 0 || 2 * frequency == length;
    result.even[row * count + frequency] = alone ? 1.0f : 0.5f;
    result.odd[row * count + frequency] = alone ? 0.0f : (negative ? -0.5f : 0.5f);
  }
  return result;
}

}  // namespace s2m_edge
