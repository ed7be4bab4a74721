// Repeats the contract's test vectors (apps/vectors), bundles to refuse and all: s2m_edge_runner_vectors FOLDER. Prints one
// line for every disagreement and how many figures agreed; exits with 1 where any does not.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "contract.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "golden.hpp"
#include "guard.hpp"
#include "json.hpp"
#include "label.hpp"
#include "overlay.hpp"
#include "pictures.hpp"
#include "preprocess.hpp"
#include "safetensors.hpp"
#include "sha256.hpp"
#include "text.hpp"
#include "window.hpp"

namespace {

using Labels = std::vector<std::uint8_t>;

std::size_t agreed = 0, disagreed = 0;

void check(const std::string& what, bool holds) {
  ++(holds ? agreed : disagreed);
  if (!holds) std::printf("%s disagrees\n", what.c_str());
}

class Vectors {
 public:
  explicit Vectors(const std::filesystem::path& folder)
      : index(parsed(folder / "vectors.json")), arrays_(bytes(folder / index.at("tensors").at("file").text())) {
    const s2m::Json& tensors = index.at("tensors");
    check("SHA-256 of the arrays", s2m::sha256(bytes(folder / tensors.at("file").text())) == tensors.at("sha256").text());
    for (const auto& [name, entry] : tensors.at("entries").members()) {
      const s2m::StoredTensor& array = tensor(name);
      check("SHA-256 of " + name, s2m::sha256({array.bytes, array.bytes + array.count}) == entry.at("sha256").text());
    }
  }

  const s2m::StoredTensor& tensor(const std::string& name) const {
    const s2m::Json& entry = index.at("tensors").at("entries").at(name);
    std::vector<std::size_t> shape;
    for (const s2m::Json& axis : entry.at("shape").list()) shape.push_back(static_cast<std::size_t>(axis.integer(0, 1 << 20)));
    return arrays_.tensor(name, entry.at("dtype").text() == "uint8" ? "U8" : "F32", shape);
  }

  Labels labels(const std::string& name) const {
    const s2m::StoredTensor& array = tensor(name);
    return {array.bytes, array.bytes + array.count};
  }

  std::vector<float> floats(const std::string& name) const { return s2m::float_values(tensor(name)); }

  static s2m::Bytes bytes(const std::filesystem::path& path) {
    auto found = s2m::read_file(path);
    if (!found) throw std::runtime_error(path.string() + " cannot be read");
    return *found;
  }

 private:
  static s2m::Json parsed(const std::filesystem::path& path) {
    const s2m::Bytes text = bytes(path);
    return s2m::Json::parse({reinterpret_cast<const char*>(text.data()), text.size()});
  }

 public:
  const s2m::Json index;

