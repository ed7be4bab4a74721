// The node s2m_edge::ReceptiveField of our ONNX models (targets/onnx/receptive_field.py), a whole MRF-SE block, as a custom
// operator of ONNX Runtime: image B x C x H x W, then the weights and biases of its eight convolutions, float32 constants.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "operator.hpp"
#include "receptive_field.hpp"

namespace s2m_edge {

std::atomic<std::uint64_t> receptive_field_calls{0};

namespace {

constexpr std::size_t kInputs = 17;  // the image, then a weight and a bias for each convolution

struct Kernel {
  const ort::Api& api;
  ReceptiveField block;
  std::size_t channels;
};

// Weights are packed once, so they must be known before the first run.
std::vector<Tensor> constants(const ort::Api& api, const ort::KernelInfo* info) {
  std::vector<Tensor> found(kInputs);
  for (std::size_t index = 1; index < kInputs; ++index) {
    int is_constant = 0;
    const ort::Value* value = nullptr;
    check(api.constant_input(info, index, &is_constant, &value));
    if (is_constant == 0 || value == nullptr)
      throw Failure{api.create_status(ort::kInvalidArgument, "s2m_edge::ReceptiveField takes constant weights")};
    found[index] = tensor_of(api, value);
  }
  return found;
}

// Throws where a tensor has not the shape that the first weight asks for.
ReceptiveFieldShape shape_of(const ort::Api& api, const std::vector<Tensor>& t) {
  const auto refuse = [&](const char* reason) { throw Failure{api.create_status(ort::kInvalidArgument, reason)}; };
  if (t[1].shape.size() != 4 || t[11].shape.size() != 4)
    refuse("s2m_edge::ReceptiveField takes weights out x in x height x width");
  const std::size_t width = t[1].shape[0], channels = t[1].shape[1], hidden = t[11].shape[0];
  const std::size_t expected[][4] = {
      {width, channels, 1, 1}, {width, 1, 3, 3},      {width, 1, 5, 5},      {width, 1, 7, 7},
      {width, 3 * width, 1, 1}, {hidden, width, 1, 1}, {width, hidden, 1, 1}, {channels, width, 1, 1}};
  for (std::size_t i = 0; i < 8; ++i) {
    const std::vector<std::size_t> weight(expected[i], expected[i] + 4);
    if (t[1 + 2 * i].shape != weight || t[2 + 2 * i].shape != std::vector<std::size_t>{weight[0]})
      refuse("s2m_edge::ReceptiveField takes weights and biases of one MRF-SE block; these do not fit each other");
  }
  if (width == 0 || channels == 0 || hidden == 0) refuse("s2m_edge::ReceptiveField takes no empty weights");
  return {channels, width, hidden};
}

ort::Status* create_kernel(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
  return guarded(*api, [&]() -> ort::Status* {
    const std::vector<Tensor> t = constants(*api, info);
    const ReceptiveFieldShape shape = shape_of(*api, t);
    const ReceptiveFieldWeights weights{t[1].data,
                                        t[2].data,
                                        {t[3].data, t[5].data, t[7].data},
                                        {t[4].data, t[6].data, t[8].data},
                                        t[9].data,
                                        t[10].data,
                                        t[11].data,
                                        t[12].data,
                                        t[13].data,
                                        t[14].data,
                                        t[15].data,
                                        t[16].data};
    *kernel = new Kernel{*api, ReceptiveField(shape, weights), shape.channels};
    return nullptr;
  });
}

ort::Status* compute_kernel(void* kernel, ort::KernelContext* context) {
  const Kernel& made = *static_cast<const Kernel*>(kernel);
  return guarded(made.api, [&]() -> ort::Status* {
    const Tensor image = input(made.api, context, 0);
    if (image.shape.size() != 4 || image.shape[1] != made.channels)
      return made.api.create_status(ort::kInvalidArgument,
                                    "s2m_edge::ReceptiveField takes an image B x C x H x W with its weights' C");
    float* const result = output_like(made.api, context, image);
    receptive_field_calls.fetch_add(1, std::memory_order_relaxed);
    made.block.run(image.data, result, image.shape[0], image.shape[2], image.shape[3], SessionFor{made.api, context});
    return nullptr;
  });
}

}  // namespace

const ort::CustomOp& receptive_field_op() {
  static const ort::CustomOp op = [] {
    ort::CustomOp made = float_operator();
    made.name = [](const ort::CustomOp*) { return "ReceptiveField"; };
    made.input_count = [](const ort::CustomOp*) { return kInputs; };
    made.destroy_kernel = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    made.create_kernel_or_fail = create_kernel;
    made.compute_or_fail = compute_kernel;
    return made;
  }();
  return op;
}

}  // namespace s2m_edge
