// The one exception of the runner: what is wrong, what to do about it, and the process's exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace s2m {

enum ExitCode { kDone = 0, kGateFailed = 1, kWrongRequest = 2, kInterrupted = 130 };

// What the codes mean: --help prints these words, and a test compares them with README.md.
struct ExitCodeMeaning {
  ExitCode code;
  const char* meaning;
};

inline constexpr ExitCodeMeaning kExitCodes[] = {
    {kDone, "done"},
    {kGateFailed, "the self-test, the bundle's program or the network's answer for a picture failed"},
    {kWrongRequest, "a wrong request, or a bundle or picture that cannot be used; the other pictures are done"},
    {kInterrupted, "interrupted; nothing is left half-written"},
};

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

inline constexpr const char kExportAgain[] = "Export the bundle again.";

// A bundle that is missing, damaged or foreign. `reason` is the word of docs/contract.md, which every reader gives.
struct BundleFailure : Failure {
  std::string reason;

  explicit BundleFailure(const std::string& cause, const std::string& remedy = kExportAgain,
                         const std::string& why = "damaged")
      : Failure(kWrongRequest, cause, remedy), reason(why) {}
};

// An artifact whose answer could not become a mask; the other pictures of the same call go on.
struct AnswerFailure : Failure {
  explicit AnswerFailure(const std::string& cause, const std::string& remedy) : Failure(kGateFailed, cause, remedy) {}
};

}  // namespace s2m
