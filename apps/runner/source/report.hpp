// What the program prints: one JSON object, or lines for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contract.hpp"
#include "golden.hpp"
#include "options.hpp"
#include "segment.hpp"

namespace s2m {

struct Benchmark {
  std::size_t runs;
  double median, p10, p90;  // milliseconds of the network alone
};

struct Report {
  std::string bundle, device;
  std::size_t threads = 0;
  double load_milliseconds = 0;
  SelfTest self_test;
  std::optional<Benchmark> benchmark;
  std::vector<Segmented> images;
  std::vector<std::string> failures;
};

// Architecture and, where the system tells, the board or processor.
std::string device_name();

// The version of this toolkit and of ExecuTorch that it was built with.
std::string versions_text();

std::string report_json(const Report& report, const Contract& contract, const Gate& gate);
std::string report_text(const Report& report, const Contract& contract);

}  // namespace s2m
