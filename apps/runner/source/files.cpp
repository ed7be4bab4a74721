#include "files.hpp"

#include <fstream>
#include <system_error>

#include "failure.hpp"

namespace s2m {

namespace fs = std::filesystem;

std::optional<Bytes> read_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return std::nullopt;
  const std::streamoff size = file.tellg();
  if (size < 0) return std::nullopt;
  Bytes bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), size);
  if (!file && size > 0) return std::nullopt;
  return bytes;
}

void write_file(const fs::path& path, const void* bytes, std::size_t count) {
  fs::path beside = path;
  beside += ".partial";
  std::error_code error;
  {
    std::ofstream file(beside, std::ios::binary | std::ios::trunc);
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
    file.close();
    if (!file) {
      fs::remove(beside, error);
      throw Failure(kWrongRequest, path.string() + " cannot be written", "Make room, or choose another place with --out.");
    }
  }
  fs::rename(beside, path, error);
  if (error) {
    std::error_code ignored;
    fs::remove(beside, ignored);
    throw Failure(kWrongRequest, path.string() + " cannot be written (" + error.message() + ")",
                  "Choose another place with --out.");
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder))
    throw Failure(kWrongRequest,
                  folder.string() + " cannot be made" + (error ? " (" + error.message() + ")" : std::string()),
                  "Choose another place with --out.");
}

}  // namespace s2m
