// Whole files in and out; nothing half-written stays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace s2m {

using Bytes = std::vector<std::uint8_t>;

// Whether it is a file, followed through links; false also where that cannot be told.
bool is_file(const std::filesystem::path& path);

// The bytes of a file, no more than the first `most` of them, or nothing where it cannot be read or is no file.
std::optional<Bytes> read_file(const std::filesystem::path& path, std::size_t most = SIZE_MAX);

// A file written beside its place and renamed once it is whole; what is not finished is removed.
class NewFile {
 public:
  // Throws Failure, as all of it: the place cannot be written, or the disk is full.
  explicit NewFile(const std::filesystem::path& path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const void* bytes, std::size_t count);
  // Go on writing at a byte of the file.
  void seek(std::uint64_t at);
  void finish();

 private:
  [[noreturn]] void fail(const std::string& why);

  std::filesystem::path path_, beside_;
  std::ofstream file_;
};

// Write beside and rename. Throws Failure where the place cannot be written, or the disk is full.
void write_file(const std::filesystem::path& path, const void* bytes, std::size_t count);

// Make a folder and whatever lies above it. Throws Failure.
void make_folder(const std::filesystem::path& folder);

}  // namespace s2m
