// s2m_edge_runner: segments images on a board with an ExecuTorch bundle, without Python. See --help and README.md.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "failure.hpp"
#include "files.hpp"
#include "golden.hpp"
#include "network.hpp"
#include "options.hpp"
#include "preprocess.hpp"
#include "report.hpp"
#include "segment.hpp"

namespace {

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

int run(const s2m::Options& options) {
  const s2m::Contract contract = s2m::read_contract(options.bundle);
  if (options.threshold && contract.outputs > 1)
    throw s2m::Failure(s2m::kWrongRequest, "this network has several classes, which take no threshold",
                       "Leave --threshold out.");
  const s2m::Gate gate = s2m::read_gate(options.bundle);
  const std::vector<s2m::Golden> golden = s2m::read_golden(options.bundle, contract);
  const std::vector<std::filesystem::path> paths = s2m::list_images(options.images);
  if (!paths.empty()) s2m::make_folder(options.out);
  s2m::Network network(s2m::verified_artifact(options.bundle, contract), contract, options.threads);

  s2m::Report report;
  report.bundle = options.bundle.string(), report.device = s2m::device_name();
  report.threads = network.threads(), report.load_milliseconds = network.load_milliseconds();
  report.self_test = s2m::run_self_test(golden, contract, gate, [&](const auto& fitted, double& milliseconds) {
    check_interrupt();
    std::vector<float> image = s2m::normalise(fitted, contract.preprocessing);
    std::vector<float> probabilities = network.run(image);
    milliseconds = network.run_milliseconds();
    return probabilities;
  });
  const auto print = [&] {
    const std::string text =
        options.json ? s2m::report_json(report, contract, gate) : s2m::report_text(report, contract);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  };
  if (!report.self_test.passed()) {
    print();
    throw s2m::Failure(s2m::kGateFailed, "the self-test failed: " + report.self_test.first_breach(),
                       "No mask was written; do not use this bundle here.");
  }
  if (options.benchmark)
    report.benchmark = measure(network, s2m::normalise(golden[0].fitted, contract.preprocessing), options.benchmark);

  std::set<std::string> taken;
  for (const std::filesystem::path& path : paths) {
    check_interrupt();
    try {
      report.images.push_back(s2m::segment(path, network, contract, options, taken));
    } catch (const s2m::ImageFailure& failure) {  // one image that cannot be read does not stop the others
      report.failures.emplace_back(failure.what());
      std::fprintf(stderr, "error: %s\n", failure.what());
    } catch (const std::bad_alloc&) {
      report.failures.push_back(path.string() + " does not fit in memory. Use a smaller image.");
      std::fprintf(stderr, "error: %s\n", report.failures.back().c_str());
    }
  }
  print();
  return report.failures.empty() ? s2m::kDone : s2m::kWrongRequest;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, note_interrupt);
  try {
    const s2m::Options options = s2m::parse_options(count, words);
    if (options.help || options.version) {
      std::fputs(options.help ? s2m::kUsage : (s2m::versions_text() + "\n").c_str(), stdout);
      return s2m::kDone;
    }
    return run(options);
  } catch (const s2m::Failure& failure) {
    std::fprintf(stderr, failure.code == s2m::kInterrupted ? "%s\n" : "error: %s\n", failure.what());
    return failure.code;
  } catch (const std::bad_alloc&) {
    std::fputs("error: out of memory. Use a smaller image, or a bundle of a smaller size.\n", stderr);
    return s2m::kWrongRequest;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: unexpected failure (%s). Please report it.\n", error.what());
    return s2m::kWrongRequest;
  }
}
