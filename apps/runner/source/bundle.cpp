#include "bundle.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "failure.hpp"
#include "files.hpp"
#include "sha256.hpp"
#include "text.hpp"

namespace s2m {

namespace fs = std::filesystem;

namespace {

constexpr const char kCopyAgain[] = "Copy the whole bundle, or export it again.";

void require_proved(const Contract& contract, const fs::path& folder) {
  if (contract.images_with_foreground == 0)
    throw BundleFailure("the parity of " + folder.string() + " was never measured on a picture that shows the object",
                        "Export it again with --images that do.", "not-measured");
  if (!contract.passed)
    throw BundleFailure(folder.string() + " did not pass its parity gate: its masks are not the network's",
                        "Export it again in another precision, or for another target.", "gate-failed");
}

// What file managers leave in folders that people look at; it is not opened.
bool is_dropping(const std::string& name) {
  return name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini" || name.rfind("._", 0) == 0;
}

// Every file in `folder` and its folders, as a path from the bundle on; links and pipes are refused.
void list_files(const fs::path& folder, const std::string& before, std::set<std::string>& found) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (auto at = fs::directory_iterator(folder, error); !error && at != fs::directory_iterator(); at.increment(error))
    entries.push_back(*at);
  if (error)
    throw BundleFailure(folder.string() + " cannot be read (" + error.message() + ")", "Check its permissions.", "missing-file");
  std::sort(entries.begin(), entries.end());
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (is_dropping(name)) continue;
    const fs::file_status status = entry.symlink_status(error);
    if (fs::is_symlink(status)) throw BundleFailure(shown(entry.path().string()) + " is a link", "Copy the file itself.", "link");
    if (fs::is_directory(status)) {
      list_files(entry.path(), before + name + "/", found);
    } else if (fs::is_regular_file(status)) {
      found.insert(before + name);
    } else {  // a named pipe would be waited for without end
      throw BundleFailure(shown(entry.path().string()) + " is no regular file", "Copy the bundle again.", "missing-file");
    }
  }
}

void require_whole(const Contract& contract, const fs::path& folder) {
  std::set<std::string> found, expected;
  list_files(folder, "", found);
  found.erase("contract.json");
  for (const auto& file : contract.files) expected.insert(file.first);
  for (const std::string& name : expected)
    if (!found.count(name)) throw BundleFailure(folder.string() + " lacks " + name, kCopyAgain, "missing-file");
  for (const std::string& name : found)
    if (!expected.count(name))
      throw BundleFailure(folder.string() + " holds " + shown(name) + ", which its contract does not name", "Remove it.",
                          "extra-file");
  for (const auto& [name, digest] : contract.files) {
    const auto actual = file_sha256(folder / name);
    if (!actual) throw BundleFailure(name + " in " + folder.string() + " cannot be read", kCopyAgain, "missing-file");
    if (*actual != digest)
      throw BundleFailure(name + " in " + folder.string() + " is not the file that was exported (SHA-256 differs)",
                          "Copy it again, or export it again.", "hash-differs");
  }
}

std::optional<Guard> guard_of(const Contract& contract, const fs::path& folder) {
  const auto named = [](const auto& file) { return file.first == kGuardFile; };
  if (std::none_of(contract.files.begin(), contract.files.end(), named)) return std::nullopt;
  const fs::path path = folder / kGuardFile;
  auto bytes = read_file(path);
  if (!bytes) throw BundleFailure(path.string() + " cannot be read", kCopyAgain, "missing-file");
  try {
    return read_guard(std::move(*bytes), contract.preprocessing.channels);
  } catch (const std::runtime_error& error) {
    throw BundleFailure(path.string() + " is damaged (" + error.what() + ")",
                        "Make it again with s2m-edge guard, and export the bundle again.");
  }
}

}  // namespace

void require_executorch(const Contract& contract, const fs::path& folder) {
  if (contract.target != "executorch")
    throw BundleFailure(folder.string() + " is of the target " + contract.target + ", and this program runs executorch bundles",
                        "Make one with s2m-edge export --target executorch.", "other-target");
  if (contract.input_type != "float32" || contract.input_layout != "NCHW" || contract.normalised_inside)
    throw BundleFailure(folder.string() + " is damaged at input (it is no normalised float32 NCHW tensor)");
}

Bundle open_bundle(const fs::path& folder, Runnable runnable) {
  Bundle bundle{folder, read_contract(folder), {}, std::nullopt};
  runnable(bundle.contract, folder);
  require_proved(bundle.contract, folder);
  require_whole(bundle.contract, folder);
  bundle.golden = read_golden(folder, bundle.contract);
  bundle.guard = guard_of(bundle.contract, folder);
  return bundle;
}

}  // namespace s2m
