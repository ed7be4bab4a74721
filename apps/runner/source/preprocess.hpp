// Before and after the network, as s2m_edge/imaging/resample.py and preprocess.py define it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "contract.hpp"

namespace s2m {

// RGB, rows from the top.
struct Picture {
  std::size_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // height x width x 3
};

// One axis of the resize rule: output i is the sum of weights[i * most .. ] over the inputs from first[i] on. A triangle
// of radius max(1, in / out) around (i + 0.5) * in / out - 0.5, normalised to one, samples outside dropped.
class Resampling {
 public:
  Resampling(std::size_t length, std::size_t new_length);

  std::size_t size() const { return first_.size(); }
  std::size_t first(std::size_t index) const { return first_[index]; }
  std::size_t count(std::size_t index) const { return starts_[index + 1] - starts_[index]; }
  const float* weights(std::size_t index) const { return weights_.data() + starts_[index]; }

 private:
  std::vector<std::size_t> first_, starts_;
  std::vector<float> weights_;
};

// A plane rows x columns resampled to height x width, the columns first.
std::vector<float> resample(const std::vector<float>& plane, std::size_t rows, std::size_t columns, std::size_t height,
                            std::size_t width);

// The picture stretched to the network's height x width x channels, rounded half up to 8 bits.
std::vector<std::uint8_t> fit_to_network(const Picture& picture, const Preprocessing& preprocessing);

// A fitted picture as the network's input, channels x height x width.
std::vector<float> normalise(const std::vector<std::uint8_t>& fitted, const Preprocessing& preprocessing);

// Labels of probabilities outputs x pixels: 1 where p >= threshold for one output, else the largest (the first of
// equals), 0 being the background.
std::vector<std::uint8_t> decide(const std::vector<float>& probabilities, std::size_t outputs, float threshold);

// Labels height x width of probabilities outputs x the network's height x width, which are resampled first and then
// decided.
std::vector<std::uint8_t> mask_in_original_size(const std::vector<float>& probabilities, std::size_t outputs,
                                                const Preprocessing& preprocessing, std::size_t height,
                                                std::size_t width, float threshold);

}  // namespace s2m
