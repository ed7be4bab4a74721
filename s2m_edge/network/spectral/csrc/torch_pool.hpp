// PyTorch's thread pool, as the kernels' `parallel_for`.
#pragma once

#include <ATen/Parallel.h>

#include <cstddef>
#include <cstdint>

#ifdef _WIN32
#define S2M_EDGE_EXPORT extern "C" __declspec(dllexport)
#else
#define S2M_EDGE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace s2m_edge {

struct TorchFor {
  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    at::parallel_for(0, static_cast<std::int64_t>(count), 1, [&body](std::int64_t begin, std::int64_t end) {
      body(static_cast<std::size_t>(begin), static_cast<std::size_t>(end));
    });
  }
};

}  // namespace s2m_edge
