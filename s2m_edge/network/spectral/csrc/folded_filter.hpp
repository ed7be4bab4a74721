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

// W, channels x kept x kept, of P and Q: channels x count x count each, width frequencies first.
inline std::vector<float> unfold_filter(const float* even, const float* odd, std::size_t channels,
                                        const Unfolding& unfolding) {
  const std::size_t kept = unfolding.kept, count = unfolding.count, zero = kept / 2;
  const auto distance = [&](std::size_t index) { return index < zero ? zero - index : index - zero; };
  std::vector<float> weight(channels * kept * kept);
  float* out = weight.data();
  for (std::size_t channel = 0; channel < channels; ++channel, even += count * count, odd += count * count)
    for (std::size_t row = 0; row < kept; ++row) {
      // A row of E and of O has one entry, at the row's frequency.
      const std::size_t height = distance(row);
      const float even_row = unfolding.even[row * count + height], odd_row = unfolding.odd[row * count + height];
      for (std::size_t column = 0; column < kept; ++column, ++out) {
        const std::size_t width = distance(column), place = width * count + height;
        *out = even_row * unfolding.even[column * count + width] * even[place] +
               odd_row * unfolding.odd[column * count + width] * odd[place];
      }
    }
  return weight;
}

}  // namespace s2m_edge
