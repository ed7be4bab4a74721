// Registers s2m_edge::spectral_filter.out(Tensor x, Tensor weight, *, Tensor(a!) out) -> Tensor(a!) with ExecuTorch.
//
// x and out: B x C x H x W, float32 or float16, contiguous. weight: C x K1 x K2, float32, contiguous.
#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "spectral_filter.hpp"

#ifdef _WIN32
#define S2M_EDGE_EXPORT __declspec(dllexport)
#else
#define S2M_EDGE_EXPORT __attribute__((visibility("default")))
#endif

namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::KernelRuntimeContext;

std::atomic<std::uint64_t> calls{0};

// The runtime's pool; it splits a range into one piece per thread.
struct RuntimeParallelFor {
  std::atomic<bool>& succeeded;

  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    const auto piece = [this, &body](std::int64_t begin, std::int64_t end) {
      try {
        body(static_cast<std::size_t>(begin), static_cast<std::size_t>(end));
      } catch (...) {  // the pool's threads let none pass
        succeeded = false;
      }
    };
    if (!executorch::extension::parallel_for(0, static_cast<std::int64_t>(count), 1, piece)) succeeded = false;
  }
};

// Whether all of `out` was written; scratch memory and the pool are what can fail.
template <class Storage>
bool filter(const Tensor& x, const Tensor& weight, Tensor& out) {
  const auto size = [](const Tensor& tensor, int axis) { return static_cast<std::size_t>(tensor.size(axis)); };
  const s2m_edge::SpectralShape shape{size(x, 0), size(x, 1),      size(x, 2),
                                      size(x, 3), size(weight, 1), size(weight, 2)};
  std::atomic<bool> succeeded{true};
  try {
    s2m_edge::spectral_filter(static_cast<const Storage*>(x.const_data_ptr()), weight.const_data_ptr<float>(),
                              static_cast<Storage*>(out.mutable_data_ptr()), shape, RuntimeParallelFor{succeeded});
  } catch (...) {  // the runtime knows no exceptions
    return false;
  }
  return succeeded;
}

bool is_contiguous(const Tensor& tensor) {
  return executorch::runtime::is_contiguous_dim_order(tensor.dim_order().data(), tensor.dim_order().size());
}

Tensor& spectral_filter_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& weight, Tensor& out) {
  calls.fetch_add(1, std::memory_order_relaxed);
  ET_KERNEL_CHECK_MSG(context, x.dim() == 4 && weight.dim() == 3, InvalidArgument, out,
                      "spectral_filter takes x of B x C x H x W and weight of C x K1 x K2, not %zd and %zd axes",
                      static_cast<ssize_t>(x.dim()), static_cast<ssize_t>(weight.dim()));
  ET_KERNEL_CHECK_MSG(context, x.size(1) == weight.size(0), InvalidArgument, out,
                      "x has %zd channels and the filter %zd", static_cast<ssize_t>(x.size(1)),
                      static_cast<ssize_t>(weight.size(0)));
  ET_KERNEL_CHECK_MSG(context, weight.scalar_type() == ScalarType::Float, InvalidArgument, out,
                      "the filter is not float32");
  ET_KERNEL_CHECK_MSG(context, out.scalar_type() == x.scalar_type(), InvalidArgument, out,
                      "x and out are of different types");
  ET_KERNEL_CHECK_MSG(context, is_contiguous(x) && is_contiguous(weight) && is_contiguous(out), InvalidArgument, out,
                      "spectral_filter takes contiguous tensors only");
  ET_KERNEL_CHECK_MSG(context, executorch::runtime::resize_tensor(out, x.sizes()) == executorch::runtime::Error::Ok,
                      InvalidArgument, out, "out cannot take the shape of x");
  bool succeeded = false;
  switch (x.scalar_type()) {
    case ScalarType::Float:
      succeeded = filter<float>(x, weight, out);
      break;
    case ScalarType::Half:
      succeeded = filter<s2m_edge::Half>(x, weight, out);
      break;
    default:
      ET_KERNEL_CHECK_MSG(context, false, InvalidArgument, out, "spectral_filter takes float32 and float16 only");
  }
  ET_KERNEL_CHECK_MSG(context, succeeded, Internal, out, "memory is short, or the thread pool failed");
  return out;
}

}  // namespace

EXECUTORCH_LIBRARY(s2m_edge, "spectral_filter.out", spectral_filter_out);

// How often the kernel was called in this process: tests tell by it that a program ran through this library.
extern "C" S2M_EDGE_EXPORT std::uint64_t s2m_edge_spectral_filter_calls() {
  return calls.load(std::memory_order_relaxed);
}
