// The part of ONNX Runtime's C interface that our custom operators need, declared here because no wheel ships its
// header.
//
// The runtime keeps this interface for good: a table of function pointers per version, whose places never change once
// the version has shipped (later versions append), and an operator description that names the version it was written
// for. This is version 17 (ONNX Runtime 1.17, of 2024), the first with parallel loops for operators.
// https://onnxruntime.ai/docs/api/c/struct_ort_api.html and struct_ort_custom_op.html
#pragma once

#include <cstddef>
#include <cstdint>

namespace s2m_edge::ort {

constexpr std::uint32_t kVersion = 17;
constexpr int kInvalidArgument = 2;  // of the error codes
constexpr int kFloat = 1, kUint8 = 2;  // of the tensor element types
constexpr int kRequired = 0;         // of the kinds of an operator's inputs and outputs
constexpr int kDefaultMemory = 0;    // of the places of an input

// Objects of the runtime.
struct Status;
struct Value;
struct ShapeInfo;
struct KernelInfo;
struct KernelContext;
struct ShapeInferenceContext;
struct SessionOptions;
struct CustomOpDomain;

// The version's table. Places are counted from 0.
struct Api {
  const void* places[276];

  template <class Function>
  Function* at(std::size_t place) const {
    return reinterpret_cast<Function*>(const_cast<void*>(places[place]));
  }

  Status* create_status(int code, const char* message) const {
    return at<Status*(int, const char*)>(0)(code, message);
  }
  Status* create_custom_op_domain(const char* name, CustomOpDomain** domain) const {
    return at<Status*(const char*, CustomOpDomain**)>(26)(name, domain);
  }
  Status* custom_op_domain_add(CustomOpDomain* domain, const struct CustomOp* op) const {
    return at<Status*(CustomOpDomain*, const CustomOp*)>(27)(domain, op);
  }
  Status* add_custom_op_domain(SessionOptions* options, CustomOpDomain* domain) const {
    return at<Status*(SessionOptions*, CustomOpDomain*)>(28)(options, domain);
  }
  Status* tensor_data(Value* value, void** data) const { return at<Status*(Value*, void**)>(51)(value, data); }
  Status* axis_count(const ShapeInfo* info, std::size_t* count) const {
    return at<Status*(const ShapeInfo*, std::size_t*)>(61)(info, count);
  }
  Status* axes(const ShapeInfo* info, std::int64_t* sizes, std::size_t count) const {
    return at<Status*(const ShapeInfo*, std::int64_t*, std::size_t)>(62)(info, sizes, count);
  }
  Status* shape_of(const Value* value, ShapeInfo** info) const {
    return at<Status*(const Value*, ShapeInfo**)>(65)(value, info);
  }
  Status* kernel_input(const KernelContext* context, std::size_t index, const Value** value) const {
    return at<Status*(const KernelContext*, std::size_t, const Value**)>(90)(context, index, value);
  }
  Status* kernel_output(KernelContext* context, std::size_t index, const std::int64_t* sizes, std::size_t count,
                        Value** value) const {
    return at<Status*(KernelContext*, std::size_t, const std::int64_t*, std::size_t, Value**)>(91)(context, index,
                                                                                                   sizes, count, value);
  }
  void release_shape(ShapeInfo* info) const { at<void(ShapeInfo*)>(99)(info); }
  Status* float_attribute(const KernelInfo* info, const char* name, float* value) const {
    return at<Status*(const KernelInfo*, const char*, float*)>(85)(info, name, value);
  }
  // Constant inputs have a value before the first run.
  Status* constant_input(const KernelInfo* info, std::size_t index, int* is_constant, const Value** value) const {
    return at<Status*(const KernelInfo*, std::size_t, int*, const Value**)>(249)(info, index, is_constant, value);
  }
  Status* inferred_input_shape(const ShapeInferenceContext* context, std::size_t index, ShapeInfo** info) const {
    return at<Status*(const ShapeInferenceContext*, std::size_t, ShapeInfo**)>(268)(context, index, info);
  }
  Status* infer_output_shape(ShapeInferenceContext* context, std::size_t index, const ShapeInfo* info) const {
    return at<Status*(const ShapeInferenceContext*, std::size_t, const ShapeInfo*)>(270)(context, index, info);
  }
  // body(data, 0) to body(data, total - 1) on the session's own threads, in `batches` runs (0: one per thread).
  Status* parallel_for(const KernelContext* context, void (*body)(void*, std::size_t), std::size_t total,
                       std::size_t batches, void* data) const {
    using Function = Status*(const KernelContext*, void (*)(void*, std::size_t), std::size_t, std::size_t, void*);
    return at<Function>(274)(context, body, total, batches, data);
  }
};

struct ApiBase {
  const Api* (*get_api)(std::uint32_t version);  // null where the runtime is older than the version
  const char* (*get_version)();
};

// An operator, as the runtime reads it; null where the version does not ask.
struct CustomOp {
  std::uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*execution_provider)(const CustomOp*);
  int (*input_type)(const CustomOp*, std::size_t);
  std::size_t (*input_count)(const CustomOp*);
  int (*output_type)(const CustomOp*, std::size_t);
  std::size_t (*output_count)(const CustomOp*);
  void (*compute)(void* kernel, KernelContext*);
  void (*destroy_kernel)(void* kernel);
  int (*input_kind)(const CustomOp*, std::size_t);
  int (*output_kind)(const CustomOp*, std::size_t);
  int (*input_memory)(const CustomOp*, std::size_t);
  int (*variadic_input_minimum)(const CustomOp*);
  int (*variadic_input_is_homogeneous)(const CustomOp*);
  int (*variadic_output_minimum)(const CustomOp*);
  int (*variadic_output_is_homogeneous)(const CustomOp*);
  Status* (*create_kernel_or_fail)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*compute_or_fail)(void* kernel, KernelContext*);
  Status* (*infer_shapes)(const CustomOp*, ShapeInferenceContext*);
  int (*first_version)(const CustomOp*);
  int (*last_version)(const CustomOp*);
  void* later[4];  // of version 18
};

}  // namespace s2m_edge::ort
