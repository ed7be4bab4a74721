// A whole bundle: its contract, its files as the contract names them, its golden inputs, its guard.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "contract.hpp"
#include "golden.hpp"
#include "guard.hpp"

namespace s2m {

struct Bundle {
  std::filesystem::path folder;
  Contract contract;
  std::vector<Golden> golden;
  std::optional<Guard> guard;  // nothing: the bundle does not know what is usual

  std::filesystem::path artifact() const { return folder / contract.artifact; }
};

// Which bundles a program runs: throws BundleFailure for the others.
using Runnable = void (*)(const Contract& contract, const std::filesystem::path& folder);

// ExecuTorch's, which take a normalised float32 picture.
void require_executorch(const Contract& contract, const std::filesystem::path& folder);

// Read and check all of it: the contract, that `runnable` takes it, that it passed its gate, that the folder holds the
// files that the contract names, unchanged, and no other, the golden inputs, and the guard where there is one. A garbled
// program would end the process inside the runtime. Throws BundleFailure, whose reason says why.
Bundle open_bundle(const std::filesystem::path& folder, Runnable runnable = require_executorch);

}  // namespace s2m
