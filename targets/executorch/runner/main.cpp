// Runs the method `forward` of an ExecuTorch program on one raw tensor, without Python.
//
//   s2m_edge_runner PROGRAM.pte INPUT OUTPUT [--threads N] [--benchmark N]
//
// INPUT and OUTPUT: float32, native byte order, N x C x H x W, nothing else in the file. --benchmark repeats the run and
// prints its times as JSON. Exit codes: 0, 1 when the program fails, 2 for a wrong request; one line on stderr says why.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

// The wheel ships the thread pool's library without its header; these are the two functions used here, as in
// executorch/extension/threadpool/threadpool.h.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  std::size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(std::uint32_t count);  // unsafe once a program is loaded
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace {

namespace etx = executorch::extension;
using executorch::aten::ScalarType;
using executorch::runtime::Error;

struct Options {
  std::string program, input, output;
  long threads = 0, benchmark = 0;
};

// What the runtime said first when something failed; its error codes alone do not name the operator that lacks.
std::string first_complaint;

void keep_complaint(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, std::size_t,
                    const char* message, std::size_t length) {
  if ((level == kError || level == kFatal) && first_complaint.empty()) first_complaint.assign(message, length);
}

[[noreturn]] void fail(int code, const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  std::exit(code);
}

[[noreturn]] void fail(const std::string& what, Error error) {
  const std::string reason = first_complaint.empty() ? executorch::runtime::to_string(error) : first_complaint;
  fail(1, what + " (" + reason + ")");
}

long positive(const char* name, const char* text) {
  char* end = nullptr;
  const long value = text ? std::strtol(text, &end, 10) : 0;
  if (!text || *end || value < 1) fail(2, std::string(name) + " takes a number of 1 or more");
  return value;
}

Options parse(int count, char** words) {
  Options options;
  std::vector<std::string> files;
  for (int i = 1; i < count; ++i) {
    const char* next = i + 1 < count ? words[i + 1] : nullptr;
    if (!std::strcmp(words[i], "--threads")) {
      options.threads = positive(words[i++], next);
    } else if (!std::strcmp(words[i], "--benchmark")) {
      options.benchmark = positive(words[i++], next);
    } else if (!std::strncmp(words[i], "--", 2)) {
      fail(2, std::string("there is no option ") + words[i]);
    } else {
      files.emplace_back(words[i]);
    }
  }
  if (files.size() != 3) fail(2, "usage: s2m_edge_runner PROGRAM.pte INPUT OUTPUT [--threads N] [--benchmark N]");
  options.program = files[0], options.input = files[1], options.output = files[2];
  return options;
}

std::vector<float> read_floats(const std::string& path, std::size_t bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail(2, path + " cannot be read");
  const auto found = static_cast<std::size_t>(file.tellg());
  if (found != bytes)
    fail(2, path + " has " + std::to_string(found) + " bytes, and the program takes " + std::to_string(bytes));
  std::vector<float> values(bytes / sizeof(float));
  file.seekg(0).read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(bytes));
  if (!file) fail(2, path + " cannot be read");
  return values;
}

void write_floats(const std::string& path, const executorch::aten::Tensor& tensor) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(tensor.const_data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  file.close();
  if (!file) fail(2, path + " cannot be written");
}

double milliseconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

// The smallest of the sorted times that at least `percent` of them do not exceed.
double percentile(const std::vector<double>& sorted, double percent) {
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(keep_complaint, __FILE__));
  etx::threadpool::ThreadPool* pool = etx::threadpool::get_threadpool();
  if (options.threads && !pool->_unsafe_reset_threadpool(static_cast<std::uint32_t>(options.threads)))
    fail(2, "the thread pool cannot have " + std::to_string(options.threads) + " threads");

  const auto began = std::chrono::steady_clock::now();
  etx::Module module(options.program, etx::Module::LoadMode::Mmap);
  Error error = module.load(etx::Program::Verification::InternalConsistency);
  if (error != Error::Ok) fail(options.program + " cannot be loaded", error);
  error = module.load_forward();
  if (error != Error::Ok) fail(options.program + " cannot be run", error);
  const double load = milliseconds_since(began);

  const auto meta = module.method_meta("forward");
  if (!meta.ok() || meta->num_inputs() != 1) fail(1, options.program + " does not take one tensor");
  const auto input_meta = meta->input_tensor_meta(0);
  if (!input_meta.ok() || input_meta->scalar_type() != ScalarType::Float)
    fail(1, options.program + " does not take float32");
  std::vector<float> values = read_floats(options.input, input_meta->nbytes());
  const auto sizes = input_meta->sizes();
  const auto image = etx::from_blob(values.data(), {sizes.begin(), sizes.end()}, ScalarType::Float);

  const auto run = [&] {
    auto result = module.forward(executorch::runtime::EValue(image));
    if (!result.ok()) fail(options.program + " failed", result.error());
    if (result->size() != 1 || !result->at(0).isTensor() || result->at(0).toTensor().scalar_type() != ScalarType::Float)
      fail(1, options.program + " does not give one float32 tensor");
    return result->at(0);
  };
  write_floats(options.output, run().toTensor());

  if (options.benchmark) {
    std::vector<double> times(static_cast<std::size_t>(options.benchmark));
    for (double& time : times) {  // the run above has warmed caches and the pool
      const auto start = std::chrono::steady_clock::now();
      run();
      time = milliseconds_since(start);
    }
    std::sort(times.begin(), times.end());
    std::printf(
        "{\"runs\": %ld, \"threads\": %zu, \"load_ms\": %.3f, \"median_ms\": %.3f, \"p10_ms\": %.3f, \"p90_ms\": %.3f}\n",
        options.benchmark, pool->get_thread_count(), load, percentile(times, 50), percentile(times, 10),
        percentile(times, 90));
  }
  return 0;
}
