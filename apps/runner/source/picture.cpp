#include "picture.hpp"

#include <algorithm>
#include <cctype>
#include <climits>
#include <memory>
#include <stdexcept>
#include <string>

#include "failure.hpp"
#include "files.hpp"
#include "intensity.hpp"
#include "orientation.hpp"
#include "pnm.hpp"
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

// Grey as RGB.
std::vector<std::uint8_t> threefold(const std::vector<std::uint8_t>& grey) {
  std::vector<std::uint8_t> rgb(grey.size() * 3);
  for (std::size_t at = 0; at < rgb.size(); ++at) rgb[at] = grey[at / 3];
  return rgb;
}

Picture picture_of(const Pnm& file, const Intensity& intensity) {
  const std::vector<std::uint8_t> values = file.deep ? spread(file.values.data(), file.values.size(), intensity)
                                                     : std::vector<std::uint8_t>(file.values.begin(), file.values.end());
  return {file.width, file.height, file.channels == 1 ? threefold(values) : values};
}

}  // namespace

bool is_picture_name(const fs::path& path) {
  std::string suffix = path.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return std::find(std::begin(kSuffixes), std::end(kSuffixes), suffix) != std::end(kSuffixes);
}

Picture read_picture(const fs::path& path, const Intensity& intensity) {
  const std::string name = path.string();
  if (!is_file(path)) throw ImageFailure("there is no image " + name, "Check the path.");
  const auto bytes = read_file(path);
  if (!bytes) throw ImageFailure(name + " cannot be read", "Check the permissions of the file.");
  if (bytes->empty()) throw ImageFailure(name + " is empty (0 bytes)", "Copy the image again.");
  const auto require_sides = [&name](std::size_t width, std::size_t height) {
    if (std::min(width, height) < kSmallestSide)
      throw ImageFailure(name + " is " + std::to_string(width) + " x " + std::to_string(height) + " pixels",
                         "Images need at least " + std::to_string(kSmallestSide) + " pixels on each side.");
    if (width * height > kMostPixels) throw ImageFailure(name + " does not fit in memory", "Use a smaller image.");
  };
  const auto corrupt = [&name](const std::string& why) {
    return ImageFailure(name + " cannot be read as an image (" + why + ")", kRemedy);
  };
  if (bytes->size() > INT_MAX) throw ImageFailure(name + " does not fit in memory", "Use a smaller image.");
  if (const std::string why = damage(*bytes); !why.empty()) throw corrupt(why);
  if (is_pnm(*bytes)) {
    try {
      const Pnm found = parse_pnm(*bytes);
      require_sides(found.width, found.height);
      return picture_of(found, intensity);
    } catch (const Failure&) {
      throw;
    } catch (const std::runtime_error& error) {
      throw corrupt(error.what());
    }
  }
  const stbi_uc* data = bytes->data();
  const int size = static_cast<int>(bytes->size());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(data, size, &width, &height, &channels)) throw corrupt(stbi_failure_reason());
  height = height < 0 && height != INT_MIN ? -height : height;  // a BMP whose rows begin at the top
  if (width < 1 || height < 1) throw corrupt("its header is damaged");
  const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  require_sides(static_cast<std::size_t>(width), static_cast<std::size_t>(height));
  Picture picture{static_cast<std::size_t>(width), static_cast<std::size_t>(height), {}};
  if (stbi_is_16_bit_from_memory(data, size)) {
    const int wanted = channels < 3 ? 1 : 3;  // alpha is dropped
    const std::unique_ptr<stbi_us, FreeImage> deep(
        stbi_load_16_from_memory(data, size, &width, &height, &channels, wanted));
    if (!deep) throw corrupt(stbi_failure_reason());
    std::vector<std::uint8_t> levels = spread(deep.get(), pixels * static_cast<std::size_t>(wanted), intensity);
    picture.rgb = wanted == 1 ? threefold(levels) : std::move(levels);
  } else {
    const std::unique_ptr<stbi_uc, FreeImage> decoded(stbi_load_from_memory(data, size, &width, &height, &channels, 3));
    if (!decoded) throw corrupt(stbi_failure_reason());
    picture.rgb.assign(decoded.get(), decoded.get() + pixels * 3);
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
