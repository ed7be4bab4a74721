#include "network.hpp"

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "clock.hpp"
#include "failure.hpp"

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

namespace s2m {

namespace etx = executorch::extension;
using executorch::aten::ScalarType;
using executorch::runtime::Error;

namespace {

// What the runtime said first when something failed; its error codes alone do not name the operator that lacks.
std::string first_complaint;

void keep_complaint(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, std::size_t, const char* message,
                    std::size_t length) {
  if ((level == kError || level == kFatal) && first_complaint.empty()) first_complaint.assign(message, length);
}

[[noreturn]] void fail(const std::string& what, Error error) {
  std::string reason = first_complaint.empty() ? executorch::runtime::to_string(error) : first_complaint;
  for (char& letter : reason)
    if (letter == '\n' || letter == '\r') letter = ' ';
  throw Failure(kGateFailed, what + " (" + reason + ")", kExportAgain);
}

template <class Sizes>
bool same_sizes(const Sizes& found, const std::vector<std::size_t>& expected) {
  if (found.size() != expected.size()) return false;
  for (std::size_t axis = 0; axis < expected.size(); ++axis)
    if (static_cast<std::size_t>(found[axis]) != expected[axis]) return false;
  return true;
}

}  // namespace

struct Network::Implementation {
  std::string name;
  etx::Module module;
  std::vector<std::size_t> input_shape, output_shape;

  explicit Implementation(const std::filesystem::path& artifact)
      : name(artifact.string()), module(artifact.string(), etx::Module::LoadMode::Mmap) {}
};

Network::Network(const std::filesystem::path& artifact, const Contract& contract, std::size_t threads) {
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(keep_complaint, __FILE__));
  if (threads && !etx::threadpool::get_threadpool()->_unsafe_reset_threadpool(static_cast<std::uint32_t>(threads)))
    throw Failure(kWrongRequest, "the thread pool cannot have " + std::to_string(threads) + " threads",
                  "Give fewer --threads.");
  const Clock clock;
  implementation_ = std::make_unique<Implementation>(artifact);
  etx::Module& module = implementation_->module;
  Error error = module.load(etx::Program::Verification::InternalConsistency);
  if (error != Error::Ok) fail(implementation_->name + " cannot be loaded", error);
  error = module.load_forward();
  if (error != Error::Ok) fail(implementation_->name + " cannot be run", error);
  load_milliseconds_ = clock.milliseconds();

  const std::size_t height = contract.preprocessing.height, width = contract.preprocessing.width;
  implementation_->input_shape = {1, contract.preprocessing.channels, height, width};
  implementation_->output_shape = {1, contract.outputs, height, width};
  const auto meta = module.method_meta("forward");
  const auto input = meta.ok() && meta->num_inputs() == 1 ? meta->input_tensor_meta(0) : Error::InvalidProgram;
  if (!input.ok() || input->scalar_type() != ScalarType::Float || !same_sizes(input->sizes(), implementation_->input_shape))
    throw BundleFailure(implementation_->name + " does not take what its contract says",
                        "Use the contract and the artifact of one export.");
}

Network::~Network() = default;

std::vector<float> Network::run(std::vector<float>& image) {
  const std::vector<std::size_t>& shape = implementation_->input_shape;
  const auto tensor = etx::from_blob(image.data(), {shape.begin(), shape.end()}, ScalarType::Float);
  const Clock clock;
  auto result = implementation_->module.forward(executorch::runtime::EValue(tensor));
  run_milliseconds_ = clock.milliseconds();
  if (!result.ok()) fail(implementation_->name + " failed", result.error());
  if (result->size() != 1 || !result->at(0).isTensor())
    throw Failure(kGateFailed, implementation_->name + " does not give one tensor", kExportAgain);
  const auto output = result->at(0).toTensor();
  if (output.scalar_type() != ScalarType::Float || !same_sizes(output.sizes(), implementation_->output_shape))
    throw Failure(kGateFailed, implementation_->name + " does not give what its contract says", kExportAgain);
  const float* values = output.const_data_ptr<float>();
  return {values, values + output.numel()};
}

std::size_t Network::threads() const { return etx::threadpool::get_threadpool()->get_thread_count(); }

}  // namespace s2m
