// The training kernels behind C functions: raw pointers in, PyTorch's thread pool inside. Each returns false where memory
// is lacking, or where it does not apply: no exception may pass a C function.
#include <cstdint>
#include <new>

#include "norm_elu.hpp"
#include "torch_pool.hpp"
#include "weight_gradient.hpp"

namespace {

using s2m_edge::TorchFor;

template <class Storage>
bool gradient(const void* x, const void* upstream, float* result, const std::int64_t* shape, std::int64_t kernel) {
  const auto size = [shape](int axis) { return static_cast<std::size_t>(shape[axis]); };
  const auto* from = static_cast<const Storage*>(x);
  const auto* slope = static_cast<const Storage*>(upstream);
  const s2m_edge::DepthwiseShape sizes{size(0), size(1), size(2), size(3)};
  try {
    switch (kernel) {
      case 5: s2m_edge::depthwise_weight_gradient<5>(from, slope, sizes, result, TorchFor{}); return true;
      case 7: s2m_edge::depthwise_weight_gradient<7>(from, slope, sizes, result, TorchFor{}); return true;
      default: return false;
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
}

template <class Body>
bool done(const Body& body) {
  try {
    body();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

s2m_edge::NormShape norm_shape(std::int64_t rows, std::int64_t channels) {
  return {static_cast<std::size_t>(rows), static_cast<std::size_t>(channels)};
}

template <class Storage>
bool forward(const void* x, void* y, std::int64_t rows, std::int64_t channels, const float* mean, const float* scale,
             const float* beta) {
  return done([&] {
    s2m_edge::norm_elu_forward(static_cast<const Storage*>(x), norm_shape(rows, channels), {mean, scale, beta},
                               static_cast<Storage*>(y), TorchFor{});
  });
}

template <class Storage>
bool statistics(const void* x, std::int64_t rows, std::int64_t channels, float* mean, float* variance) {
  return done([&] {
    s2m_edge::norm_statistics(static_cast<const Storage*>(x), norm_shape(rows, channels), mean, variance, TorchFor{});
  });
}

template <class Storage>
bool sums(const void* x, const void* upstream, std::int64_t rows, std::int64_t channels, const float* mean,
          const float* scale, const float* beta, double* sum, double* weighted) {
  return done([&] {
    s2m_edge::norm_elu_sums(static_cast<const Storage*>(x), static_cast<const Storage*>(upstream),
                            norm_shape(rows, channels), {mean, scale, beta}, sum, weighted, TorchFor{});
  });
}

template <class Storage>
bool backward(const void* x, const void* upstream, void* result, std::int64_t rows, std::int64_t channels,
              const float* mean, const float* scale, const float* beta, const float* level, const float* slope) {
  return done([&] {
    s2m_edge::norm_elu_backward(static_cast<const Storage*>(x), static_cast<const Storage*>(upstream),
                                norm_shape(rows, channels), {mean, scale, beta}, level, slope,
                                static_cast<Storage*>(result), TorchFor{});
  });
}

}  // namespace

// One C function for each type of storage. Shapes: batch, channels, height, width of x and upstream, channels last; the
// gradient takes kernels of 5 and 7 alone.
#define S2M_EDGE_FOR(NAME, STORAGE)                                                                                   \
  S2M_EDGE_EXPORT bool s2m_edge_depthwise_gradient_##NAME(const void* x, const void* upstream, float* result,         \
                                                          const std::int64_t* shape, std::int64_t kernel) {           \
    return gradient<STORAGE>(x, upstream, result, shape, kernel);                                                     \
  }                                                                                                                   \
  S2M_EDGE_EXPORT bool s2m_edge_norm_statistics_##NAME(const void* x, std::int64_t rows, std::int64_t channels,       \
                                                       float* mean, float* variance) {                                \
    return statistics<STORAGE>(x, rows, channels, mean, variance);                                                    \
  }                                                                                                                   \
  S2M_EDGE_EXPORT bool s2m_edge_norm_elu_forward_##NAME(const void* x, void* y, std::int64_t rows,                    \
                                                        std::int64_t channels, const float* mean,                     \
                                                        const float* scale, const float* beta) {                      \
    return forward<STORAGE>(x, y, rows, channels, mean, scale, beta);                                                 \
  }                                                                                                                   \
  S2M_EDGE_EXPORT bool s2m_edge_norm_elu_sums_##NAME(const void* x, const void* upstream, std::int64_t rows,          \
                                                     std::int64_t channels, const float* mean, const float* scale,    \
                                                     const float* beta, double* sum, double* weighted) {              \
    return sums<STORAGE>(x, upstream, rows, channels, mean, scale, beta, sum, weighted);                              \
  }                                                                                                                   \
  S2M_EDGE_EXPORT bool s2m_edge_norm_elu_backward_##NAME(                                                             \
      const void* x, const void* upstream, void* result, std::int64_t rows, std::int64_t channels, const float* mean, \
      const float* scale, const float* beta, const float* level, const float* slope) {                               \
    return backward<STORAGE>(x, upstream, result, rows, channels, mean, scale, beta, level, slope);                   \
  }

S2M_EDGE_FOR(float, float)
S2M_EDGE_FOR(bfloat, s2m_edge::Brain)
