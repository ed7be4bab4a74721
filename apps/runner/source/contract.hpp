// What contract.json of a bundle says. It is refused for the reasons that every reader gives (docs/contract.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace s2m {

class Json;

// As in s2m_edge/deploy/contract.py: stands wherever a person sees a mask.
inline constexpr const char kNotice[] = "Research use only. Not a medical device.";

struct SegmentClass {
  std::string name;
  std::array<std::uint8_t, 3> colour;  // RGB
};

// How windows of the network's height and width are laid over a picture.
struct Window {
  double overlap;  // share of a window's side that the next one covers again, 0..0.75
  double sigma;    // of the Gaussian that weighs a window's pixels, in sides of the window
};

// How values deeper than 8 bits become levels: `low` to `high` is spread over 0..255.
struct Intensity {
  bool window = false;           // whether these are values; else percentiles of the picture's own
  double low = 0, high = 100;
};

struct Preprocessing {
  std::size_t height, width;     // of the network's input, in pixels
  std::size_t channels;          // 3: RGB, 1: grey by ITU-R BT.601 luma
  std::optional<Window> window;  // nothing: the picture is stretched to the network's size; else the network slides over it
  Intensity intensity;
  float scale;                   // 0..255 to the range that mean and deviation refer to
  std::vector<float> mean, deviation;
};

// The limits that the bundle was published under, infinite or zero where one is not promised.
struct Gate {
  double probability_error, mean_probability_error, mask_agreement, mask_dice;
};

// The contract's `parity/gate`. Throws std::runtime_error: damaged, or with a limit that this program does not know.
Gate parse_gate(const Json& entry);

struct Contract {
  std::string network, architecture;  // its name, and of what kind it is, for people
  std::string target, precision, spectral, weights_sha256;
  std::string artifact;                                     // the file or folder that the runtime opens
  std::vector<std::pair<std::string, std::string>> files;  // SHA-256 of every file but the contract, by its path inside
  std::string input_type, input_layout;
  bool normalised_inside;
  bool passed;  // its gate
  std::size_t images, images_with_foreground;
  Gate gate;
  Preprocessing preprocessing;
  std::size_t outputs;  // 1: sigmoid; more: softmax, background first
  float threshold;      // one output: p >= threshold is foreground
  std::vector<SegmentClass> classes;

  // Whether it passed its gate on pictures that show something.
  bool proved() const { return passed && images_with_foreground > 0; }
};

// Its field `intensity`. Throws std::runtime_error.
Intensity parse_intensity(const Json& entry);

// The contract's field `preprocessing`. Throws std::runtime_error.
Preprocessing parse_preprocessing(const Json& entry);

// The contract of a bundle of any target. Throws BundleFailure, whose reason says why.
Contract read_contract(const std::filesystem::path& bundle);

}  // namespace s2m