 private:
  const s2m::Safetensors arrays_;
};

std::size_t whole(const s2m::Json& value) { return static_cast<std::size_t>(value.integer(0, 1 << 20)); }

bool counts_agree(const s2m::Json& expected, const Labels& labels) {
  std::vector<std::size_t> counts(expected.list().size());
  for (const std::uint8_t label : labels) {
    if (label >= counts.size()) return false;
    ++counts[label];
  }
  for (std::size_t index = 0; index < counts.size(); ++index)
    if (counts[index] != whole(expected.list()[index])) return false;
  return true;
}

void check_case(const Vectors& vectors, const s2m::Json& entry, double tolerance) {
  const std::string& name = entry.at("name").text();
  const s2m::Preprocessing preprocessing = s2m::parse_preprocessing(entry.at("preprocessing"));
  const std::size_t width = whole(entry.at("width")), height = whole(entry.at("height"));
  const std::size_t outputs = whole(entry.at("output").at("shape").list().at(1));
  const auto threshold = static_cast<float>(entry.at("postprocessing").at("threshold").number());

  const Labels fitted = s2m::fit_to_network({width, height, vectors.labels(name + ".picture")}, preprocessing);
  check(name + ".fitted", fitted == vectors.labels(name + ".fitted"));
  const std::vector<float> normalised = s2m::normalise(fitted, preprocessing);
  const std::vector<float> expected = vectors.floats(name + ".normalised");
  bool near = normalised.size() == expected.size();
  for (std::size_t at = 0; near && at < expected.size(); ++at) near = std::abs(normalised[at] - expected[at]) <= tolerance;
  check(name + ".normalised", near);

  const std::vector<float> probabilities = vectors.floats(name + ".probabilities");
  const Labels network_mask = s2m::decide(probabilities, outputs, threshold);
  check(name + ".network_mask", network_mask == vectors.labels(name + ".network_mask"));
  const Labels mask = s2m::mask_in_original_size(probabilities, outputs, preprocessing, height, width, threshold);
  check(name + ".mask", mask == vectors.labels(name + ".mask"));
  const auto thickness = static_cast<int>(whole(entry.at("outline_thickness")));
  check(name + ".outline", s2m::outlines(mask, width, height, outputs, thickness) == vectors.labels(name + ".outline"));
  check(name + ".area.network", counts_agree(entry.at("area").at("network"), network_mask));
  check(name + ".area.original", counts_agree(entry.at("area").at("original"), mask));
}

void check_comparison(const Vectors& vectors, const s2m::Json& entry, double tolerance) {
  const std::string& name = entry.at("name").text();
  const s2m::Json& expected = entry.at("expected");
  const auto threshold = static_cast<float>(entry.at("threshold").number());
  const std::size_t outputs = vectors.tensor(name + ".edge").shape.at(0);
  const std::vector<float> reference = s2m::probabilities_of(vectors.floats(name + ".logits"), outputs);
  const s2m::Parity found = s2m::compare(name, reference, s2m::decide(reference, outputs, threshold),
                                         vectors.floats(name + ".edge"), outputs, threshold,
                                         s2m::parse_gate(entry.at("gate")));
  const auto check_figure = [&](const char* figure, double value) {
    const s2m::Json& wanted = expected.at(figure);
    check(name + "." + figure, wanted.is_null() ? !std::isfinite(value) : std::abs(value - wanted.number()) <= tolerance);
  };
  check_figure("max_probability_error", found.probability_error);
  check_figure("mean_probability_error", found.mean_probability_error);
  check_figure("mask_agreement", found.mask_agreement);
  check_figure("mask_dice", found.mask_dice);
  check_figure("mask_fraction", found.mask_fraction);
  check(name + ".breaches", found.breaches.size() == whole(expected.at("breaches")));
  check(name + ".passed", s2m::SelfTest{{found}}.passed() == expected.at("passed").boolean());
}

// A self-test needs one input that shows the object, whatever the others show.
void check_self_test() {
  const s2m::Parity showing{"showing", 0, 0, 1, 1, 0.5, 0, {}}, empty{"empty", 0, 0, 1, 1, 0, 0, {}};
  check("a self-test of nothing", !s2m::SelfTest{}.passed());
  check("a self-test of empty masks", !s2m::SelfTest{{empty, empty}}.passed());
  check("a self-test with one that shows something", s2m::SelfTest{{empty, showing}}.passed());
}

// What stands in for the network where it slides; see apps/vectors/README.md.
s2m::Predict stand_in(const s2m::Preprocessing& preprocessing, std::size_t outputs) {
  return [&preprocessing, outputs](const Labels& fitted, double& milliseconds) {
    std::vector<float> found;
    for (std::size_t output = 0; output < outputs; ++output)
      for (std::size_t at = 0; at < preprocessing.height * preprocessing.width; ++at) {
        const std::size_t y = at / preprocessing.width, x = at % preprocessing.width;
        const std::size_t value = fitted[at * preprocessing.channels] * (output + 1) % 256;
        const std::size_t place = (31 * y + 17 * x + 5 * output) % 64 + 1;
        found.push_back(static_cast<float>(value * place) / 16384.0f);
      }
    milliseconds = 1;
    return found;
  };
}

bool positions_agree(const s2m::Json& expected, const std::vector<std::size_t>& positions) {
  std::vector<std::size_t> wanted;
  for (const s2m::Json& position : expected.list()) wanted.push_back(whole(position));
  return positions == wanted;
}

s2m::Contract contract_of(const s2m::Json& entry) {
  s2m::Contract contract{};
  contract.preprocessing = s2m::parse_preprocessing(entry.at("preprocessing"));
  contract.outputs = whole(entry.at("output").at("shape").list().at(1));
  contract.threshold = static_cast<float>(entry.at("postprocessing").at("threshold").number());
  return contract;
}

const s2m::Progress kUnseen = [](std::size_t, std::size_t) {};
const s2m::Band kUnkept = [](std::size_t, std::size_t, const std::vector<float>&) {};

void check_window(const Vectors& vectors, const s2m::Json& entry) {
  const std::string& name = entry.at("name").text();
  const s2m::Contract contract = contract_of(entry);
  const s2m::Preprocessing& preprocessing = contract.preprocessing;
  const s2m::Window window = preprocessing.window.value();
  const std::size_t width = whole(entry.at("width")), height = whole(entry.at("height"));
  check(name + ".rows",
        positions_agree(entry.at("rows"), s2m::window_positions(height, preprocessing.height, window.overlap)));
  check(name + ".columns",
        positions_agree(entry.at("columns"), s2m::window_positions(width, preprocessing.width, window.overlap)));
  const std::vector<double> weights = s2m::window_weights(preprocessing.height, preprocessing.width, window.sigma);
  const std::vector<float> expected = vectors.floats(name + ".weights");
  bool near = weights.size() == expected.size();
  for (std::size_t at = 0; near && at < expected.size(); ++at) near = std::abs(weights[at] - expected[at]) <= 1e-6;
  check(name + ".weights", near);

  std::size_t last = 0, total = 0, next_row = 0, most_rows = 0;
  const s2m::Labelled found = s2m::label_picture(
      {width, height, vectors.labels(name + ".picture")}, name, contract, contract.threshold,
      stand_in(preprocessing, contract.outputs), [&](std::size_t done, std::size_t all) { last = done, total = all; },
      [&](std::size_t top, std::size_t rows, const std::vector<float>& probabilities) {
        check(name + " gives its rows in order", top == next_row && probabilities.size() == contract.outputs * rows * width);
        next_row += rows;
        most_rows = std::max(most_rows, rows);
      });
  check(name + ".mask", found.labels == vectors.labels(name + ".mask"));
  check(name + ".area", counts_agree(entry.at("area"), found.labels));
  check(name + " holds no more than a window's height", next_row == height && most_rows <= preprocessing.height);
  const std::size_t windows = entry.at("rows").list().size() * entry.at("columns").list().size();
  check(name + " counts its windows", found.windows == windows && last == windows && total == windows &&
                                          found.network_milliseconds == static_cast<double>(windows));
}

// A network that answers `wrong` for pictures whose first value is 255: no mask of those, and of no others.
void check_answers(const s2m::Json& entry, const char* kind) {
  const s2m::Contract contract = contract_of(entry);
  const s2m::Preprocessing& preprocessing = contract.preprocessing;
  const s2m::Predict sound = stand_in(preprocessing, contract.outputs);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float wrong : {std::nanf(""), kInfinity, -kInfinity}) {
    const s2m::Predict predict = [&](const Labels& fitted, double& milliseconds) {
      std::vector<float> found = sound(fitted, milliseconds);
      if (fitted[0] == 255) found.back() = wrong;
      return found;
    };
    const auto refused = [&](std::uint8_t level, const s2m::Predict& asked) {
      const s2m::Picture picture{40, 30, Labels(40 * 30 * 3, level)};
      try {
        return s2m::label_picture(picture, "level.png", contract, 0.0f, asked, kUnseen, kUnkept).labels.empty();
      } catch (const s2m::AnswerFailure& failure) {
        return failure.code == s2m::kGateFailed && std::string(failure.what()).rfind("level.png: the artifact", 0) == 0;
      }
    };
    check(std::string(kind) + ": no number, no mask", refused(255, predict));
    check(std::string(kind) + ": a number, a mask", !refused(254, predict));
    check(std::string(kind) + ": another size, no mask", refused(254, [&](const Labels& fitted, double& milliseconds) {
            std::vector<float> found = sound(fitted, milliseconds);
            found.pop_back();
            return found;
          }));
  }
}

