// SHA-256 (FIPS 180-4), to know an artifact before it is loaded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "files.hpp"

namespace s2m {

// 64 hexadecimal digits.
std::string sha256(const Bytes& bytes);

// Of a file, which is read a part at a time; nothing where it cannot be read.
std::optional<std::string> file_sha256(const std::filesystem::path& path);

}  // namespace s2m
