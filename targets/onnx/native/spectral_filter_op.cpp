// The node s2m_edge::SpectralFilter of our ONNX models (targets/onnx/spectral.py) as a custom operator of ONNX Runtime:
// image B x C x N x N, basis N x 2M, even and odd C x M x M, all float32.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <vector>

#include "folded_filter.hpp"
#include "runtime_interface.hpp"
#include "spectral_filter.hpp"

#ifdef _WIN32
#define S2M_EDGE_EXPORT extern "C" __declspec(dllexport)
#else
#define S2M_EDGE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace s2m_edge {
namespace {

std::atomic<std::uint64_t> kernel_calls{0};

// A failure that the runtime has described already.
struct Failure {
  ort::Status* status;
};

void check(ort::Status* status) {
  if (status != nullptr) throw Failure{status};
}

struct Tensor {
  const float* data;
  std::vector<std::size_t> shape;
};

Tensor input(const ort::Api& api, const ort::KernelContext* context, std::size_t index) {
  const ort::Value* value = nullptr;
  check(api.kernel_input(context, index, &value));
  ort::ShapeInfo* info = nullptr;
  check(api.shape_of(value, &info));
  std::size_t count = 0;
  ort::Status* status = api.axis_count(info, &count);
  std::vector<std::int64_t> sizes(count);
  if (status == nullptr) status = api.axes(info, sizes.data(), count);
  api.release_shape(info);
  check(status);
  void* data = nullptr;
  check(api.tensor_data(const_cast<ort::Value*>(value), &data));
  return {static_cast<const float*>(data), std::vector<std::size_t>(sizes.begin(), sizes.end())};
}

// Ranges on the session's own threads, as many as intra_op_num_threads allows.
struct SessionFor {
  const ort::Api& api;
  const ort::KernelContext* context;

  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    // Enough ranges for any processor to share evenly, few enough that starting one costs nothing.
    constexpr std::size_t most = 32;
    struct Work {
      const Body& body;
      std::size_t count, ranges;
      std::atomic<bool> failed{false};
    } work{body, count, count < most ? count : most};
    const auto run = [](void* data, std::size_t index) {
      Work& part = *static_cast<Work*>(data);
      try {
        part.body(index * part.count / part.ranges, (index + 1) * part.count / part.ranges);
      } catch (...) {  // the runtime's threads let none pass
        part.failed = true;
      }
    };
    check(api.parallel_for(context, run, work.ranges, 0, &work));
    if (work.failed) throw std::bad_alloc();  // scratch memory is all that a range can lack
  }
};

ort::Status* compute(const ort::Api& api, ort::KernelContext* context) {
  const Tensor image = input(api, context, 0), basis = input(api, context, 1);
  const Tensor even = input(api, context, 2), odd = input(api, context, 3);
  const auto refuse = [&](const char* reason) { return api.create_status(ort::kInvalidArgument, reason); };
  if (image.shape.size() != 4 || image.shape[2] != image.shape[3])
    return refuse("s2m_edge::SpectralFilter takes an image B x C x N x N");
  if (basis.shape.size() != 2 || basis.shape[0] != image.shape[2] || basis.shape[1] % 2 != 0 || basis.shape[1] == 0)
    return refuse("s2m_edge::SpectralFilter takes a basis N x 2M, with the image's N");
  const std::size_t channels = image.shape[1], length = image.shape[2], count = basis.shape[1] / 2;
  if (even.shape != std::vector<std::size_t>{channels, count, count} || odd.shape != even.shape)
    return refuse("s2m_edge::SpectralFilter takes gains C x M x M, with the image's C and the basis' M");
  const std::vector<std::int64_t> sizes(image.shape.begin(), image.shape.end());
  ort::Value* value = nullptr;
  check(api.kernel_output(context, 0, sizes.data(), sizes.size(), &value));
  void* data = nullptr;
  check(api.tensor_data(value, &data));
  const auto unfolding = unfolding_matrices(length, count);
  const auto weight = unfold_filter(even.data, odd.data, channels, unfolding);
  const SpectralShape shape{image.shape[0], channels, length, length, unfolding.kept, unfolding.kept};
  kernel_calls.fetch_add(1, std::memory_order_relaxed);
  spectral_filter(image.data, weight.data(), static_cast<float*>(data), shape, SessionFor{api, context});
  return nullptr;
}