void check_unfinished_self_test(const s2m::Json& entry) {
  const s2m::Contract contract = contract_of(entry);
  const s2m::Preprocessing& preprocessing = contract.preprocessing;
  const std::size_t pixels = preprocessing.height * preprocessing.width;
  const s2m::Golden golden{"golden", Labels(pixels * preprocessing.channels), std::vector<float>(pixels * contract.outputs),
                           Labels(pixels, 1)};
  const s2m::SelfTest found = s2m::run_self_test({golden}, contract, s2m::Gate{}, [](const Labels&, double&) {
    return std::vector<float>();
  });
  check("a self-test without an answer fails", !found.passed() && found.first_breach().rfind("golden: the artifact", 0) == 0);
}

void check_guard(const Vectors& vectors, const std::filesystem::path& folder, const s2m::Json& entry, double tolerance) {
  const std::string& name = entry.at("name").text();
  const s2m::StoredTensor& picture = vectors.tensor(entry.at("picture").text());
  const s2m::Guard guard = s2m::read_guard(Vectors::bytes(folder / entry.at("guard").text()), picture.shape.at(2));
  const std::vector<double> found = s2m::describe({picture.bytes, picture.bytes + picture.count}, picture.shape.at(0),
                                                  picture.shape.at(1), picture.shape.at(2));
  const auto near = [tolerance](double value, double expected) {
    return std::abs(value - expected) <= tolerance * std::max(1.0, std::abs(expected));
  };
  const std::vector<float> expected = vectors.floats(name + ".descriptor");
  bool agrees = found.size() == expected.size();
  for (std::size_t at = 0; agrees && at < expected.size(); ++at) agrees = near(found[at], static_cast<double>(expected[at]));
  check(name + ".descriptor", agrees);
  const s2m::GuardVerdict verdict{s2m::score(guard, found), guard.threshold};
  check(name + ".score", near(verdict.score, entry.at("score").number()));
  check(name + ".threshold", verdict.threshold == entry.at("threshold").number());
  check(name + ".unusual", verdict.unusual() == entry.at("unusual").boolean());
  check(name + " warns as it judges", verdict.warning().empty() != verdict.unusual());
}

