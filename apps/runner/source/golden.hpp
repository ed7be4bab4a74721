// The golden inputs of a bundle, and how far this device's answers lie from the reference's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "contract.hpp"

namespace s2m {

struct Golden {
  std::string name;
  std::vector<std::uint8_t> fitted;   // size x size x channels
  std::vector<float> probabilities;  // of the reference, outputs x size x size
  std::vector<std::uint8_t> mask;    // of the reference, size x size
};

// What golden.safetensors holds. Throws BundleFailure: missing, damaged, or of another network.
std::vector<Golden> read_golden(const std::filesystem::path& bundle, const Contract& contract);

// As in targets/parity/compare.py.
struct Parity {
  std::string name;
  double probability_error, mask_agreement, mask_dice, milliseconds;
  std::vector<std::string> breaches;  // the limits that do not hold, as sentences
};

// Sigmoid of one output, softmax of several, of logits outputs x pixels.
std::vector<float> probabilities_of(const std::vector<float>& logits, std::size_t outputs);

// How far `edge` lies from the reference: probabilities outputs x pixels, and the reference's mask.
Parity compare(const std::string& name, const std::vector<float>& reference, const std::vector<std::uint8_t>& mask,
               const std::vector<float>& edge, std::size_t outputs, float threshold, const Gate& gate);

struct SelfTest {
  std::vector<Parity> images;
  bool passed() const;
  std::string first_breach() const;
};

// Probabilities of the network for a fitted picture; sets the milliseconds that it took.
using Predict = std::function<std::vector<float>(const std::vector<std::uint8_t>& fitted, double& milliseconds)>;

SelfTest run_self_test(const std::vector<Golden>& golden, const Contract& contract, const Gate& gate,
                       const Predict& predict);

}  // namespace s2m
