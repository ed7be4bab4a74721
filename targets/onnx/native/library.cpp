// Our custom operators as ONNX Runtime finds them: one domain, registered with a session's options.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "operator.hpp"

#ifdef _WIN32
#define S2M_EDGE_EXPORT extern "C" __declspec(dllexport)
#else
#define S2M_EDGE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace s2m_edge {

extern std::atomic<std::uint64_t> spectral_filter_calls, receptive_field_calls, channel_norm_calls,
    quantized_elu_calls;

namespace {

const ort::Api* table = nullptr;  // the one of this process's runtime

ort::Status* infer_shapes(const ort::CustomOp*, ort::ShapeInferenceContext* context) {
  ort::ShapeInfo* image = nullptr;  // stays the runtime's
  ort::Status* status = table->inferred_input_shape(context, 0, &image);
  return status != nullptr ? status : table->infer_output_shape(context, 0, image);
}

}  // namespace

ort::CustomOp float_operator() {
  ort::CustomOp op{};
  op.version = ort::kVersion;
  op.execution_provider = [](const ort::CustomOp*) -> const char* { return nullptr; };  // the CPU
  op.input_type = [](const ort::CustomOp*, std::size_t) { return ort::kFloat; };
  op.output_type = [](const ort::CustomOp*, std::size_t) { return ort::kFloat; };
  op.output_count = [](const ort::CustomOp*) { return std::size_t{1}; };
  op.input_kind = [](const ort::CustomOp*, std::size_t) { return ort::kRequired; };
  op.output_kind = [](const ort::CustomOp*, std::size_t) { return ort::kRequired; };
  op.input_memory = [](const ort::CustomOp*, std::size_t) { return ort::kDefaultMemory; };
  op.variadic_input_minimum = [](const ort::CustomOp*) { return 1; };
  op.variadic_input_is_homogeneous = [](const ort::CustomOp*) { return 1; };
  op.variadic_output_minimum = [](const ort::CustomOp*) { return 1; };
  op.variadic_output_is_homogeneous = [](const ort::CustomOp*) { return 1; };
  op.infer_shapes = infer_shapes;
  op.first_version = [](const ort::CustomOp*) { return 1; };
  op.last_version = [](const ort::CustomOp*) { return 1; };
  return op;
}

}  // namespace s2m_edge

// What ONNX Runtime calls when a session registers this library. The domain must outlive every session that uses it,
// so it is made once and kept as long as the process.
S2M_EDGE_EXPORT s2m_edge::ort::Status* RegisterCustomOps(s2m_edge::ort::SessionOptions* options,
                                                         const s2m_edge::ort::ApiBase* base) {
  using namespace s2m_edge;
  const ort::Api* api = base->get_api(ort::kVersion);
  if (api == nullptr) {  // version 1 has been there always, and knows how to say so
    return base->get_api(1)->create_status(ort::kInvalidArgument, "s2m_edge needs ONNX Runtime 1.17 or later");
  }
  struct Made {
    ort::CustomOpDomain* domain = nullptr;
    ort::Status* status = nullptr;
  };
  static const Made made = [api] {
    Made result;
    table = api;
    result.status = api->create_custom_op_domain("s2m_edge", &result.domain);
    for (const ort::CustomOp* op : {&spectral_filter_op(), &receptive_field_op(), &channel_norm_op(), &quantized_elu_op()})
      if (result.status == nullptr) result.status = api->custom_op_domain_add(result.domain, op);
    return result;
  }();
  return made.status != nullptr ? api->create_status(ort::kInvalidArgument, "s2m_edge's operators cannot be registered")
                                : api->add_custom_op_domain(options, made.domain);
}

// How often each kernel has run in this process: the proof that the runtime prefers it to the model's function body.
S2M_EDGE_EXPORT std::uint64_t s2m_edge_spectral_filter_calls() {
  return s2m_edge::spectral_filter_calls.load(std::memory_order_relaxed);
}

S2M_EDGE_EXPORT std::uint64_t s2m_edge_receptive_field_calls() {
  return s2m_edge::receptive_field_calls.load(std::memory_order_relaxed);
}

S2M_EDGE_EXPORT std::uint64_t s2m_edge_channel_norm_calls() {
  return s2m_edge::channel_norm_calls.load(std::memory_order_relaxed);
}

S2M_EDGE_EXPORT std::uint64_t s2m_edge_quantized_elu_calls() {
  return s2m_edge::quantized_elu_calls.load(std::memory_order_relaxed);
}