// Why the bytes are refused as a guard, or an empty text.
std::string guard_reason(const s2m::Bytes& file, std::size_t channels) {
  try {
    s2m::read_guard(file, channels);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

// With a text of the header replaced by one of its length.
s2m::Bytes with_text(const s2m::Bytes& file, const std::string& text, const std::string& other) {
  std::string changed(file.begin(), file.end());
  const std::size_t at = changed.find(text);
  if (at == std::string::npos || text.size() != other.size()) throw std::runtime_error("the guard's file has no " + text);
  changed.replace(at, text.size(), other);
  return {changed.begin(), changed.end()};
}

// With the last number of a tensor replaced.
s2m::Bytes with_number(s2m::Bytes file, const std::string& tensor, float value) {
  std::size_t length = 0;
  for (std::size_t index = 8; index-- > 0;) length = length << 8 | file.at(index);
  const s2m::Json header = s2m::Json::parse({reinterpret_cast<const char*>(file.data()) + 8, length});
  const std::size_t end = 8 + length + whole(header.at(tensor).at("data_offsets").list().at(1));
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  for (std::size_t index = 0; index < 4; ++index) file.at(end - 4 + index) = static_cast<std::uint8_t>(bits >> 8 * index);
  return file;
}

void check_guard_refusals(const s2m::Bytes& sound) {
  check("a guard", guard_reason(sound, 3).empty());
  const auto refused = [](const s2m::Bytes& file, std::size_t channels, const std::string& why) {
    const std::string found = guard_reason(file, channels);
    check("a guard refused for '" + why + "' ('" + found + "')", found.find(why) != std::string::npos);
  };
  refused(sound, 1, "about pictures of '3' channels");
  refused({sound.begin(), sound.end() - 1}, 3, "truncated");
  refused({}, 3, "truncated");
  refused(with_text(sound, "s2m-edge-guard", "s2m-edge-other"), 3, "no guard");
  refused(with_text(sound, "\"format_version\":\"1\"", "\"format_version\":\"2\""), 3, "of version '2'");
  refused(with_text(sound, "thumbnail-cosine-1", "thumbnail-cosine-2"), 3, "'thumbnail-cosine-2'");
  refused(with_text(sound, "\"descriptor\"", "\"descriptoo\""), 3, "lacks 'descriptor'");
  for (const char* threshold : {"-5.7", "0.00", " nan", "1e99", "5.7x", "    "}) {
    const bool large = std::string(threshold) == "1e99";
    check("a guard with the threshold '" + std::string(threshold) + "'",
          guard_reason(with_text(sound, "5.75", threshold), 3).empty() == large);
  }
  refused(with_text(sound, "\"threshold\"", "\"thresholt\""), 3, "lacks 'threshold'");
  for (const char* tensor : {"mean", "scale", "directions", "deviations", "residual"}) {
    const std::string name = tensor;
    std::string other = name;
    other.back() = '_';
    refused(with_text(sound, "\"" + name + "\"", "\"" + other + "\""), 3, "lacks the tensor " + name);
    for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity()})
      refused(with_number(sound, name, wrong), 3, name + " is not finite");
    const bool any_sign = name == "mean" || name == "directions";
    for (const float wrong : {0.0f, -1.0f}) {
      const std::string why = guard_reason(with_number(sound, name, wrong), 3);
      check("a guard's " + name + " of a wrong sign ('" + why + "')", why == (any_sign ? "" : name + " is not positive"));
    }
  }
  refused(with_text(sound, "\"shape\":[4,79]", "\"shape\":[79,4]"), 3, "directions is of another size or type");
  refused(with_text(sound, "\"shape\":[79]", "\"shape\":[77]"), 3, "has another size than its shape");
}

