#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "json.hpp"
#include "text.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/resource.h>
#include <sys/utsname.h>
#endif

#ifndef S2M_EDGE_VERSION
#define S2M_EDGE_VERSION "unknown"
#endif
#ifndef S2M_EDGE_EXECUTORCH_VERSION
#define S2M_EDGE_EXECUTORCH_VERSION "unknown"
#endif

namespace s2m {

namespace {

double peak_mebibytes() {
#if defined(__unix__) || defined(__APPLE__)
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
#else
  return static_cast<double>(usage.ru_maxrss) / (1 << 10);
#endif
#else
  return NAN;
#endif
}

std::string member(const char* name, const std::string& value) { return json_text(name) + ": " + value; }

template <class Items, class Write>
std::string list(const Items& items, const char* indent, const Write& write) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "\n" : ",\n") + std::string(indent) + "  " + write(item);
  return "[" + (text.empty() ? "" : text + "\n" + indent) + "]";
}

std::string parity_json(const Parity& image) {
  return "{" + member("name", json_text(image.name)) + ", " +
         member("max_probability_error", json_number(image.probability_error)) + ", " +
         member("mean_probability_error", json_number(image.mean_probability_error)) + ", " +
         member("mask_agreement", json_number(image.mask_agreement)) + ", " +
         member("mask_dice", json_number(image.mask_dice)) + ", " +
         member("mask_fraction", json_number(image.mask_fraction)) + ", " +
         member("milliseconds", json_number(image.milliseconds, 3)) + ", " +
         member("breaches", list(image.breaches, "      ", [](const std::string& text) { return json_text(text); })) + "}";
}

std::string guard_json(const std::optional<GuardVerdict>& guard) {
  if (!guard) return "null";
  return "{" + member("score", json_number(guard->score, 3)) + ", " +
         member("threshold", json_number(guard->threshold, 3)) + ", " +
         member("unusual", guard->unusual() ? "true" : "false") + "}";
}

std::string segmented_json(const Segmented& image, const Contract& contract) {
  std::string pixels, fractions;
  for (std::size_t index = 0; index < contract.classes.size(); ++index) {
    const char* comma = index ? ", " : "";
    const std::string& name = contract.classes[index].name;
    pixels += comma + member(name.c_str(), std::to_string(image.areas[index]));
    fractions += comma + member(name.c_str(), json_number(static_cast<double>(image.areas[index]) /
                                                          static_cast<double>(image.width * image.height)));
  }
  std::string text = "{" + member("image", json_text(image.image.string())) + ", " +
                     member("width", std::to_string(image.width)) + ", " +
                     member("height", std::to_string(image.height)) + ", " + member("area_pixels", "{" + pixels + "}") +
                     ", " + member("area_fraction", "{" + fractions + "}") + ", " +
                     member("windows", std::to_string(image.windows)) + ", " +
                     member("network_milliseconds", json_number(image.network_milliseconds, 2)) + ", " +
                     member("milliseconds", json_number(image.milliseconds, 2)) + ", " +
                     member("guard", guard_json(image.guard)) + ", " + member("mask", json_text(image.mask.string())) + ", " +
                     member("overlay", json_text(image.overlay.string()));
  if (!image.probabilities.empty()) text += ", " + member("probabilities", json_text(image.probabilities.string()));
  return text + "}";
}

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

std::string device_name() {
  std::string name = "cpu";
#if defined(__unix__) || defined(__APPLE__)
  utsname system{};
  if (uname(&system) == 0) name += std::string(" (") + system.machine + ")";
#endif
  std::ifstream board("/proc/device-tree/model");
  std::string line;
  if (board && std::getline(board, line, '\0') && !line.empty()) return name + ", " + line;
  std::ifstream processors("/proc/cpuinfo");
  while (std::getline(processors, line))
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return name + ", " + line.substr(line.find(": ") + 2);
  return name;
}

std::string versions_text() {
  return "s2m_edge_runner " S2M_EDGE_VERSION " (ExecuTorch " S2M_EDGE_EXECUTORCH_VERSION ")";
}

