// What contract.json and parity.json of a bundle say, as far as this program needs it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace s2m {

class Json;

// As in s2m_edge/contract.py: stands wherever a person sees a mask.
inline constexpr const char kNotice[] = "Research use only. Not a medical device.";

struct SegmentClass {
  std::string name;
  std::array<std::uint8_t, 3> colour;  // RGB
};

struct Preprocessing {
  std::size_t size;      // height and width of the network's input; the picture is stretched to it
  std::size_t channels;  // 3: RGB, 1: grey by ITU-R BT.601 luma
  float scale;           // 0..255 to the range that mean and deviation refer to
  std::vector<float> mean, deviation;
};

struct Contract {
  std::string target, precision, spectral, checkpoint;
  std::string artifact;                                      // file name inside the bundle
  std::vector<std::pair<std::string, std::string>> hashes;  // SHA-256 by file name
  Preprocessing preprocessing;
  std::size_t outputs;  // 1: sigmoid; more: softmax, background first
  float threshold;      // one output: p >= threshold is foreground
  std::vector<SegmentClass> classes;
};

// The contract's field `preprocessing`. Throws std::runtime_error.
Preprocessing parse_preprocessing(const Json& entry);

// The contract of an ExecuTorch bundle. Throws BundleFailure: no bundle, damaged, newer, or of another target.
Contract read_contract(const std::filesystem::path& bundle);

// The artifact's path, once every file of it has the SHA-256 that the contract says. A garbled program would end the
// process inside the runtime. Throws BundleFailure.
std::filesystem::path verified_artifact(const std::filesystem::path& bundle, const Contract& contract);

// The limits that the bundle was published under, from its parity.json; infinite or zero where one is not promised.
struct Gate {
  double probability_error, mask_agreement, mask_dice;
};

// The field `gate` of parity.json. Throws std::runtime_error: damaged, or with a limit that this program does not know.
Gate parse_gate(const Json& entry);

// Throws BundleFailure: parity.json is missing or damaged, or see parse_gate.
Gate read_gate(const std::filesystem::path& bundle);

}  // namespace s2m
