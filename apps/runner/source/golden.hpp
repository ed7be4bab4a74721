// The golden inputs of a bundle, and how far this device's answers lie from the reference's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "answer.hpp"
#include "contract.hpp"

namespace s2m {

struct Golden {
  std::string name;
  std::vector<std::uint8_t> fitted;   // height x width x channels
  std::vector<float> probabilities;  // of the reference, outputs x height x width
  std::vector<std::uint8_t> mask;    // of the reference, height x width
};

// What golden.safetensors holds. Throws BundleFailure: missing, damaged, of another network, not finite, or showing
// nothing in any mask: an artifact that finds nothing anywhere would agree with them.
std::vector<Golden> read_golden(const std::filesystem::path& bundle, const Contract& contract);

// As in targets/measure/parity/compare.py.
struct Parity {
  std::string name;
  double probability_error, mean_probability_error, mask_agreement, mask_dice;
  double mask_fraction;  // of the reference's mask that is foreground
  double milliseconds;
  std::vector<std::string> breaches;  // the limits that do not hold, as sentences
};

// Sigmoid of one output, softmax of several, of logits outputs x pixels.
std::vector<float> probabilities_of(const std::vector<float>& logits, std::size_t outputs);

// How far `edge` lies from the reference: probabilities outputs x pixels, and the reference's mask.
Parity compare(const std::string& name, const std::vector<float>& reference, const std::vector<std::uint8_t>& mask,
               const std::vector<float>& edge, std::size_t outputs, float threshold, const Gate& gate);

// Passed where every image keeps the gate and the reference finds something on at least one: equal empty masks prove
// nothing.
struct SelfTest {
  std::vector<Parity> images;
  bool passed() const;
  std::string first_breach() const;
};

// Run the golden inputs. An answer that could not become a mask is a breach, and is compared no further.
SelfTest run_self_test(const std::vector<Golden>& golden, const Contract& contract, const Gate& gate,
                       const Predict& predict);

}  // namespace s2m
