// s2m_edge_runner: segments images on a board with an ExecuTorch bundle, without Python. See --help and README.md.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "bundle.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "network.hpp"
#include "options.hpp"
#include "preprocess.hpp"
#include "report.hpp"
#include "segment.hpp"
#include "text.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace {

bool stderr_is_terminal() {
#if defined(__unix__) || defined(__APPLE__)
  return isatty(STDERR_FILENO) == 1;
#else
  return false;
#endif
}

volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int) { interrupted = 1; }

void check_interrupt() {
  if (interrupted) throw s2m::Failure(s2m::kInterrupted, "interrupted; nothing was left half-written");
}

// The smallest of the sorted times that at least `percent` of them do not exceed.
double percentile(const std::vector<double>& sorted, double percent) {
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

s2m::Benchmark measure(s2m::Network& network, std::vector<float> image, std::size_t runs) {
  std::vector<double> times(runs);
  for (double& time : times) {  // the self-test has warmed caches and the pool
    check_interrupt();
    network.run(image);
    time = network.run_milliseconds();
  }
  std::sort(times.begin(), times.end());
  return {runs, percentile(times, 50), percentile(times, 10), percentile(times, 90)};
}

// A picture that is unlike what the network was trained on: its mask stands, and so does the exit code.
void print_warning(const s2m::Segmented& segmented) {
  if (segmented.guard && segmented.guard->unusual())
    std::fprintf(stderr, "warning: %s %s\n", s2m::plain(segmented.image.filename().string()).c_str(),
                 segmented.guard->warning().c_str());
}

void print_error(const std::string& text) { std::fprintf(stderr, "error: %s\n", s2m::plain(text).c_str()); }

// A line on stderr about a picture that takes many windows, only where a person looks at it.
class ProgressLine {
 public:
  explicit ProgressLine(const std::filesystem::path& image) : name_(s2m::plain(image.filename().string())) {}
  ~ProgressLine() {
    if (length_ > 0) std::fprintf(stderr, "\r%*s\r", length_, "");
  }

  void show(std::size_t done, std::size_t total) {
    if (total < 2 || !stderr_is_terminal()) return;
    length_ = std::max(length_, std::fprintf(stderr, "\r%s: window %zu of %zu", name_.c_str(), done, total));
    std::fflush(stderr);
  }

 private:
  std::string name_;
  int length_ = 0;
};

int run(const s2m::Options& options) {
  const s2m::Bundle bundle = s2m::open_bundle(options.bundle);
  const s2m::Contract& contract = bundle.contract;
  if (options.threshold && contract.outputs > 1)
    throw s2m::Failure(s2m::kWrongRequest, "this network has several classes, which take no threshold",
                       "Leave --threshold out.");
  const std::vector<std::filesystem::path> paths = s2m::list_images(options.images);
  if (!paths.empty()) s2m::make_folder(options.out);
  s2m::Network network(bundle.artifact(), contract, options.threads);
  const s2m::Predict predict = [&](const std::vector<std::uint8_t>& fitted, double& milliseconds) {
    check_interrupt();
    std::vector<float> image = s2m::normalise(fitted, contract.preprocessing);
    std::vector<float> probabilities = network.run(image);
    milliseconds = network.run_milliseconds();
    return probabilities;
  };

  s2m::Report report;
  report.bundle = options.bundle.string(), report.device = s2m::device_name();
  report.threads = network.threads(), report.load_milliseconds = network.load_milliseconds();
  report.self_test = s2m::run_self_test(bundle.golden, contract, contract.gate, predict);
  const auto print = [&] {
    const std::string text =
        options.json ? s2m::report_json(report, contract, contract.gate) : s2m::report_text(report, contract);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  };
  if (!report.self_test.passed()) {
    print();
    throw s2m::Failure(s2m::kGateFailed, "the self-test failed: " + report.self_test.first_breach(),
                       "No mask was written; do not use this bundle here.");
  }
  if (options.benchmark)
    report.benchmark = measure(network, s2m::normalise(bundle.golden[0].fitted, contract.preprocessing), options.benchmark);

  std::set<std::string> taken;
  int code = s2m::kDone;
  const auto fail = [&](const std::string& why, int how) {  // one image that fails does not stop the others
    report.failures.push_back(why);
    print_error(why);
    if (code != s2m::kGateFailed) code = how;
  };
  const auto segment = [&](const std::filesystem::path& path) {
    ProgressLine line(path);
    return s2m::segment(
        path, predict, bundle, options, [&](std::size_t done, std::size_t total) { line.show(done, total); }, taken);
  };
  for (const std::filesystem::path& path : paths) {
    check_interrupt();
    try {
      report.images.push_back(segment(path));
      print_warning(report.images.back());
    } catch (const s2m::ImageFailure& failure) {
      fail(failure.what(), failure.code);
    } catch (const s2m::AnswerFailure& failure) {
      fail(failure.what(), failure.code);
    } catch (const std::bad_alloc&) {
      fail(path.string() + " does not fit in memory. Use a smaller image.", s2m::kWrongRequest);
    }
  }
  print();
  return code;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, note_interrupt);
  try {
    const s2m::Options options = s2m::parse_options(count, words);
    if (options.help || options.version) {
      std::fputs((options.help ? s2m::usage() : s2m::versions_text() + "\n").c_str(), stdout);
      return s2m::kDone;
    }
    return run(options);
  } catch (const s2m::Failure& failure) {
    if (failure.code == s2m::kInterrupted) {
      std::fprintf(stderr, "%s\n", failure.what());
    } else {
      print_error(failure.what());
    }
    return failure.code;
  } catch (const std::bad_alloc&) {
    std::fputs("error: out of memory. Use a smaller image, or a bundle of a smaller size.\n", stderr);
    return s2m::kWrongRequest;
  } catch (const std::exception& error) {
    print_error(std::string("unexpected failure (") + error.what() + "). Please report it.");
    return s2m::kWrongRequest;
  }
}
