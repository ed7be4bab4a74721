// The node s2m_edge::SpectralFilter of our ONNX models (targets/onnx/spectral.py) as a custom operator of ONNX Runtime:
// image B x C x N x N, basis N x 2M, even and odd C x M x M, all float32.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "folded_filter.hpp"
#include "operator.hpp"
#include "spectral_filter.hpp"

namespace s2m_edge {

std::atomic<std::uint64_t> spectral_filter_calls{0};

namespace {

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
  float* const filtered = output_like(api, context, image);
  const auto unfolding = unfolding_matrices(length, count);
  const auto weight = unfold_filter(even.data, odd.data, channels, unfolding);
  const SpectralShape shape{image.shape[0], channels, length, length, unfolding.kept, unfolding.kept};
  spectral_filter_calls.fetch_add(1, std::memory_order_relaxed);
  spectral_filter(image.data, weight.data(), filtered, shape, SessionFor{api, context});
  return nullptr;
}

// A kernel has no state but the runtime's table.
ort::Status* create_kernel(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo*, void** kernel) {
  *kernel = const_cast<ort::Api*>(api);
  return nullptr;
}

ort::Status* compute_kernel(void* kernel, ort::KernelContext* context) {
  const ort::Api& api = *static_cast<const ort::Api*>(kernel);
  return guarded(api, [&] { return compute(api, context); });
}

}  // namespace

const ort::CustomOp& spectral_filter_op() {
  static const ort::CustomOp op = [] {
    ort::CustomOp made = float_operator();
    made.name = [](const ort::CustomOp*) { return "SpectralFilter"; };
    made.input_count = [](const ort::CustomOp*) { return std::size_t{4}; };
    made.destroy_kernel = [](void*) {};
    made.create_kernel_or_fail = create_kernel;
    made.compute_or_fail = compute_kernel;
    return made;
  }();
  return op;
}

}  // namespace s2m_edge
