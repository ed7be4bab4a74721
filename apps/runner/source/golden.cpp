#include "golden.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "failure.hpp"
#include "files.hpp"
#include "preprocess.hpp"
#include "safetensors.hpp"
#include "text.hpp"

namespace s2m {

namespace {

constexpr std::size_t kMostGolden = 1000;

// Dice of two label maps, the mean over the foreground classes that occur in either; 1 when both are empty.
double dice_between(const std::vector<std::uint8_t>& reference, const std::vector<std::uint8_t>& edge, std::size_t classes) {
  double sum = 0;
  std::size_t occurring = 0;
  for (std::size_t label = 1; label <= classes; ++label) {
    std::size_t total = 0, both = 0;
    for (std::size_t at = 0; at < reference.size(); ++at) {
      const bool first = reference[at] == label, second = edge[at] == label;
      total += static_cast<std::size_t>(first) + static_cast<std::size_t>(second);
      both += first && second;
    }
    if (total == 0) continue;
    sum += 2.0 * static_cast<double>(both) / static_cast<double>(total);
    ++occurring;
  }
  return occurring ? sum / static_cast<double>(occurring) : 1.0;
}

std::size_t count_of(const std::string& stated) {
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(stated.data(), stated.data() + stated.size(), count);
  if (error != std::errc() || end != stated.data() + stated.size() || count == 0 || count > kMostGolden)
    throw std::runtime_error("it says that it holds '" + shown(stated) + "' pictures");
  return count;
}

std::string figure(const char* format, double found, double limit) {
  char text[160];
  std::snprintf(text, sizeof text, format, found, limit);
  return text;
}

// A figure that is not finite is a breach, limited or not.
std::vector<std::string> find_breaches(const Parity& parity, const Gate& gate) {
  std::vector<std::string> found;
  if (!std::isfinite(parity.probability_error))
    found.push_back(parity.name + ": largest probability error: outputs are not finite");
  else if (parity.probability_error > gate.probability_error)
    found.push_back(parity.name +
                    figure(": largest probability error %.3g above %g", parity.probability_error, gate.probability_error));
  if (!std::isfinite(parity.mean_probability_error))
    found.push_back(parity.name + ": mean probability error: outputs are not finite");
  else if (parity.mean_probability_error > gate.mean_probability_error)
    found.push_back(parity.name + figure(": mean probability error %.3g above %g", parity.mean_probability_error,
                                         gate.mean_probability_error));
  if (!(parity.mask_agreement >= gate.mask_agreement))
    found.push_back(parity.name + figure(": mask agreement %.6f below %g", parity.mask_agreement, gate.mask_agreement));
  if (!(parity.mask_dice >= gate.mask_dice))
    found.push_back(parity.name + figure(": Dice between masks %.6f below %g", parity.mask_dice, gate.mask_dice));
  return found;
}

}  // namespace

std::vector<float> probabilities_of(const std::vector<float>& logits, std::size_t outputs) {
  const std::size_t pixels = logits.size() / outputs;
  std::vector<float> result(logits.size());
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    if (outputs == 1) {
      result[pixel] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[pixel]))));
      continue;
    }
    double largest = logits[pixel], sum = 0;
    for (std::size_t output = 1; output < outputs; ++output)
      largest = std::max<double>(largest, logits[output * pixels + pixel]);
    for (std::size_t output = 0; output < outputs; ++output) sum += std::exp(logits[output * pixels + pixel] - largest);
    for (std::size_t output = 0; output < outputs; ++output)
      result[output * pixels + pixel] = static_cast<float>(std::exp(logits[output * pixels + pixel] - largest) / sum);
  }
  return result;
}

Parity compare(const std::string& name, const std::vector<float>& reference, const std::vector<std::uint8_t>& mask,
               const std::vector<float>& edge, std::size_t outputs, float threshold, const Gate& gate) {
  Parity parity{name, 0, 0, 0, 0, 0, 0, {}};
  double sum = 0;
  for (std::size_t at = 0; at < edge.size(); ++at) {
    const double error = std::abs(static_cast<double>(edge[at]) - static_cast<double>(reference[at]));
    // What is not a number must not vanish in a maximum; the sum keeps it.
    if (!std::isnan(parity.probability_error) && !(error <= parity.probability_error)) parity.probability_error = error;
    sum += error;
  }
  parity.mean_probability_error = sum / static_cast<double>(edge.size());
  const std::vector<std::uint8_t> found = decide(edge, outputs, threshold);
  std::size_t agreeing = 0, foreground = 0;
  for (std::size_t at = 0; at < mask.size(); ++at) {
    agreeing += found[at] == mask[at];
    foreground += mask[at] > 0;
  }
  parity.mask_fraction = static_cast<double>(foreground) / static_cast<double>(mask.size());
  parity.mask_agreement = static_cast<double>(agreeing) / static_cast<double>(mask.size());
  parity.mask_dice = dice_between(mask, found, outputs == 1 ? 1 : outputs - 1);
  parity.breaches = find_breaches(parity, gate);
  return parity;
}

