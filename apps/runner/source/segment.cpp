#include "segment.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "clock.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "overlay.hpp"
#include "picture.hpp"
#include "preprocess.hpp"

namespace s2m {

namespace fs = std::filesystem;

namespace {

// The file's name without its suffix, numbered if another image of this run has it already.
std::string free_stem(const fs::path& path, std::set<std::string>& taken) {
  const std::string base = path.stem().string();
  std::string stem = base;
  for (int number = 2; !taken.insert(stem).second; ++number) stem = base + "-" + std::to_string(number);
  return stem;
}

// numpy's format 1.0: a magic, the length of a header, a Python literal padded to 64 bytes, the values.
void write_npy(const fs::path& path, const std::vector<float>& values, std::size_t outputs, std::size_t size) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(outputs) + ", " +
                       std::to_string(size) + ", " + std::to_string(size) + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');
  std::string file("\x93NUMPY\x01\x00", 8);
  file.push_back(static_cast<char>(header.size() & 0xFF));
  file.push_back(static_cast<char>(header.size() >> 8));
  file += header;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 32; shift += 8) file.push_back(static_cast<char>(bits >> shift & 0xFF));
  }
  write_file(path, file.data(), file.size());
}

}  // namespace

std::vector<fs::path> list_images(const std::vector<fs::path>& given) {
  std::vector<fs::path> images;
  for (const fs::path& path : given) {
    if (!fs::is_directory(path)) {
      images.push_back(path);
      continue;
    }
    std::vector<fs::path> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.is_regular_file(error) && is_picture_name(entry.path())) found.push_back(entry.path());
    if (found.empty())
      throw ImageFailure(path.string() + " holds no images", "Give a folder with PNG, JPEG, BMP, PPM or PGM files.");
    std::sort(found.begin(), found.end());
    images.insert(images.end(), found.begin(), found.end());
  }
  return images;
}

Segmented segment(const fs::path& image, Network& network, const Contract& contract, const Options& options,
                  std::set<std::string>& taken) {
  Picture picture = read_picture(image);
  Segmented result;
  result.image = image, result.width = picture.width, result.height = picture.height;

  const Clock clock;
  std::vector<float> input = normalise(fit_to_network(picture, contract.preprocessing), contract.preprocessing);
  const std::vector<float> probabilities = network.run(input);
  for (const float value : probabilities)
    if (!std::isfinite(value))
      throw Failure(kGateFailed, "the network gives values that are no numbers for " + image.string(),
                    "Do not use this bundle here.");
  result.network_milliseconds = network.run_milliseconds();
  std::vector<std::uint8_t> labels =
      mask_in_original_size(probabilities, contract.outputs, contract.preprocessing.size, picture.height, picture.width,
                            options.threshold.value_or(contract.threshold));
  result.milliseconds = clock.milliseconds();

  result.areas.assign(contract.classes.size(), 0);
  for (const std::uint8_t label : labels)
    if (label) ++result.areas[label - std::size_t{1}];
  const std::string stem = free_stem(image, taken);
  char caption[160];
  std::snprintf(caption, sizeof caption, "S2M-Net, ExecuTorch, %s, %.0f ms", contract.precision.c_str(),
                result.network_milliseconds);
  paint(picture, labels, contract.classes);
  const Picture shown = with_strip(picture, caption);
  if (contract.outputs == 1)
    for (std::uint8_t& label : labels) label = label ? 255 : 0;
  result.mask = options.out / (stem + "-mask.png");
  result.overlay = options.out / (stem + "-overlay.png");
  write_png(result.mask, picture.width, picture.height, 1, labels);
  write_png(result.overlay, shown.width, shown.height, 3, shown.rgb);
  if (options.probabilities) {
    result.probabilities = options.out / (stem + "-probabilities.npy");
    write_npy(result.probabilities, probabilities, contract.outputs, contract.preprocessing.size);
  }
  return result;
}

}  // namespace s2m
