// The node s2m_edge::ChannelNorm of our ONNX models (targets/onnx/channel_norm.py) as a custom operator of ONNX Runtime:
// image B x C x H x W, weight C, bias C, float32, and the attribute epsilon.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "channel_norm.hpp"
#include "operator.hpp"

namespace s2m_edge {

std::atomic<std::uint64_t> channel_norm_calls{0};

namespace {

struct Kernel {
  const ort::Api& api;
  float epsilon;
};

ort::Status* create_kernel(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
  float epsilon = 0.0f;
  ort::Status* const status = api->float_attribute(info, "epsilon", &epsilon);
  if (status == nullptr) *kernel = new Kernel{*api, epsilon};
  return status;
}

ort::Status* compute_kernel(void* kernel, ort::KernelContext* context) {
  const Kernel& made = *static_cast<const Kernel*>(kernel);
  return guarded(made.api, [&]() -> ort::Status* {
    const Tensor image = input(made.api, context, 0), weight = input(made.api, context, 1);
    const Tensor bias = input(made.api, context, 2);
    if (image.shape.size() != 4 || weight.shape != std::vector<std::size_t>{image.shape[1]} ||
        bias.shape != weight.shape)
      return made.api.create_status(ort::kInvalidArgument,
                                    "s2m_edge::ChannelNorm takes an image B x C x H x W, and weight and bias of C");
    float* const result = output_like(made.api, context, image);
    channel_norm_calls.fetch_add(1, std::memory_order_relaxed);
    channel_norm(image.data, result, image.shape[0], image.shape[1], image.shape[2] * image.shape[3], weight.data,
                 bias.data, made.epsilon, SessionFor{made.api, context});
    return nullptr;
  });
}

}  // namespace

const ort::CustomOp& channel_norm_op() {
  static const ort::CustomOp op = [] {
    ort::CustomOp made = float_operator();
    made.name = [](const ort::CustomOp*) { return "ChannelNorm"; };
    made.input_count = [](const ort::CustomOp*) { return std::size_t{3}; };
    made.destroy_kernel = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    made.create_kernel_or_fail = create_kernel;
    made.compute_or_fail = compute_kernel;
    return made;
  }();
  return op;
}

}  // namespace s2m_edge
