#include "contract.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "failure.hpp"
#include "files.hpp"
#include "json.hpp"
#include "sha256.hpp"

namespace s2m {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::int64_t kLargestSize = 8192;
constexpr std::int64_t kMostClasses = 256;

Json read_json(const fs::path& path) {
  const auto bytes = read_file(path);
  if (!bytes) throw BundleFailure(path.string() + " cannot be read", "Copy the whole bundle, or export it again.");
  try {
    return Json::parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  } catch (const std::runtime_error& error) {
    throw BundleFailure(path.string() + " is not readable JSON (" + error.what() + ")");
  }
}

std::string plain_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\:") != std::string::npos)
    throw std::runtime_error("'" + name + "' is no file name inside the bundle");
  return name;
}

float finite(const Json& value) {
  const auto number = static_cast<float>(value.number());
  if (!std::isfinite(number)) throw std::runtime_error("a number beyond float32");
  return number;
}

SegmentClass parse_class(const Json& entry) {
  SegmentClass found{entry.at("name").text(), {}};
  const std::vector<Json>& colour = entry.at("colour").list();
  if (colour.size() != 3) throw std::runtime_error("a colour that is not three numbers");
  for (std::size_t index = 0; index < 3; ++index)
    found.colour[index] = static_cast<std::uint8_t>(colour[index].integer(0, 255));
  return found;
}

Contract parse_contract(const Json& values, const std::string& source) {
  const std::int64_t version = values.at("schema_version").integer(0, 1'000'000);
  if (version > kSchemaVersion)
    throw BundleFailure(source + " follows contract version " + std::to_string(version) + ", newer than this runner reads (" +
                            std::to_string(kSchemaVersion) + ")",
                        "Update the runner, or export the bundle with its version.");
  if (version != kSchemaVersion) throw std::runtime_error("the contract version " + std::to_string(version) + " is unknown");
  Contract contract;
  contract.target = values.at("target").text();
  if (contract.target != "executorch")
    throw BundleFailure(source + " is of the target " + contract.target + ", and this program runs executorch bundles",
                        "Make one with s2m-edge export --target executorch.");
  if (values.at("notice").text() != kNotice) throw std::runtime_error("the notice is not the toolkit's");
  contract.precision = values.at("precision").text();
  contract.spectral = values.at("spectral").text();
  contract.checkpoint = values.at("checkpoint").at("sha256").text();
  contract.artifact = plain_name(values.at("artifact").at("file").text());
  bool covered = false;
  for (const auto& [name, hash] : values.at("artifact").at("sha256").members()) {
    contract.hashes.emplace_back(plain_name(name), hash.text());
    covered = covered || name == contract.artifact;
  }
  if (!covered) throw std::runtime_error("there is no SHA-256 of " + contract.artifact);
  contract.preprocessing = parse_preprocessing(values.at("preprocessing"));
  const Json& input = values.at("input");
  if (input.at("dtype").text() != "float32" || input.at("layout").text() != "NCHW" ||
      input.at("normalised_inside").boolean())
    throw std::runtime_error("the input is not a normalised float32 NCHW tensor");
  const std::vector<Json>& shape = values.at("output").at("shape").list();
  if (shape.size() != 4) throw std::runtime_error("the output does not have four axes");
  contract.outputs = static_cast<std::size_t>(shape[1].integer(1, kMostClasses));
  const auto size = static_cast<std::int64_t>(contract.preprocessing.size);
  if (shape[0].integer(1, 1) != 1 || shape[2].integer(size, size) != size || shape[3].integer(size, size) != size)
    throw std::runtime_error("the output is not of the input's size");
  if (values.at("output").at("activation").text() != (contract.outputs == 1 ? "sigmoid" : "softmax"))
    throw std::runtime_error("the activation does not fit the number of classes");
  contract.threshold = finite(values.at("postprocessing").at("threshold"));
  if (contract.threshold < 0 || contract.threshold > 1) throw std::runtime_error("the threshold is outside of 0..1");
  for (const Json& entry : values.at("classes").list()) contract.classes.push_back(parse_class(entry));
  if (contract.classes.size() != (contract.outputs == 1 ? 1 : contract.outputs - 1))
    throw std::runtime_error("there are not as many classes as outputs");
  return contract;
}

}  // namespace

Preprocessing parse_preprocessing(const Json& entry) {
  Preprocessing values;
  values.size = static_cast<std::size_t>(entry.at("size").integer(1, kLargestSize));
  values.channels = static_cast<std::size_t>(entry.at("channels").integer(1, 3));
  if (values.channels == 2) throw std::runtime_error("2 channels where 1 or 3 were due");
  if (entry.at("fit").text() != "stretch") throw std::runtime_error("the fit '" + entry.at("fit").text() + "' is unknown");
  values.scale = finite(entry.at("scale"));
  for (const Json& mean : entry.at("mean").list()) values.mean.push_back(finite(mean));
  for (const Json& deviation : entry.at("standard_deviation").list()) {
    values.deviation.push_back(finite(deviation));
    if (!(values.deviation.back() > 0)) throw std::runtime_error("a standard deviation that is not positive");
  }
  if (values.mean.size() < values.channels || values.deviation.size() < values.channels)
    throw std::runtime_error("fewer means or standard deviations than channels");
  return values;
}

Contract read_contract(const fs::path& bundle) {
  const fs::path path = bundle / "contract.json";
  if (!fs::is_regular_file(path))
    throw BundleFailure(bundle.string() + " is not a bundle: it has no contract.json",
                        "Make one with s2m-edge export --target executorch.");
  const Json values = read_json(path);
  try {
    return parse_contract(values, path.string());
  } catch (const Failure&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw BundleFailure(path.string() + " is damaged (" + error.what() + ")");
  }
}

fs::path verified_artifact(const fs::path& bundle, const Contract& contract) {
  for (const auto& [name, expected] : contract.hashes) {
    const auto bytes = read_file(bundle / name);
    if (!bytes) throw BundleFailure(bundle.string() + " lacks " + name, "Copy the whole bundle, or export it again.");
    if (sha256(*bytes) != expected)
      throw BundleFailure(name + " in " + bundle.string() + " is not the file that was exported (SHA-256 differs)",
                          "Copy it again, or export it again.");
  }
  return bundle / contract.artifact;
}

Gate parse_gate(const Json& entry) {
  Gate gate{std::numeric_limits<double>::infinity(), 0, 0};
  for (const auto& [name, limit] : entry.members()) {
    if (limit.is_null()) continue;
    if (name == "probability_error") {
      gate.probability_error = limit.number();
    } else if (name == "mask_agreement") {
      gate.mask_agreement = limit.number();
    } else if (name == "mask_dice") {
      gate.mask_dice = limit.number();
    } else {
      throw std::runtime_error("it has a limit that this runner does not know, " + name);
    }
  }
  if (!(gate.mask_agreement > 0)) throw std::runtime_error("it promises no agreement of masks");
  return gate;
}

Gate read_gate(const fs::path& bundle) {
  const fs::path path = bundle / "parity.json";
  const Json report = read_json(path);
  try {
    return parse_gate(report.at("gate"));
  } catch (const std::runtime_error& error) {
    throw BundleFailure(path.string() + " cannot be used (" + error.what() + ")");
  }
}

}  // namespace s2m
