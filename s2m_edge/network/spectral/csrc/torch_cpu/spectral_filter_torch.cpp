// The spectral filter behind a C function, for the eager CPU op: raw pointers in, PyTorch's thread pool inside.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "spectral_filter.hpp"
#include "torch_pool.hpp"

namespace {

std::atomic<std::uint64_t> calls{0};

// False where memory for a thread's scratch is lacking: no exception may pass a C function.
template <class Storage>
bool filter(const void* x, const float* weight, void* y, const std::int64_t* shape) {
  const auto size = [shape](int axis) { return static_cast<std::size_t>(shape[axis]); };
  calls.fetch_add(1, std::memory_order_relaxed);
  try {
    s2m_edge::spectral_filter(static_cast<const Storage*>(x), weight, static_cast<Storage*>(y),
                              s2m_edge::SpectralShape{size(0), size(1), size(2), size(3), size(4), size(5)},
                              s2m_edge::TorchFor{});
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

}  // namespace

// shape: batch, channels, height, width, filter rows, filter columns. All tensors contiguous, y as large as x. Returns
// whether there was memory for it.
S2M_EDGE_EXPORT bool s2m_edge_spectral_filter_float(const void* x, const float* weight, void* y,
                                                    const std::int64_t* shape) {
  return filter<float>(x, weight, y, shape);
}

// x and y hold IEEE 754 binary16.
S2M_EDGE_EXPORT bool s2m_edge_spectral_filter_half(const void* x, const float* weight, void* y,
                                                   const std::int64_t* shape) {
  return filter<s2m_edge::Half>(x, weight, y, shape);
}

// How often the kernel was called in this process: tests tell by it that an operator ran through this library.
S2M_EDGE_EXPORT std::uint64_t s2m_edge_spectral_filter_calls() { return calls.load(std::memory_order_relaxed); }
