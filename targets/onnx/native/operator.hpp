// What our custom operators of ONNX Runtime have in common: inputs as spans, loops on the session's threads, failures as
// the runtime's statuses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <vector>

#include "runtime_interface.hpp"

namespace s2m_edge {

// A failure that the runtime has described already.
struct Failure {
  ort::Status* status;
};

inline void check(ort::Status* status) {
  if (status != nullptr) throw Failure{status};
}

template <class Element>
struct Span {
  const Element* data;
  std::vector<std::size_t> shape;
};
using Tensor = Span<float>;
using Bytes = Span<std::uint8_t>;

template <class Element = float>
Span<Element> tensor_of(const ort::Api& api, const ort::Value* value) {
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
  return {static_cast<const Element*>(data), std::vector<std::size_t>(sizes.begin(), sizes.end())};
}

// The type is what the operator declares of this input; the runtime has checked it.
template <class Element = float>
Span<Element> input(const ort::Api& api, const ort::KernelContext* context, std::size_t index) {
  const ort::Value* value = nullptr;
  check(api.kernel_input(context, index, &value));
  return tensor_of<Element>(api, value);
}

// The output, of the shape and type of an input.
template <class Element>
Element* output_like(const ort::Api& api, ort::KernelContext* context, const Span<Element>& other) {
  const std::vector<std::int64_t> sizes(other.shape.begin(), other.shape.end());
  ort::Value* value = nullptr;
  check(api.kernel_output(context, 0, sizes.data(), sizes.size(), &value));
  void* data = nullptr;
  check(api.tensor_data(value, &data));
  return static_cast<Element*>(data);
}

// body() as a status of the runtime: no exception may pass its interface.
template <class Body>
ort::Status* guarded(const ort::Api& api, const Body& body) {
  try {
    return body();
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return api.create_status(ort::kInvalidArgument, error.what());
  }
}

// An operator of float32 tensors, all of them required, with one output of the first input's shape.
ort::CustomOp float_operator();

// Defined beside each operator.
const ort::CustomOp& spectral_filter_op();
const ort::CustomOp& receptive_field_op();
const ort::CustomOp& channel_norm_op();
const ort::CustomOp& quantized_elu_op();

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

}  // namespace s2m_edge
