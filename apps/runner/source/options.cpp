#include "options.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "failure.hpp"

namespace s2m {

namespace {

const char kUsage[] =
    "usage: s2m_edge_runner BUNDLE [IMAGE...] [options]\n"
    "\n"
    "Segments images with an ExecuTorch bundle of s2m-edge: mask and overlay as PNG in the original size.\n"
    "Research use only. Not a medical device.\n"
    "\n"
    "  BUNDLE            folder written by s2m-edge export --target executorch\n"
    "  IMAGE...          PNG, JPEG, BMP, PPM or PGM files, or folders of them\n"
    "\n"
    "  --out FOLDER      where masks and overlays go (default: predictions)\n"
    "  --threshold T     probability that counts as foreground, 0..1 (default: the contract's)\n"
    "  --threads N       threads of the runtime (default: its own choice)\n"
    "  --self-test       only run the bundle's golden inputs and compare with the reference\n"
    "  --benchmark N     run the network N times on a golden input and print its times\n"
    "  --probabilities   also write the network's output, float32, classes x height x width, as .npy (of the whole\n"
    "                    picture where the network slides)\n"
    "  --json            print the result as JSON\n"
    "  --help, --version\n"
    "\n"
    "The golden inputs are run first, always; where they fail no mask is written.\n";

constexpr std::size_t kMostThreads = 256, kMostRuns = 1'000'000;

std::size_t whole(const std::string& name, const char* text, std::size_t largest) {
  std::size_t value = 0;
  const char* end = text ? text + std::strlen(text) : nullptr;
  if (!text || std::from_chars(text, end, value).ptr != end || value < 1 || value > largest)
    throw Failure(kWrongRequest, name + " takes a whole number from 1 to " + std::to_string(largest), "See --help.");
  return value;
}

float fraction(const std::string& name, const char* text) {
  char* end = nullptr;
  const float value = text ? std::strtof(text, &end) : NAN;
  if (!text || end == text || *end || !(value >= 0 && value <= 1))
    throw Failure(kWrongRequest, name + " takes a number from 0 to 1", "See --help.");
  return value;
}

}  // namespace

std::string usage() {
  std::string text = kUsage;
  text += "\nExit codes:\n";
  for (const ExitCodeMeaning& row : kExitCodes) {
    std::string code = std::to_string(row.code);
    text += "  " + code.append(5 - code.size(), ' ') + row.meaning + "\n";
  }
  return text;
}

Options parse_options(int count, char** words) {
  Options options;
  std::vector<std::filesystem::path> places;
  bool only_places = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* next = i + 1 < count ? words[i + 1] : nullptr;
    if (only_places || word.empty() || word[0] != '-') {
      places.emplace_back(word);
    } else if (word == "--") {
      only_places = true;
    } else if (word == "--out") {
      if (!next || !*next) throw Failure(kWrongRequest, "--out takes a folder", "See --help.");
      options.out = words[++i];
    } else if (word == "--threshold") {
      options.threshold = fraction(word, next), ++i;
    } else if (word == "--threads") {
      options.threads = whole(word, next, kMostThreads), ++i;
    } else if (word == "--benchmark") {
      options.benchmark = whole(word, next, kMostRuns), ++i;
    } else if (word == "--self-test") {
      options.self_test = true;
    } else if (word == "--json") {
      options.json = true;
    } else if (word == "--probabilities") {
      options.probabilities = true;
    } else if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (word == "--version") {
      options.version = true;
    } else {
      throw Failure(kWrongRequest, "there is no option " + word, "See --help.");
    }
  }
  if (options.help || options.version) return options;
  if (places.empty()) throw Failure(kWrongRequest, "no bundle was given", "See --help.");
  options.bundle = places[0];
  options.images.assign(places.begin() + 1, places.end());
  if (options.images.empty() && !options.self_test && !options.benchmark)
    throw Failure(kWrongRequest, "no image was given", "Give images, --self-test or --benchmark; see --help.");
  if (options.self_test && !options.images.empty())
    throw Failure(kWrongRequest, "--self-test takes no images", "Leave it out: with images it is run first anyway.");
  return options;
}

}  // namespace s2m
