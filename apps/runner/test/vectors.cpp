// Repeats the contract's test vectors (apps/vectors): s2m_edge_runner_vectors FOLDER. Prints one line for every
// disagreement and how many figures agreed; exits with 1 where any does not.
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "contract.hpp"
#include "files.hpp"
#include "golden.hpp"
#include "json.hpp"
#include "overlay.hpp"
#include "preprocess.hpp"
#include "safetensors.hpp"
#include "sha256.hpp"

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

 private:
  static s2m::Bytes bytes(const std::filesystem::path& path) {
    auto found = s2m::read_file(path);
    if (!found) throw std::runtime_error(path.string() + " cannot be read");
    return *found;
  }

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
  const std::size_t width = whole(entry.at("width")), height = whole(entry.at("height")), size = preprocessing.size;
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
  const Labels mask = s2m::mask_in_original_size(probabilities, outputs, size, height, width, threshold);
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
    check(name + "." + figure, wanted.is_null() ? std::isnan(value) : std::abs(value - wanted.number()) <= tolerance);
  };
  check_figure("max_probability_error", found.probability_error);
  check_figure("mask_agreement", found.mask_agreement);
  check_figure("mask_dice", found.mask_dice);
  check(name + ".breaches", found.breaches.size() == whole(expected.at("breaches")));
  check(name + ".passed", found.breaches.empty() == expected.at("passed").boolean());
}

int run(const std::filesystem::path& folder) {
  const Vectors vectors(folder);
  const s2m::Json& tolerance = vectors.index.at("tolerance");
  for (const s2m::Json& entry : vectors.index.at("cases").list())
    check_case(vectors, entry, tolerance.at("normalised").number());
  for (const s2m::Json& entry : vectors.index.at("comparisons").list())
    check_comparison(vectors, entry, tolerance.at("comparison").number());
  for (const s2m::Json& entry : vectors.index.at("hashes").list()) {
    const std::string& text = entry.at("text").text();
    check("SHA-256 of '" + text + "'", s2m::sha256({text.begin(), text.end()}) == entry.at("sha256").text());
  }
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
