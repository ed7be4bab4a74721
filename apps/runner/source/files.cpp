#include "files.hpp"

#include <algorithm>
#include <system_error>

#include "failure.hpp"

namespace s2m {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::optional<Bytes> read_file(const fs::path& path, std::size_t most) {
  if (!is_file(path)) return std::nullopt;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return std::nullopt;
  const std::streamoff size = file.tellg();
  if (size < 0) return std::nullopt;
  Bytes bytes(std::min(static_cast<std::size_t>(size), most));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file && !bytes.empty()) return std::nullopt;
  return bytes;
}

NewFile::NewFile(const fs::path& path) : path_(path), beside_(path) {
  beside_ += ".partial";
  file_.open(beside_, std::ios::binary | std::ios::trunc);
}

NewFile::~NewFile() {
  if (beside_.empty()) return;
  file_.close();
  std::error_code ignored;
  fs::remove(beside_, ignored);
}

void NewFile::fail(const std::string& why) {
  throw Failure(kWrongRequest, path_.string() + " cannot be written" + why,
                "Make room, or choose another place with --out.");
}

void NewFile::write(const void* bytes, std::size_t count) {
  file_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  if (!file_) fail("");
}

void NewFile::seek(std::uint64_t at) { file_.seekp(static_cast<std::streamoff>(at)); }

void NewFile::finish() {
  file_.close();
  if (!file_) fail("");
  std::error_code error;
  fs::rename(beside_, path_, error);
  if (error) fail(" (" + error.message() + ")");
  beside_.clear();
}

void write_file(const fs::path& path, const void* bytes, std::size_t count) {
  NewFile file(path);
  file.write(bytes, count);
  file.finish();
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder, error))
    throw Failure(kWrongRequest,
                  folder.string() + " cannot be made" + (error ? " (" + error.message() + ")" : std::string()),
                  "Choose another place with --out.");
}

}  // namespace s2m
