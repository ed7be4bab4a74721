// One image in, mask and overlay out.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "guard.hpp"
#include "label.hpp"
#include "options.hpp"

namespace s2m {

struct Segmented {
  std::filesystem::path image, mask, overlay, probabilities;  // the last is empty where it was not asked for
  std::size_t width, height;
  std::vector<std::size_t> areas;  // pixels, one per class
  std::size_t windows;             // how often the network ran: once, or for each of its windows
  double network_milliseconds;     // in all of them
  double milliseconds;  // of fitting, network and mask; reading and writing files, and the guard, are not counted
  std::optional<GuardVerdict> guard;  // nothing: the bundle has none
};

// The image files of the request: folders give the pictures directly in them, by name. Throws ImageFailure.
std::vector<std::filesystem::path> list_images(const std::vector<std::filesystem::path>& given);

// Segment one file and write its pictures to the folder. `taken` holds the names used so far. Throws ImageFailure for the
// image, AnswerFailure where the network's answer is no number, Failure for anything else; no mask is left then.
Segmented segment(const std::filesystem::path& image, const Predict& predict, const Bundle& bundle, const Options& options,
                  const Progress& progress, std::set<std::string>& taken);

}  // namespace s2m
