// One image in, mask and overlay out.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "contract.hpp"
#include "network.hpp"
#include "options.hpp"

namespace s2m {

struct Segmented {
  std::filesystem::path image, mask, overlay, probabilities;  // the last is empty where it was not asked for
  std::size_t width, height;
  std::vector<std::size_t> areas;  // pixels, one per class
  double network_milliseconds;
  double milliseconds;  // of fitting, network and mask; reading and writing files is not counted
};

// The image files of the request: folders give the pictures directly in them, by name. Throws ImageFailure.
std::vector<std::filesystem::path> list_images(const std::vector<std::filesystem::path>& given);

// Segment one file and write its pictures to the folder. `taken` holds the names used so far. Throws ImageFailure for the
// image, Failure for anything else.
Segmented segment(const std::filesystem::path& image, Network& network, const Contract& contract, const Options& options,
                  std::set<std::string>& taken);

}  // namespace s2m
