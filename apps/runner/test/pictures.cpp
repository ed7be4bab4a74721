#include "pictures.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "contract.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "json.hpp"
#include "picture.hpp"
#include "safetensors.hpp"
#include "sha256.hpp"

namespace {

s2m::Bytes bytes_of(const std::filesystem::path& path) {
  auto found = s2m::read_file(path);
  if (!found) throw std::runtime_error(path.string() + " cannot be read");
  return *found;
}

// The largest difference in levels; 256 where the sizes differ or the picture is refused.
int apart(const std::filesystem::path& path, const s2m::Json& entry, const s2m::StoredTensor& pixels) {
  try {
    const s2m::Picture read = s2m::read_picture(path, s2m::parse_intensity(entry.at("intensity")));
    if (pixels.shape != std::vector<std::size_t>{read.height, read.width, 3}) return 256;
    int largest = 0;
    for (std::size_t at = 0; at < pixels.count; ++at)
      largest = std::max(largest, std::abs(int{read.rgb[at]} - int{pixels.bytes[at]}));
    return largest;
  } catch (const s2m::ImageFailure&) {
    return 256;
  }
}

// Whether the file is refused as one of a kind that is not supported.
bool is_refused(const std::filesystem::path& path) {
  try {
    s2m::read_picture(path);
    return false;
  } catch (const s2m::ImageFailure& failure) {
    return std::string(failure.what()).find("of a kind that is not supported") != std::string::npos;
  }
}

}  // namespace

void check_pictures(const std::filesystem::path& folder, const std::function<void(const std::string&, bool)>& check) {
  const s2m::Bytes text = bytes_of(folder / "index.json");
  const s2m::Json index = s2m::Json::parse({reinterpret_cast<const char*>(text.data()), text.size()});
  const s2m::Bytes content = bytes_of(folder / index.at("pixels").at("file").text());
  check("SHA-256 of the pictures' pixels", s2m::sha256(content) == index.at("pixels").at("sha256").text());
  const s2m::Safetensors pixels(content);
  for (const s2m::Json& entry : index.at("cases").list()) {
    const std::string& name = entry.at("name").text();
    const std::filesystem::path path = folder / entry.at("file").text();
    if (entry.at("refused").has("runner")) {
      check("pictures/" + name + " (not refused)", is_refused(path));
      continue;
    }
    const int found = apart(path, entry, pixels.require(name));
    check("pictures/" + name + " (" + std::to_string(found) + " levels apart)", found <= entry.at("tolerance").integer(0, 255));
  }
}
