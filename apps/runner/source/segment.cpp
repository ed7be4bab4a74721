#include "segment.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

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

// Probabilities outputs x height x width in numpy's format 1.0: a magic, the length of a header, a Python literal padded
// to 64 bytes, the values. They come some rows at a time.
class ProbabilityFile {
 public:
  ProbabilityFile(const fs::path& path, std::size_t outputs, std::size_t height, std::size_t width)
      : file_(path), outputs_(outputs), height_(height), width_(width) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(outputs) + ", " +
                         std::to_string(height) + ", " + std::to_string(width) + "), }";
    header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');
    std::string start("\x93NUMPY\x01\x00", 8);
    start.push_back(static_cast<char>(header.size() & 0xFF));
    start.push_back(static_cast<char>(header.size() >> 8));
    start += header;
    file_.write(start.data(), start.size());
    begin_ = start.size();
  }

  void add(std::size_t top, std::size_t rows, const std::vector<float>& values) {
    std::string part;
    for (std::size_t output = 0; output < outputs_; ++output) {
      part.clear();
      for (std::size_t at = output * rows * width_; at < (output + 1) * rows * width_; ++at) {
        std::uint32_t bits;
        std::memcpy(&bits, &values[at], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8) part.push_back(static_cast<char>(bits >> shift & 0xFF));
      }
      file_.seek(begin_ + (output * height_ + top) * width_ * sizeof(float));
      file_.write(part.data(), part.size());
    }
  }

  void finish() { file_.finish(); }

 private:
  NewFile file_;
  std::size_t outputs_, height_, width_;
  std::uint64_t begin_ = 0;
};

}  // namespace

std::vector<fs::path> list_images(const std::vector<fs::path>& given) {
  std::vector<fs::path> images;
  for (const fs::path& path : given) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      images.push_back(path);
      continue;
    }
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.is_regular_file(error) && is_picture_name(entry.path())) found.push_back(entry.path());
    if (found.empty())
      throw ImageFailure(path.string() + " holds no images", "Give a folder with PNG, JPEG, BMP, PPM or PGM files.");
    std::sort(found.begin(), found.end());
    images.insert(images.end(), found.begin(), found.end());
  }
  return images;
}

Segmented segment(const fs::path& image, const Predict& predict, const Bundle& bundle, const Options& options,
                  const Progress& progress, std::set<std::string>& taken) {
  const Contract& contract = bundle.contract;
  Picture picture = read_picture(image, contract.preprocessing.intensity);
  Segmented result;
  result.image = image, result.width = picture.width, result.height = picture.height;
  const std::string stem = free_stem(image, taken);
  std::optional<ProbabilityFile> probabilities;
  if (options.probabilities) {
    const Preprocessing& given = contract.preprocessing;
    result.probabilities = options.out / (stem + "-probabilities.npy");
    probabilities.emplace(result.probabilities, contract.outputs, given.window ? picture.height : given.height,
                          given.window ? picture.width : given.width);
  }
  // Before the labels are there, since it takes a plane of the whole picture, and before the overlay is painted over it.
  if (bundle.guard) result.guard = judge(*bundle.guard, picture, contract.preprocessing);
  double writing = 0;
  const Clock clock;
  Labelled labelled =
      label_picture(picture, image.string(), contract, options.threshold.value_or(contract.threshold), predict, progress,
                    [&](std::size_t top, std::size_t rows, const std::vector<float>& found) {
                      const Clock added;
                      if (probabilities) probabilities->add(top, rows, found);
                      writing += added.milliseconds();
                    });
  result.milliseconds = clock.milliseconds() - writing;
  result.windows = labelled.windows, result.network_milliseconds = labelled.network_milliseconds;
  std::vector<std::uint8_t>& labels = labelled.labels;

  result.areas.assign(contract.classes.size(), 0);
  for (const std::uint8_t label : labels)
    if (label) ++result.areas[label - std::size_t{1}];
  char time[32];
  std::snprintf(time, sizeof time, "%.0f ms", result.network_milliseconds);
  const std::string caption = contract.network + ", ExecuTorch, " + contract.precision + ", " + time;
  paint(picture, labels, contract.classes);
  const Picture shown = with_strip(picture, caption);
  if (contract.outputs == 1)
    for (std::uint8_t& label : labels) label = label ? 255 : 0;
  result.mask = options.out / (stem + "-mask.png");
  result.overlay = options.out / (stem + "-overlay.png");
  write_png(result.mask, picture.width, picture.height, 1, labels);
  write_png(result.overlay, shown.width, shown.height, 3, shown.rgb);
  if (probabilities) probabilities->finish();
  return result;
}

}  // namespace s2m