std::string reason_of(const std::filesystem::path& folder, s2m::Runnable runnable) {
  try {
    s2m::open_bundle(folder, runnable);
    return "";
  } catch (const s2m::BundleFailure& failure) {
    const std::string line = s2m::plain(failure.what());
    check("the line about " + folder.filename().string(), line == failure.what() && line.size() > 20);
    return failure.reason;
  }
}

void check_refusals(const std::filesystem::path& folder) {
  const auto text = s2m::read_file(folder / "refusals" / "index.json");
  if (!text) throw std::runtime_error("refusals/index.json cannot be read");
  const s2m::Json index = s2m::Json::parse({reinterpret_cast<const char*>(text->data()), text->size()});
  const s2m::Runnable any = [](const s2m::Contract&, const std::filesystem::path&) {};  // this program runs none of them
  for (const s2m::Json& entry : index.at("cases").list()) {
    const std::string& name = entry.at("name").text();
    const std::string wanted = entry.at("reason").is_null() ? "" : entry.at("reason").text();
    const std::string found = reason_of(folder / "refusals" / name, any);
    check("refusals/" + name + " ('" + found + "' for '" + wanted + "')", found == wanted);
  }
  check("the example", reason_of(folder / "bundle", any).empty());
  check("a bundle for another runtime", reason_of(folder / "refusals" / "sound", s2m::require_executorch) == "other-target");
}

// Why a document is refused, or an empty text.
std::string json_reason(const std::string& document) {
  try {
    s2m::Json::parse(document);
    return "";
  } catch (const s2m::JsonFailure& failure) {
    return failure.reason;
  }
}

void check_json() {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  check("JSON of 33 lists", json_reason(nested(33)).empty());
  for (const std::string& document : {nested(34), nested(1'000'000), std::string("{} x"), std::string("{}{}"), std::string(""),
                                      std::string("NaN"), std::string("[Infinity]"), std::string("-"), std::string("01"),
                                      std::string("1."), std::string("[1,]"), std::string("{\"a\":1,}"), std::string("\"\xff\""),
                                      std::string("\xef\xbb\xbf{}"), std::string("'a'"), std::string("\"\\ud800\"")})
    check("JSON refused, " + s2m::shown(document), json_reason(document) == "not-json");
  check("JSON with a key twice", json_reason("{\"a\": {\"b\": 1, \"\\u0062\": 2}}") == "duplicate-key");
  check("JSON with one key in two objects", json_reason("[{\"a\": 1}, {\"a\": 2}]").empty());
  check("JSON with 1e999", json_reason("[-1e999]") == "damaged");
  check("JSON with 400 digits", json_reason(std::string(400, '9')) == "damaged");
  check("JSON with 300 digits", json_reason(std::string(300, '9')).empty());
  check("a name with an escape sequence", s2m::plain("a\x1b[2J\xe2\x80\xae" "b\xff") == "a\\x1b[2J\\u202eb\xef\xbf\xbd");
}

int run(const std::filesystem::path& folder) {
  const Vectors vectors(folder);
  const s2m::Json& tolerance = vectors.index.at("tolerance");
  for (const s2m::Json& entry : vectors.index.at("cases").list())
    check_case(vectors, entry, tolerance.at("normalised").number());
  for (const s2m::Json& entry : vectors.index.at("windows").list()) check_window(vectors, entry);
  check_answers(vectors.index.at("cases").list().at(0), "stretched");
  check_answers(vectors.index.at("windows").list().at(0), "in windows");
  check_unfinished_self_test(vectors.index.at("cases").list().at(0));
  check_json();
  check_refusals(folder);
  check_pictures(folder / "pictures", check);
  for (const s2m::Json& entry : vectors.index.at("guard_files").list())
    check("SHA-256 of " + entry.at("file").text(),
          s2m::sha256(Vectors::bytes(folder / entry.at("file").text())) == entry.at("sha256").text());
  for (const s2m::Json& entry : vectors.index.at("guards").list())
    check_guard(vectors, folder, entry, tolerance.at("guard").number());
  check_guard_refusals(Vectors::bytes(folder / "guard-colour.safetensors"));
  for (const s2m::Json& entry : vectors.index.at("comparisons").list())
    check_comparison(vectors, entry, tolerance.at("comparison").number());
  for (const s2m::Json& entry : vectors.index.at("hashes").list()) {
    const std::string& text = entry.at("text").text();
    check("SHA-256 of '" + text + "'", s2m::sha256({text.begin(), text.end()}) == entry.at("sha256").text());
  }
  check_self_test();
  std::printf("%zu agree, %zu do not\n", agreed, disagreed);
  return disagreed == 0 && agreed > 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fputs("error: usage: s2m_edge_runner_vectors FOLDER\n", stderr);
    return 2;
  }
  try {
    return run(words[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
