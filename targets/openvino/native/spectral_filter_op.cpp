#include "spectral_filter_op.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "openvino/core/extension.hpp"
#include "openvino/core/parallel.hpp"
#include "spectral_filter.hpp"

namespace s2m_edge {
namespace {

std::atomic<std::uint64_t> kernel_calls{0};

// Ranges on the threads of the calling task arena: inside an inference request that is the CPU plugin's own pool, with
// as many threads as INFERENCE_NUM_THREADS allows.
struct PluginFor {
  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    ov::parallel_nt(0, [&](int thread, int threads) {
      std::size_t begin = 0, end = 0;
      ov::splitter(count, static_cast<std::size_t>(threads), static_cast<std::size_t>(thread), begin, end);
      if (begin < end) body(begin, end);
    });
  }
};

bool is_supported(const ov::element::Type& type) { return type == ov::element::f32 || type == ov::element::f16; }

// The filter as float32; `storage` keeps what had to be widened.
const float* as_float(const ov::Tensor& filter, std::vector<float>& storage) {
  if (filter.get_element_type() == ov::element::f32) return filter.data<const float>();
  const auto* halves = filter.data<const ov::float16>();
  storage.assign(halves, halves + filter.get_size());
  return storage.data();
}

}  // namespace

SpectralFilter::SpectralFilter(const ov::Output<ov::Node>& image, const ov::Output<ov::Node>& filter)
    : Op({image, filter}) {
  constructor_validate_and_infer_types();
}

void SpectralFilter::validate_and_infer_types() {
  NODE_VALIDATION_CHECK(this, get_input_size() == 2, "SpectralFilter takes an image and a filter");
  const auto& type = get_input_element_type(0);
  NODE_VALIDATION_CHECK(this, type.is_dynamic() || type.is_real(), "the image is ", type, ", not a floating type");
  auto image = get_input_partial_shape(0);
  const auto& filter = get_input_partial_shape(1);
  NODE_VALIDATION_CHECK(this, image.rank().compatible(4), "the image is ", image, ", not B x C x H x W");
  NODE_VALIDATION_CHECK(this, filter.rank().compatible(3), "the filter is ", filter, ", not C x K1 x K2");
  if (image.rank().is_dynamic()) image = ov::PartialShape::dynamic(4);
  if (filter.rank().is_static()) {
    NODE_VALIDATION_CHECK(this, ov::Dimension::merge(image[1], image[1], filter[0]), "the image ", image,
                          " and the filter ", filter, " differ in channels");
  }
  set_output_type(0, type, image);
}

std::shared_ptr<ov::Node> SpectralFilter::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  NODE_VALIDATION_CHECK(this, inputs.size() == 2, "SpectralFilter takes an image and a filter");
  return std::make_shared<SpectralFilter>(inputs[0], inputs[1]);
}

bool SpectralFilter::visit_attributes(ov::AttributeVisitor&) { return true; }

bool SpectralFilter::has_evaluate() const {
  return is_supported(get_input_element_type(0)) && is_supported(get_input_element_type(1));
}

bool SpectralFilter::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const ov::Tensor &image = inputs.at(0), &filter = inputs.at(1);
  const auto& type = image.get_element_type();
  if (!is_supported(type) || !is_supported(filter.get_element_type())) return false;
  const ov::Shape &size = image.get_shape(), &kept = filter.get_shape();
  ov::Tensor& filtered = outputs.at(0);
  filtered.set_shape(size);
  const SpectralShape shape{size.at(0), size.at(1), size.at(2), size.at(3), kept.at(1), kept.at(2)};
  std::vector<float> widened;
  const float* weight = as_float(filter, widened);
  kernel_calls.fetch_add(1, std::memory_order_relaxed);
  if (type == ov::element::f32) {
    spectral_filter(image.data<const float>(), weight, filtered.data<float>(), shape, PluginFor{});
  } else {
    static_assert(sizeof(Half) == sizeof(ov::float16), "both are the 16 bits of IEEE binary16");
    spectral_filter(reinterpret_cast<const Half*>(image.data<const ov::float16>()), weight,
                    reinterpret_cast<Half*>(filtered.data<ov::float16>()), shape, PluginFor{});
  }
  return true;
}

}  // namespace s2m_edge

// How often the kernel has run in this process: the proof that a model's nodes are executed and not folded away.
OPENVINO_EXTENSION_C_API std::uint64_t s2m_edge_spectral_filter_calls() {
  return s2m_edge::kernel_calls.load(std::memory_order_relaxed);
}