std::string report_json(const Report& report, const Contract& contract, const Gate& gate) {
  std::ostringstream text;
  const auto line = [&text](const char* name, const std::string& value) { text << "  " << member(name, value) << ",\n"; };
  text << "{\n";
  line("bundle", json_text(report.bundle));
  line("network", json_text(contract.network));
  line("architecture", json_text(contract.architecture));
  line("target", json_text(contract.target));
  line("precision", json_text(contract.precision));
  line("spectral", json_text(contract.spectral));
  line("proved", contract.proved() ? "true" : "false");
  line("verdict", json_text("executed"));
  line("device", json_text(report.device));
  line("threads", std::to_string(report.threads));
  line("tools", "{" + member("s2m-edge", json_text(S2M_EDGE_VERSION)) + ", " +
                    member("executorch", json_text(S2M_EDGE_EXECUTORCH_VERSION)) + "}");
  line("load_milliseconds", json_number(report.load_milliseconds, 3));
  line("peak_memory_mebibytes", json_number(peak_mebibytes(), 1));
  line("notice", json_text(kNotice));
  text << "  \"self_test\": {\n    " << member("passed", report.self_test.passed() ? "true" : "false") << ",\n    "
       << member("gate", "{" + member("probability_error", json_number(gate.probability_error)) + ", " +
                             member("mean_probability_error", json_number(gate.mean_probability_error)) + ", " +
                             member("mask_agreement", json_number(gate.mask_agreement)) + ", " +
                             member("mask_dice", gate.mask_dice > 0 ? json_number(gate.mask_dice) : "null") + "}")
       << ",\n    " << member("images", list(report.self_test.images, "    ", parity_json)) << "\n  },\n";
  if (report.benchmark)
    line("benchmark", "{" + member("runs", std::to_string(report.benchmark->runs)) + ", " +
                          member("median_ms", json_number(report.benchmark->median, 3)) + ", " +
                          member("p10_ms", json_number(report.benchmark->p10, 3)) + ", " +
                          member("p90_ms", json_number(report.benchmark->p90, 3)) + "}");
  line("images", list(report.images, "  ", [&contract](const Segmented& image) { return segmented_json(image, contract); }));
  text << "  " << member("failures", list(report.failures, "  ", [](const std::string& failure) { return json_text(failure); }))
       << "\n}\n";
  return text.str();
}

std::string report_text(const Report& report, const Contract& contract) {
  std::ostringstream text;
  text << contract.network << ", ExecuTorch " S2M_EDGE_EXECUTORCH_VERSION ", " << contract.precision << ", " << report.device << ", "
       << report.threads << (report.threads == 1 ? " thread" : " threads") << ", loaded in "
       << formatted("%.0f ms", report.load_milliseconds) << '\n';
  double worst = 0, agreement = 1;
  for (const Parity& image : report.self_test.images) {
    if (!std::isnan(worst) && !(image.probability_error <= worst)) worst = image.probability_error;
    agreement = std::min(agreement, image.mask_agreement);
  }
  text << "self-test " << (report.self_test.passed() ? "passed" : "FAILED") << " on " << report.self_test.images.size()
       << " golden inputs: largest probability error " << formatted("%.1e", worst) << ", mask agreement "
       << formatted("%.5f", agreement) << '\n';
  if (report.benchmark)
    text << "network: median " << formatted("%.1f ms", report.benchmark->median) << ", 10th to 90th percentile "
         << formatted("%.1f", report.benchmark->p10) << " to " << formatted("%.1f ms", report.benchmark->p90) << " ("
         << report.benchmark->runs << " runs), peak memory " << formatted("%.0f MiB", peak_mebibytes()) << '\n';
  for (const Segmented& image : report.images) {
    text << plain(image.image.filename().string()) << ": " << image.width << " x " << image.height;
    for (std::size_t index = 0; index < contract.classes.size(); ++index)
      text << ", " << contract.classes[index].name << ' '
           << formatted("%.1f%%", 100.0 * static_cast<double>(image.areas[index]) /
                                      static_cast<double>(image.width * image.height))
           << " (" << image.areas[index] << " px)";
    if (image.windows > 1) text << ", " << image.windows << " windows";
    text << ", network " << formatted("%.0f ms", image.network_milliseconds) << ", in all "
         << formatted("%.0f ms", image.milliseconds) << "; " << plain(image.overlay.string()) << '\n';
  }
  text << kNotice << '\n';
  return text.str();
}

}  // namespace s2m
