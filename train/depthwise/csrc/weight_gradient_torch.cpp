// The weight gradient behind C functions: raw pointers in, PyTorch's thread pool inside.
#include "weight_gradient.hpp"

#include <cstdint>
#include <new>

#include "torch_pool.hpp"

namespace {

template <class Storage>
bool gradient(const void* x, const void* upstream, float* result, const std::int64_t* shape, std::int64_t kernel) {
  const auto size = [shape](int axis) { return static_cast<std::size_t>(shape[axis]); };
  const auto* from = static_cast<const Storage*>(x);
  const auto* slope = static_cast<const Storage*>(upstream);
  const s2m_edge::DepthwiseShape sizes{size(0), size(1), size(2), size(3)};
  try {
    switch (kernel) {
      case 5: s2m_edge::depthwise_weight_gradient<5>(from, slope, sizes, result, s2m_edge::TorchFor{}); return true;
      case 7: s2m_edge::depthwise_weight_gradient<7>(from, slope, sizes, result, s2m_edge::TorchFor{}); return true;
      default: return false;
    }
  } catch (const std::bad_alloc&) {  // no exception may pass a C function
    return false;
  }
}

}  // namespace

// shape: batch, channels, height, width of x and upstream, which lie channels last. Returns false for another kernel
// than 5 and 7, or where memory for a thread's rows is lacking.
S2M_EDGE_EXPORT bool s2m_edge_depthwise_gradient_float(const void* x, const void* upstream, float* result,
                                                       const std::int64_t* shape, std::int64_t kernel) {
  return gradient<float>(x, upstream, result, shape, kernel);
}

S2M_EDGE_EXPORT bool s2m_edge_depthwise_gradient_bfloat(const void* x, const void* upstream, float* result,
                                                        const std::int64_t* shape, std::int64_t kernel) {
  return gradient<s2m_edge::Brain>(x, upstream, result, shape, kernel);
}
