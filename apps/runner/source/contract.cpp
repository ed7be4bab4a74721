#include "contract.hpp"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string_view>

#include "failure.hpp"
#include "files.hpp"
#include "json.hpp"
#include "text.hpp"

namespace s2m {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSchemaVersion = 2;
constexpr std::size_t kLargestContract = std::size_t{1} << 20;  // bytes
constexpr double kLargestOutput = 134217728;                      // values
constexpr double kLargestIntensity = 1e9;                         // of a window's ends
constexpr std::int64_t kLargestSide = 8192, kMostOutputs = 256, kMostFiles = 1000, kMostImages = 1'000'000;
constexpr std::int64_t kLargestWhole = std::int64_t{1} << 53;
constexpr std::size_t kLongestPath = 250, kLongestSegment = 100;
constexpr const char kGolden[] = "golden.safetensors", kParity[] = "parity.json";
constexpr std::initializer_list<const char*> kTargets = {"executorch", "coreml", "coreai", "openvino", "onnx", "litert"};
constexpr std::initializer_list<const char*> kPrecisions = {
    "float32", "float16", "float16-mixed", "bfloat16", "int8", "int8-weights", "palette6"};

using Names = std::initializer_list<const char*>;

[[noreturn]] void complain(const std::string& what) { throw std::runtime_error(what); }

// What does not hold is told by where it stands.
void require(bool holds, const char* where) {
  if (!holds) complain(where);
}

bool is_one_of(const std::string& word, Names words) {
  return std::any_of(words.begin(), words.end(), [&word](const char* known) { return word == known; });
}

// `value` as an object that has these members and no other.
const Json& with_members(const Json& value, const char* where, Names names) {
  for (const auto& member : value.members())
    if (!is_one_of(member.first, names)) complain(std::string(where) + " has an unknown field, '" + shown(member.first) + "'");
  for (const char* name : names)
    if (!value.has(name)) complain(std::string(where) + " has no '" + name + "'");
  return value;
}

const std::string& word(const Json& value, const char* where, Names words) {
  require(is_one_of(value.text(), words), where);
  return value.text();
}

double number_in(const Json& value, const char* where, double low, double high) {
  require(value.number() >= low && value.number() <= high, where);
  return value.number();
}

bool is_letter_or_digit(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
}

// Letters, digits, dots, dashes and underscores, 1 to 100, of which the first is no dot and no dash.
bool is_plain_segment(std::string_view text, bool underscore_first = true) {
  if (text.empty() || text.size() > kLongestSegment) return false;
  if (!is_letter_or_digit(text[0]) && !(underscore_first && text[0] == '_')) return false;
  return std::all_of(text.begin(), text.end(), [](char letter) {
    return is_letter_or_digit(letter) || letter == '.' || letter == '-' || letter == '_';
  });
}

bool is_plain_path(std::string_view path) {
  if (path.size() > kLongestPath) return false;
  for (;;) {
    const std::size_t end = path.find('/');
    if (!is_plain_segment(path.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    path.remove_prefix(end + 1);
  }
}

const std::string& sha256_text(const Json& value, const char* where) {
  const std::string& text = value.text();
  require(text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos, where);
  return text;
}

// A text of at most `most` characters that holds none of those that `forbidden` names.
template <class Forbidden>
const std::string& clean_text(const Json& value, const char* where, std::size_t least, std::size_t most,
                              const Forbidden& forbidden) {
  const std::vector<std::uint32_t> points = code_points(value.text());
  require(points.size() >= least && points.size() <= most && std::none_of(points.begin(), points.end(), forbidden), where);
  return value.text();
}

std::string version_text(const Json& value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.0f", value.number());
  return text;
}

// The version, the words of target and precision, the sizes and the paths come first, for their own reasons.
void require_version(const Json& values, const std::string& source) {
  if (values.kind() != Json::Kind::kObject || !values.has("schema_version") || !values.at("schema_version").is_whole_number())
    throw BundleFailure(source + " is not a deployment contract", kExportAgain, "not-a-contract");
  const Json& version = values.at("schema_version");
  if (version.number() > kSchemaVersion)
    throw BundleFailure(source + " follows contract version " + version_text(version) + ", newer than this runner reads (" +
                            std::to_string(kSchemaVersion) + ")",
                        "Update the runner, or export the bundle with its version.", "newer-version");
  if (version.number() < kSchemaVersion)
    throw BundleFailure(source + " follows contract version " + version_text(version) +
                            ", which this runner no longer reads (it reads " + std::to_string(kSchemaVersion) + ")",
                        kExportAgain, "older-version");
}

void require_known(const Json& values, const std::string& source, const char* name, Names known) {
  if (!values.has(name) || values.at(name).kind() != Json::Kind::kText || is_one_of(values.at(name).text(), known)) return;
  throw BundleFailure(source + " is of the " + name + " '" + shown(values.at(name).text()) + "', which this runner does not know",
                      "Update the runner, or export the bundle with its version.", std::string("unknown-") + name);
}

// The member of an object, or null where there is none.
const Json& member_of(const Json& value, const char* name) {
  static const Json nothing;
  return value.kind() == Json::Kind::kObject && value.has(name) ? value.at(name) : nothing;
}

bool is_above(const Json& value, double limit) { return value.is_whole_number() && value.number() > limit; }

void require_bounded(const Json& values, const std::string& source) {
  const Json &fitted = member_of(values, "preprocessing"), &shape = member_of(member_of(values, "output"), "shape");
  const Json& files = member_of(values, "files");
  std::vector<double> whole;
  if (shape.kind() == Json::Kind::kList)
    for (const Json& side : shape.list())
      if (side.is_whole_number()) whole.push_back(side.number());
  bool too_large = is_above(member_of(fitted, "height"), kLargestSide) || is_above(member_of(fitted, "width"), kLargestSide);
  if (whole.size() == 4)
    too_large = too_large || whole[1] > kMostOutputs || whole[0] * whole[1] * whole[2] * whole[3] > kLargestOutput;
  if (files.kind() == Json::Kind::kObject) too_large = too_large || files.members().size() > kMostFiles;
  if (too_large)
    throw BundleFailure(source + " asks for more memory than an app can give: it may have " + std::to_string(1 << 27) +
                            " output values, " + std::to_string(kMostOutputs) + " outputs, " + std::to_string(kLargestSide) +
                            " pixels a side and " + std::to_string(kMostFiles) + " files",
                        "Export the network at a smaller size.", "too-large");
}

void require_plain_paths(const Json& values, const std::string& source) {
  const Json& files = member_of(values, "files");
  if (files.kind() != Json::Kind::kObject) return;
  for (const auto& file : files.members())
    if (!is_plain_path(file.first))
      throw BundleFailure(source + " names a file outside the bundle (" + shown(file.first) + ")", kExportAgain,
                          "outside-bundle");
}

std::size_t count_of(const Json& value, std::int64_t high) { return static_cast<std::size_t>(value.integer(0, high)); }

void parse_parity(const Json& entry, Contract& contract) {
  with_members(entry, "parity", {"passed", "verdict", "images", "images_with_foreground", "gate", "figures"});
  contract.passed = entry.at("passed").boolean();
  word(entry.at("verdict"), "parity/verdict", {"executed", "artifact parity", "converted, not executed"});
  contract.images = count_of(entry.at("images"), kMostImages);
  contract.images_with_foreground = count_of(entry.at("images_with_foreground"), kMostImages);
  require(contract.images_with_foreground <= contract.images, "parity/images_with_foreground");
  const auto is_figure_name = [](const std::string& name) {
    return !name.empty() && name.size() <= 50 &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  };
  const auto& limits = entry.at("gate").members();
  require(!limits.empty() && limits.size() <= 16, "parity/gate");
  for (const auto& [name, limit] : limits) {
    require(is_figure_name(name), "parity/gate");
    if (!limit.is_null()) number_in(limit, "parity/gate", 0, 1);
  }
  const auto& figures = entry.at("figures").members();
  require(figures.size() <= 16, "parity/figures");
  for (const auto& [name, figure] : figures) {
    require(is_figure_name(name), "parity/figures");
    if (!figure.is_null()) figure.number();
  }
  contract.gate = parse_gate(entry.at("gate"));
}

void parse_network(const Json& entry, Contract& contract) {
  with_members(entry, "network", {"name", "architecture", "layout", "parameters", "multiply_adds", "weights_sha256"});
  contract.network = entry.at("name").text();
  require(is_plain_segment(contract.network, false), "network/name");
  contract.architecture = clean_text(entry.at("architecture"), "network/architecture", 0, 300, [](std::uint32_t point) {
    return point < 0x20 || (point >= 0x7F && point <= 0x9F);
  });
  entry.at("layout").members();
  entry.at("parameters").integer(0, kLargestWhole);
  entry.at("multiply_adds").integer(0, kLargestWhole);
  contract.weights_sha256 = sha256_text(entry.at("weights_sha256"), "network/weights_sha256");
}

void parse_files(const Json& values, Contract& contract) {
  const Json& artifact = with_members(values.at("artifact"), "artifact", {"file", "bytes"});
  contract.artifact = artifact.at("file").text();
  require(is_plain_segment(contract.artifact), "artifact/file");
  artifact.at("bytes").integer(1, kLargestWhole);
  const Json& files = values.at("files");
  require(files.members().size() >= 3, "files");
  for (const char* name : {kGolden, kParity})
    if (!files.has(name)) complain(std::string("files (none is ") + name + ")");
  bool covered = false;
  for (const auto& [name, digest] : files.members()) {
    contract.files.emplace_back(name, sha256_text(digest, "files"));
    covered = covered || name == contract.artifact || name.rfind(contract.artifact + "/", 0) == 0;
  }
  if (!covered) complain("files (none of " + contract.artifact + ")");
}

void parse_input(const Json& entry, Contract& contract) {
  with_members(entry, "input", {"name", "dtype", "layout", "colour", "normalised_inside"});
  entry.at("name").text();
  contract.input_type = word(entry.at("dtype"), "input/dtype", {"uint8", "float32"});
  contract.input_layout = word(entry.at("layout"), "input/layout", {"NCHW", "NHWC", "image"});
  word(entry.at("colour"), "input/colour", {contract.preprocessing.channels == 3 ? "RGB" : "grey"});
  contract.normalised_inside = entry.at("normalised_inside").boolean();
  require(contract.normalised_inside == (contract.input_type == "uint8"), "input/normalised_inside");
}

void parse_output(const Json& values, Contract& contract) {
  const Json& output = with_members(values.at("output"), "output", {"name", "shape", "activation"});
  output.at("name").text();
  const std::vector<Json>& shape = output.at("shape").list();
  require(shape.size() == 4, "output/shape");
  shape[0].integer(1, 1);
  contract.outputs = static_cast<std::size_t>(shape[1].integer(1, kMostOutputs));
  const auto is_side = [](const Json& value, std::size_t expected) {
    return value.integer(1, kLargestSide) == static_cast<std::int64_t>(expected);
  };
  require(is_side(shape[2], contract.preprocessing.height) && is_side(shape[3], contract.preprocessing.width),
          "output/shape (it is not the input's)");
  word(output.at("activation"), "output/activation", {contract.outputs == 1 ? "sigmoid" : "softmax"});
  const Json& after = with_members(values.at("postprocessing"), "postprocessing", {"resize", "threshold"});
  after.at("resize").text();
  contract.threshold = static_cast<float>(number_in(after.at("threshold"), "postprocessing/threshold", 0, 1));
}

SegmentClass parse_class(const Json& entry) {
  with_members(entry, "classes", {"name", "colour"});
  SegmentClass found{clean_text(entry.at("name"), "classes/name", 1, 100, is_hidden), {}};
  const std::vector<Json>& colour = entry.at("colour").list();
  require(colour.size() == 3, "classes/colour");
  for (std::size_t index = 0; index < 3; ++index)
    found.colour[index] = static_cast<std::uint8_t>(colour[index].integer(0, 255));
  return found;
}

void parse_rest(const Json& values) {
  const Json& checkpoint = with_members(values.at("checkpoint"), "checkpoint", {"file", "sha256", "provenance"});
  clean_text(checkpoint.at("file"), "checkpoint/file", 0, 255, [](std::uint32_t point) {
    return point < 0x20 || point == 0x7F || point == '/' || point == '\\';
  });
  sha256_text(checkpoint.at("sha256"), "checkpoint/sha256");
  checkpoint.at("provenance").members();
  for (const auto& tool : values.at("tools").members()) tool.second.text();
  for (const char* name : {"s2m_edge_version", "exported_at", "intended_use"}) values.at(name).text();
  require(values.at("notice").text() == kNotice, "notice");
}

Contract parse_contract(const Json& values, const std::string& source) {
  require_version(values, source);
  require_known(values, source, "target", kTargets);
  require_known(values, source, "precision", kPrecisions);
  require_bounded(values, source);
  require_plain_paths(values, source);
  with_members(values, "its top level",
               {"schema_version", "s2m_edge_version", "exported_at", "target", "precision", "spectral", "artifact", "files",
                "parity", "network", "input", "preprocessing", "output", "postprocessing", "classes", "checkpoint", "tools",
                "intended_use", "notice"});
  Contract contract{};
  contract.target = values.at("target").text();
  contract.precision = values.at("precision").text();
  contract.spectral = word(values.at("spectral"), "spectral", {"matmul", "custom", "none"});
  parse_files(values, contract);
  parse_parity(values.at("parity"), contract);
  parse_network(values.at("network"), contract);
  contract.preprocessing = parse_preprocessing(values.at("preprocessing"));
  parse_input(values.at("input"), contract);
  parse_output(values, contract);
  for (const Json& entry : values.at("classes").list()) contract.classes.push_back(parse_class(entry));
  require(contract.classes.size() == (contract.outputs == 1 ? 1 : contract.outputs - 1), "classes (not as many as outputs)");
  parse_rest(values);
  return contract;
}

std::vector<float> numbers(const Json& value, const char* where, double low, double high, std::size_t channels) {
  std::vector<float> found;
  for (const Json& entry : value.list()) found.push_back(static_cast<float>(number_in(entry, where, low, high)));
  require(found.size() >= channels && found.size() <= 3, where);
  return found;
}

}  // namespace

Intensity parse_intensity(const Json& entry) {
  with_members(entry, "preprocessing/intensity", {"rule", "low", "high", "over"});
  Intensity found;
  found.window = word(entry.at("rule"), "preprocessing/intensity/rule", {"percentiles", "window"}) == "window";
  const double largest = found.window ? kLargestIntensity : 100;
  found.low = number_in(entry.at("low"), "preprocessing/intensity/low", found.window ? -largest : 0, largest);
  found.high = number_in(entry.at("high"), "preprocessing/intensity/high", found.window ? -largest : 0, largest);
  require(found.low < found.high, "preprocessing/intensity");
  word(entry.at("over"), "preprocessing/intensity/over", {"slice", "volume"});  // of a picture both are the same
  return found;
}

Preprocessing parse_preprocessing(const Json& entry) {
  with_members(entry, "preprocessing",
               {"height", "width", "channels", "intensity", "fit", "window", "spacing", "resize", "scale", "mean",
                "standard_deviation"});
  Preprocessing values;
  values.height = static_cast<std::size_t>(entry.at("height").integer(1, kLargestSide));
  values.width = static_cast<std::size_t>(entry.at("width").integer(1, kLargestSide));
  values.channels = static_cast<std::size_t>(entry.at("channels").integer(1, 3));
  require(values.channels != 2, "preprocessing/channels");
  values.intensity = parse_intensity(entry.at("intensity"));
  const bool slides = word(entry.at("fit"), "preprocessing/fit", {"stretch", "window"}) == "window";
  const Json& window = entry.at("window");
  require(slides != window.is_null(), "preprocessing/window");
  if (slides) {
    with_members(window, "preprocessing/window", {"overlap", "blending", "sigma", "padding", "scale"});
    word(window.at("blending"), "preprocessing/window/blending", {"gaussian"});
    word(window.at("padding"), "preprocessing/window/padding", {"black"});
    window.at("scale").integer(1, 1);
    values.window = Window{number_in(window.at("overlap"), "preprocessing/window/overlap", 0, 0.75),
                           number_in(window.at("sigma"), "preprocessing/window/sigma", 0.01, 10)};
  }
  require(entry.at("spacing").is_null(), "preprocessing/spacing");
  entry.at("resize").text();
  values.scale = static_cast<float>(number_in(entry.at("scale"), "preprocessing/scale", 1e-6, 1e6));
  values.mean = numbers(entry.at("mean"), "preprocessing/mean", -1e6, 1e6, values.channels);
  values.deviation =
      numbers(entry.at("standard_deviation"), "preprocessing/standard_deviation", 1e-6, 1e6, values.channels);
  return values;
}

Contract read_contract(const fs::path& bundle) {
  const fs::path path = bundle / "contract.json";
  if (!is_file(path))
    throw BundleFailure(bundle.string() + " is not a bundle: it has no contract.json",
                        "Make one with s2m-edge export --target executorch.", "no-bundle");
  std::error_code error;
  if (fs::is_symlink(path, error)) throw BundleFailure(path.string() + " is a link", "Copy the bundle itself.", "link");
  const auto bytes = read_file(path, kLargestContract + 1);
  if (!bytes) throw BundleFailure(path.string() + " cannot be read", "Check its permissions.", "not-json");
  if (bytes->size() > kLargestContract)
    throw BundleFailure(path.string() + " is longer than " + std::to_string(kLargestContract) + " bytes", kExportAgain,
                        "too-large");
  try {
    return parse_contract(Json::parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()}), path.string());
  } catch (const Failure&) {
    throw;
  } catch (const JsonFailure& failure) {
    throw BundleFailure(path.string() + " is not readable JSON (" + failure.what() + ")", kExportAgain, failure.reason);
  } catch (const std::runtime_error& failure) {
    throw BundleFailure(path.string() + " is damaged (" + failure.what() + ")");
  }
}

Gate parse_gate(const Json& entry) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  Gate gate{kAny, kAny, 0, 0};
  for (const auto& [name, limit] : entry.members()) {
    if (limit.is_null()) continue;
    if (name == "probability_error") {
      gate.probability_error = limit.number();
    } else if (name == "mean_probability_error") {
      gate.mean_probability_error = limit.number();
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

}  // namespace s2m
