// What the command line asks for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace s2m {

struct Options {
  std::filesystem::path bundle, out = "predictions";
  std::vector<std::filesystem::path> images;
  std::optional<float> threshold;
  std::size_t threads = 0, benchmark = 0;
  bool self_test = false, json = false, probabilities = false, help = false, version = false;
};

// What --help prints.
std::string usage();

// Throws Failure (exit code 2) for a wrong request.
Options parse_options(int count, char** words);

}  // namespace s2m
