// The input guard: how unlike a network's training pictures a picture is. s2m_edge/imaging/descriptor.py and
// s2m_edge/deploy/guard.py define it; apps/vectors/README.md has it in words. It warns and never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "files.hpp"
#include "preprocess.hpp"

namespace s2m {

inline constexpr const char kGuardFile[] = "guard.safetensors";

// A Gaussian of low rank over descriptors of D numbers: x = (descriptor - mean) / scale varies by `deviations` along the
// K `directions`, and by `residual` along everything else.
struct Guard {
  std::size_t channels;            // of the fitted pictures, 1 or 3
  std::vector<float> mean, scale;  // D each; the scale is positive
  std::vector<float> directions;   // K x D
  std::vector<float> deviations;   // K, positive
  double residual, threshold;      // positive; a score above the threshold is unusual
};

struct GuardVerdict {
  double score, threshold;

  bool unusual() const { return score > threshold; }
  // What is to follow the picture's name; empty of a usual picture.
  std::string warning() const;
};

// The guard in the bytes of guard.safetensors, which has to be about pictures of `channels`. Throws std::runtime_error
// that says what is wrong.
Guard read_guard(Bytes file, std::size_t channels);

// The descriptor thumbnail-cosine-1 of a fitted picture height x width x channels: 79 numbers of 3 channels, 31 of 1.
std::vector<double> describe(const std::vector<std::uint8_t>& fitted, std::size_t height, std::size_t width,
                             std::size_t channels);

// The Mahalanobis distance of a descriptor.
double score(const Guard& guard, const std::vector<double>& descriptor);

// The verdict on a whole picture, stretched to the network's size also where the network slides.
GuardVerdict judge(const Guard& guard, const Picture& picture, const Preprocessing& preprocessing);

}  // namespace s2m
