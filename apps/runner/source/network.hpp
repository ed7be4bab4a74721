// The artifact, loaded and run by ExecuTorch.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <vector>

#include "contract.hpp"

namespace s2m {

class Network {
 public:
  // Load the program, which must be the file that was exported (see verified_artifact). `threads`: 0 for the runtime's
  // own choice. Throws Failure: exit code 1 where the runtime refuses it, 2 where the contract is of another one.
  Network(const std::filesystem::path& artifact, const Contract& contract, std::size_t threads);
  ~Network();

  // Probabilities outputs x height x width of a normalised image channels x height x width. Throws Failure.
  std::vector<float> run(std::vector<float>& image);

  double load_milliseconds() const { return load_milliseconds_; }
  double run_milliseconds() const { return run_milliseconds_; }  // of the last run
  std::size_t threads() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
  double load_milliseconds_ = 0, run_milliseconds_ = 0;
};

}  // namespace s2m
