#include "picture.hpp"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "failure.hpp"
#include "files.hpp"
#include "orientation.hpp"
#include "stb.hpp"

namespace s2m {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kSmallestSide = 8;
constexpr std::size_t kMostPixels = std::size_t{1} << 28;
constexpr const char* kSuffixes[] = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"};
constexpr const char kRemedy[] = "The file is corrupt or of a kind that is not supported (PNG, JPEG, BMP, PPM and PGM are).";

struct FreeImage {
  void operator()(void* pixels) const { stbi_image_free(pixels); }
};

// 16-bit grey, stretched linearly to 0..255, as to_rgb does it.
std::vector<std::uint8_t> stretched(const std::uint16_t* values, std::size_t count) {
  const auto [low, high] = std::minmax_element(values, values + count);
  const auto lowest = static_cast<float>(*low);
  const auto factor = *high > *low ? static_cast<float>(255.0 / (static_cast<double>(*high) - *low)) : 0.0f;
  std::vector<std::uint8_t> grey(count);
  for (std::size_t at = 0; at < count; ++at)
    grey[at] = static_cast<std::uint8_t>(std::floor((static_cast<float>(values[at]) - lowest) * factor + 0.5f));
  return grey;
}

}  // namespace

bool is_picture_name(const fs::path& path) {
  std::string suffix = path.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return std::find(std::begin(kSuffixes), std::end(kSuffixes), suffix) != std::end(kSuffixes);
}

Picture read_picture(const fs::path& path) {
  const std::string name = path.string();
  if (!fs::is_regular_file(path)) throw ImageFailure("there is no image " + name, "Check the path.");
  const auto bytes = read_file(path);
  if (!bytes) throw ImageFailure(name + " cannot be read", "Check the permissions of the file.");
  if (bytes->empty()) throw ImageFailure(name + " is empty (0 bytes)", "Copy the image again.");
  const auto corrupt = [&name](const std::string& why) {
    return ImageFailure(name + " cannot be read as an image (" + why + ")", kRemedy);
  };
  if (bytes->size() > INT_MAX) throw ImageFailure(name + " does not fit in memory", "Use a smaller image.");
  if (const std::string why = damage(*bytes); !why.empty()) throw corrupt(why);
  const stbi_uc* data = bytes->data();
  const int size = static_cast<int>(bytes->size());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(data, size, &width, &height, &channels)) throw corrupt(stbi_failure_reason());
  if (std::min(width, height) < static_cast<int>(kSmallestSide))
    throw ImageFailure(name + " is " + std::to_string(width) + " x " + std::to_string(height) + " pixels",
                       "Images need at least " + std::to_string(kSmallestSide) + " pixels on each side.");
  const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  if (pixels > kMostPixels) throw ImageFailure(name + " does not fit in memory", "Use a smaller image.");
  Picture picture{static_cast<std::size_t>(width), static_cast<std::size_t>(height), std::vector<std::uint8_t>(pixels * 3)};
  if (channels == 1 && stbi_is_16_bit_from_memory(data, size)) {
    const std::unique_ptr<stbi_us, FreeImage> deep(stbi_load_16_from_memory(data, size, &width, &height, &channels, 1));
    if (!deep) throw corrupt(stbi_failure_reason());
    const std::vector<std::uint8_t> grey = stretched(deep.get(), pixels);
    for (std::size_t at = 0; at < pixels * 3; ++at) picture.rgb[at] = grey[at / 3];
  } else {
    const std::unique_ptr<stbi_uc, FreeImage> decoded(stbi_load_from_memory(data, size, &width, &height, &channels, 3));
    if (!decoded) throw corrupt(stbi_failure_reason());
    std::memcpy(picture.rgb.data(), decoded.get(), pixels * 3);
  }
  return turned_upright(std::move(picture), exif_orientation(*bytes));
}

void write_png(const fs::path& path, std::size_t width, std::size_t height, std::size_t channels,
               const std::vector<std::uint8_t>& pixels) {
  Bytes file;
  const auto append = [](void* context, void* data, int count) {
    auto* target = static_cast<Bytes*>(context);
    const auto* from = static_cast<const std::uint8_t*>(data);
    target->insert(target->end(), from, from + count);
  };
  if (!stbi_write_png_to_func(append, &file, static_cast<int>(width), static_cast<int>(height), static_cast<int>(channels),
                              pixels.data(), static_cast<int>(width * channels)))
    throw Failure(kWrongRequest, path.string() + " cannot be encoded", "Use a smaller image.");
  write_file(path, file.data(), file.size());
}

}  // namespace s2m