std::vector<Golden> read_golden(const std::filesystem::path& bundle, const Contract& contract) {
  const std::filesystem::path path = bundle / "golden.safetensors";
  const auto refused = [&path](const std::string& why, const char* reason) {
    return BundleFailure(path.string() + " " + why, kExportAgain, reason);
  };
  auto bytes = read_file(path);
  if (!bytes) throw BundleFailure("there is no " + path.string(), "Copy the whole bundle, or export it again.", "missing-file");
  const std::size_t height = contract.preprocessing.height, width = contract.preprocessing.width;
  try {
    const Safetensors file(std::move(*bytes));
    const std::size_t count = count_of(file.metadata("count"));
    for (std::size_t index = 0; index < count; ++index) {  // whether all are there, before whose they are
      for (const char* kind : {"image.", "logits.", "mask."}) file.require(kind + std::to_string(index));
      file.metadata("name." + std::to_string(index));
    }
    if (!file.has_metadata("weights_sha256") || file.metadata("weights_sha256") != contract.weights_sha256)
      throw refused("was recorded with another network", "golden-foreign");
    std::vector<Golden> golden;
    for (std::size_t index = 0; index < count; ++index) {
      const std::string number = std::to_string(index);
      const StoredTensor& image =
          file.tensor("image." + number, "U8", {height, width, contract.preprocessing.channels});
      const StoredTensor& logits = file.tensor("logits." + number, "F32", {contract.outputs, height, width});
      const StoredTensor& mask = file.tensor("mask." + number, "U8", {height, width});
      const std::vector<float> values = float_values(logits);
      if (!all_finite(values)) throw refused("holds outputs that are no numbers", "golden-not-finite");
      golden.push_back({shown(file.metadata("name." + number)),
                        {image.bytes, image.bytes + image.count},
                        probabilities_of(values, contract.outputs),
                        {mask.bytes, mask.bytes + mask.count}});
    }
    const bool shows = std::any_of(golden.begin(), golden.end(), [](const Golden& entry) {
      return std::any_of(entry.mask.begin(), entry.mask.end(), [](std::uint8_t label) { return label != 0; });
    });
    if (!shows)
      throw BundleFailure(path.string() + " shows no object in any picture, and proves nothing",
                          "Export it with --images that do.", "golden-empty");
    return golden;
  } catch (const Failure&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw refused(std::string("is damaged (") + error.what() + ")", "golden-damaged");
  }
}

bool SelfTest::passed() const { return first_breach().empty(); }

std::string SelfTest::first_breach() const {
  for (const Parity& image : images)
    if (!image.breaches.empty()) return image.breaches.front();
  const bool shown = std::any_of(images.begin(), images.end(), [](const Parity& image) { return image.mask_fraction > 0; });
  return shown ? "" : "the reference finds nothing on any golden input, and equal empty masks prove nothing";
}

SelfTest run_self_test(const std::vector<Golden>& golden, const Contract& contract, const Gate& gate,
                       const Predict& predict) {
  SelfTest result;
  for (const Golden& entry : golden) {
    double milliseconds = 0;
    std::vector<float> edge;
    try {
      edge = checked(predict, entry.probabilities.size(), entry.name)(entry.fitted, milliseconds);
    } catch (const AnswerFailure& failure) {
      Parity failed{};
      failed.name = entry.name, failed.probability_error = std::nan("");
      failed.milliseconds = milliseconds, failed.breaches = {failure.what()};
      result.images.push_back(failed);
      continue;
    }
    result.images.push_back(
        compare(entry.name, entry.probabilities, entry.mask, edge, contract.outputs, contract.threshold, gate));
    result.images.back().milliseconds = milliseconds;
  }
  return result;
}

}  // namespace s2m