// A kernel has no state but the runtime's table.
ort::Status* create_kernel(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo*, void** kernel) {
  *kernel = const_cast<ort::Api*>(api);
  return nullptr;
}

ort::Status* compute_kernel(void* kernel, ort::KernelContext* context) {
  const ort::Api& api = *static_cast<const ort::Api*>(kernel);
  try {
    return compute(api, context);
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return api.create_status(ort::kInvalidArgument, error.what());
  }
}

const ort::Api* table = nullptr;  // the one of this process's runtime

ort::Status* infer_shapes(const ort::CustomOp*, ort::ShapeInferenceContext* context) {
  ort::ShapeInfo* image = nullptr;  // stays the runtime's
  ort::Status* status = table->inferred_input_shape(context, 0, &image);
  return status != nullptr ? status : table->infer_output_shape(context, 0, image);
}

ort::CustomOp describe() {
  ort::CustomOp op{};
  op.version = ort::kVersion;
  op.name = [](const ort::CustomOp*) { return "SpectralFilter"; };
  op.execution_provider = [](const ort::CustomOp*) -> const char* { return nullptr; };  // the CPU
  op.input_type = [](const ort::CustomOp*, std::size_t) { return ort::kFloat; };
  op.input_count = [](const ort::CustomOp*) { return std::size_t{4}; };
  op.output_type = [](const ort::CustomOp*, std::size_t) { return ort::kFloat; };
  op.output_count = [](const ort::CustomOp*) { return std::size_t{1}; };
  op.destroy_kernel = [](void*) {};
  op.input_kind = [](const ort::CustomOp*, std::size_t) { return ort::kRequired; };
  op.output_kind = [](const ort::CustomOp*, std::size_t) { return ort::kRequired; };
  op.input_memory = [](const ort::CustomOp*, std::size_t) { return ort::kDefaultMemory; };
  op.variadic_input_minimum = [](const ort::CustomOp*) { return 1; };
  op.variadic_input_is_homogeneous = [](const ort::CustomOp*) { return 1; };
  op.variadic_output_minimum = [](const ort::CustomOp*) { return 1; };
  op.variadic_output_is_homogeneous = [](const ort::CustomOp*) { return 1; };
  op.create_kernel_or_fail = create_kernel;
  op.compute_or_fail = compute_kernel;
  op.infer_shapes = infer_shapes;
  op.first_version = [](const ort::CustomOp*) { return 1; };
  op.last_version = [](const ort::CustomOp*) { return 1; };
  return op;
}

const ort::CustomOp spectral_filter_op = describe();

}  // namespace
}  // namespace s2m_edge

// What ONNX Runtime calls when a session registers this library. The domain must outlive every session that uses it,
// so it is made once and kept as long as the process.
S2M_EDGE_EXPORT s2m_edge::ort::Status* RegisterCustomOps(s2m_edge::ort::SessionOptions* options,
                                                         const s2m_edge::ort::ApiBase* base) {
  using namespace s2m_edge;
  const ort::Api* api = base->get_api(ort::kVersion);
  if (api == nullptr) {  // version 1 has been there always, and knows how to say so
    return base->get_api(1)->create_status(ort::kInvalidArgument, "s2m_edge needs ONNX Runtime 1.17 or later");
  }
  struct Made {
    ort::CustomOpDomain* domain = nullptr;
    ort::Status* status = nullptr;
  };
  static const Made made = [api] {
    Made result;
    table = api;
    result.status = api->create_custom_op_domain("s2m_edge", &result.domain);
    if (result.status == nullptr) result.status = api->custom_op_domain_add(result.domain, &spectral_filter_op);
    return result;
  }();
  return made.status != nullptr ? api->create_status(ort::kInvalidArgument, "s2m_edge's operator cannot be registered")
                                : api->add_custom_op_domain(options, made.domain);
}

// How often the kernel has run in this process: the proof that the runtime prefers it to the model's function body.
S2M_EDGE_EXPORT std::uint64_t s2m_edge_spectral_filter_calls() {
  return s2m_edge::kernel_calls.load(std::memory_order_relaxed);
}
