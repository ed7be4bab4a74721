// Whole files in and out; nothing half-written stays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace s2m {

using Bytes = std::vector<std::uint8_t>;

// The bytes of a file, or nothing where it cannot be read or is no file.
std::optional<Bytes> read_file(const std::filesystem::path& path);

// Write beside and rename. Throws Failure where the place cannot be written, or the disk is full.
void write_file(const std::filesystem::path& path, const void* bytes, std::size_t count);

// Make a folder and whatever lies above it. Throws Failure.
void make_folder(const std::filesystem::path& folder);

}  // namespace s2m
