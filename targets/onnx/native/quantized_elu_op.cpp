// The node s2m_edge::QuantizedElu of our ONNX models (targets/onnx/quantized_elu.py) as a custom operator of ONNX
// Runtime: levels of any shape, uint8; scale and zero point of what comes in, then of what goes out; attribute alpha.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "lookup.hpp"
#include "operator.hpp"

namespace s2m_edge {

std::atomic<std::uint64_t> quantized_elu_calls{0};

namespace {

struct Kernel {
  const ort::Api& api;
  float alpha;
};

// The answer to every level, as DequantizeLinear, Elu and QuantizeLinear give it: to the nearest level, ties to even.
Levels answers(float alpha, float scale, int zero_point, float new_scale, int new_zero_point) {
  Levels found{};
  for (int level = 0; level < 256; level++) {
    const float x = static_cast<float>(level - zero_point) * scale;
    const float y = x >= 0.0f ? x : alpha * (std::exp(x) - 1.0f);
    const float rounded = std::nearbyint(y / new_scale) + static_cast<float>(new_zero_point);
    found[static_cast<std::size_t>(level)] = static_cast<std::uint8_t>(std::clamp(rounded, 0.0f, 255.0f));
  }
  return found;
}

ort::Status* create_kernel(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
  float alpha = 1.0f;
  ort::Status* const status = api->float_attribute(info, "alpha", &alpha);
  if (status == nullptr) *kernel = new Kernel{*api, alpha};
  return status;
}

ort::Status* compute_kernel(void* kernel, ort::KernelContext* context) {
  const Kernel& made = *static_cast<const Kernel*>(kernel);
  return guarded(made.api, [&]() -> ort::Status* {
    const Bytes levels = input<std::uint8_t>(made.api, context, 0);
    const Tensor scale = input<float>(made.api, context, 1), new_scale = input<float>(made.api, context, 3);
    const Bytes zero_point = input<std::uint8_t>(made.api, context, 2);
    const Bytes new_zero_point = input<std::uint8_t>(made.api, context, 4);
    for (const std::size_t rank : {scale.shape.size(), new_scale.shape.size(), zero_point.shape.size(),
                                   new_zero_point.shape.size()})
      if (rank != 0)
        return made.api.create_status(ort::kInvalidArgument, "s2m_edge::QuantizedElu takes one scale per tensor");
    std::uint8_t* const result = output_like(made.api, context, levels);
    quantized_elu_calls.fetch_add(1, std::memory_order_relaxed);
    const Levels table = answers(made.alpha, *scale.data, *zero_point.data, *new_scale.data, *new_zero_point.data);
    std::size_t count = 1;
    for (const std::size_t size : levels.shape) count *= size;
    SessionFor{made.api, context}(count, [&](std::size_t begin, std::size_t end) {
      look_up(table, levels.data, result, begin, end);
    });
    return nullptr;
  });
}

}  // namespace

const ort::CustomOp& quantized_elu_op() {
  static const ort::CustomOp op = [] {
    ort::CustomOp made = float_operator();
    made.name = [](const ort::CustomOp*) { return "QuantizedElu"; };
    made.input_count = [](const ort::CustomOp*) { return std::size_t{5}; };
    made.input_type = [](const ort::CustomOp*, std::size_t index) {
      return index == 1 || index == 3 ? ort::kFloat : ort::kUint8;
    };
    made.output_type = [](const ort::CustomOp*, std::size_t) { return ort::kUint8; };
    made.destroy_kernel = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    made.create_kernel_or_fail = create_kernel;
    made.compute_or_fail = compute_kernel;
    return made;
  }();
  return op;
}

}  // namespace s2m_edge
