// Damages files at random and reads them, for the sanitizers: s2m_edge_runner_fuzz FOLDER SECONDS [SEED]. The folder holds
// pictures, or is a bundle, whose contract, golden inputs and guard are damaged. Prints how many were read and how many were
// refused; what ends it otherwise is a fault of the readers.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "contract.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "golden.hpp"
#include "guard.hpp"
#include "picture.hpp"

namespace fs = std::filesystem;

namespace {

using Random = std::mt19937_64;

std::uint32_t checksum(const std::uint8_t* bytes, std::size_t count) {
  std::uint32_t value = 0xFFFFFFFFu;
  for (std::size_t at = 0; at < count; ++at) {
    value ^= bytes[at];
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xEDB88320u ^ value >> 1 : value >> 1;
  }
  return ~value;
}

// Right checksums for a PNG's chunks: without them nothing behind the check would be reached.
void seal(s2m::Bytes& file) {
  if (file.size() < 8 || file[1] != 'P' || file[2] != 'N') return;
  for (std::size_t at = 8; at + 12 <= file.size();) {
    std::size_t length = 0;
    for (int index = 0; index < 4; ++index) length = length << 8 | file[at + index];
    if (length > file.size() - at - 12) return;
    const std::uint32_t sum = checksum(file.data() + at + 4, length + 4);
    for (int index = 0; index < 4; ++index) file[at + 8 + length + index] = static_cast<std::uint8_t>(sum >> (24 - 8 * index));
    at += length + 12;
  }
}

void damage(s2m::Bytes& file, Random& random) {
  const std::size_t changes = 1 + random() % 8;
  for (std::size_t index = 0; index < changes && file.size() > 16; ++index) {
    const std::size_t reach = random() % 3 == 0 ? file.size() : std::min<std::size_t>(file.size(), 700);  // headers mostly
    const std::size_t at = random() % reach;
    switch (random() % 5) {
      case 0: file[at] ^= static_cast<std::uint8_t>(1u << random() % 8); break;
      case 1: file[at] = static_cast<std::uint8_t>(random()); break;
      case 2: file[at] = random() % 2 ? 0xFF : 0; break;
      case 3: file.erase(file.begin() + static_cast<std::ptrdiff_t>(at),
                         file.begin() + static_cast<std::ptrdiff_t>(std::min(file.size(), at + 1 + random() % 16))); break;
      default: {
        const s2m::Bytes part(file.begin() + static_cast<std::ptrdiff_t>(at),
                              file.begin() + static_cast<std::ptrdiff_t>(std::min(file.size(), at + 1 + random() % 64)));
        file.insert(file.begin() + static_cast<std::ptrdiff_t>(random() % file.size()), part.begin(), part.end());
      }
    }
  }
}

// A value of a JSON text by another: what a flipped bit of it hardly ever gives.
void replace_value(s2m::Bytes& file, Random& random) {
  static const std::string values[] = {"0", "-1", "1e999", "1e38", "99999999999", "0.5", "null", "[]", "{}", "\"\"", "true", "[[[[0]]]]"};
  const std::size_t from = random() % file.size();
  const auto is_end = [](std::uint8_t byte) { return byte == ',' || byte == '}' || byte == ']' || byte == '\n'; };
  const auto colon = std::find(file.begin() + static_cast<std::ptrdiff_t>(from), file.end(), ':');
  if (colon == file.end()) return;
  const auto begin = file.erase(colon + 1, std::find_if(colon + 1, file.end(), is_end));
  const std::string& value = values[random() % std::size(values)];
  file.insert(begin, value.begin(), value.end());
}

void write(const fs::path& path, const s2m::Bytes& file) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
}

class Pictures {
 public:
  Pictures(const fs::path& folder, const fs::path& place) : path_(place / "picture.bin") {
    for (const auto& entry : fs::directory_iterator(folder))
      if (s2m::is_picture_name(entry.path())) files_.push_back(*s2m::read_file(entry.path()));
  }
  bool empty() const { return files_.empty(); }
  bool read(Random& random) {
    s2m::Bytes file = files_[random() % files_.size()];
    damage(file, random);
    if (random() % 8) seal(file);
    write(path_, file);
    try {
      const s2m::Picture picture = s2m::read_picture(path_);
      if (picture.rgb.size() != picture.width * picture.height * 3) std::abort();
      return true;
    } catch (const s2m::ImageFailure&) {
      return false;
    }
  }

 private:
  fs::path path_;
  std::vector<s2m::Bytes> files_;
};

class Bundles {
 public:
  Bundles(const fs::path& folder, const fs::path& place)
      : place_(place), sound_(s2m::read_contract(folder)), contract_(*s2m::read_file(folder / "contract.json")),
        golden_(*s2m::read_file(folder / "golden.safetensors")), guard_(s2m::read_file(folder / "guard.safetensors")) {}
  bool read(Random& random) {
    const std::size_t part = random() % (guard_ ? 3 : 2);
    s2m::Bytes file = part == 0 ? contract_ : part == 1 ? golden_ : *guard_;
    if (part == 0 && random() % 4) {
      replace_value(file, random);
    } else {
      damage(file, random);
    }
    try {
      if (part == 0) {
        write(place_ / "contract.json", file);
        s2m::read_contract(place_);
      } else if (part == 1) {
        write(place_ / "golden.safetensors", file);
        s2m::read_golden(place_, sound_);
      } else {
        s2m::read_guard(file, sound_.preprocessing.channels);
      }
      return true;
    } catch (const std::runtime_error&) {  // Failure, and what a guard's reader says
      return false;
    }
  }

 private:
  fs::path place_;
  s2m::Contract sound_;
  s2m::Bytes contract_, golden_;
  std::optional<s2m::Bytes> guard_;
};

template <typename Readers>
void run(Readers& readers, long seconds, Random& random) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::size_t read = 0, refused = 0;
  while (std::chrono::steady_clock::now() < end) ++(readers.read(random) ? read : refused);
  std::printf("%zu read, %zu refused\n", read, refused);
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return std::fputs("error: usage: s2m_edge_runner_fuzz FOLDER SECONDS [SEED]\n", stderr), 2;
  Random random(count > 3 ? std::strtoull(words[3], nullptr, 10) : 1);
  const fs::path folder = words[1], place = fs::temp_directory_path() / ("s2m-edge-fuzz-" + std::to_string(random()));
  const long seconds = std::strtol(words[2], nullptr, 10);
  fs::create_directory(place);
  if (s2m::is_file(folder / "contract.json")) {
    Bundles bundles(folder, place);
    run(bundles, seconds, random);
  } else {
    Pictures pictures(folder, place);
    if (pictures.empty()) return std::fputs("error: the folder holds no pictures\n", stderr), 2;
    run(pictures, seconds, random);
  }
  fs::remove_all(place);
  return 0;
}
