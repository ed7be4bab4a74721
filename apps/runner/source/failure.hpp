// The one exception of the runner: what is wrong, what to do about it, and the process's exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace s2m {

enum ExitCode { kDone = 0, kGateFailed = 1, kWrongRequest = 2, kInterrupted = 130 };

struct Failure : std::runtime_error {
  int code;

  // `cause`: one sentence without a full stop. `remedy`: what to do, naming the option or the command.
  Failure(int exit_code, const std::string& cause, const std::string& remedy = "")
      : std::runtime_error(remedy.empty() ? cause : cause + ". " + remedy), code(exit_code) {}
};

// A picture that cannot be used; the others of the same call go on.
struct ImageFailure : Failure {
  explicit ImageFailure(const std::string& cause, const std::string& remedy) : Failure(kWrongRequest, cause, remedy) {}
};

// A bundle that is missing, damaged or foreign.
struct BundleFailure : Failure {
  explicit BundleFailure(const std::string& cause, const std::string& remedy = "Export the bundle again.")
      : Failure(kWrongRequest, cause, remedy) {}
};

}  // namespace s2m
