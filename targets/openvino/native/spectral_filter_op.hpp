// The operation SpectralFilter of the operation set "s2m_edge".
#pragma once

#include <memory>

#include "openvino/op/op.hpp"

namespace s2m_edge {

// filtered = SpectralFilter(image, filter), y = Re(IFFT2(pad(W * crop(fftshift(FFT2(x)))))).
//
// image: B x C x H x W, f32 or f16; any axis may be dynamic. filter: C x K1 x K2, f32 or f16, frequency 0 at index
// K / 2 of each axis; frequencies that the map does not have are ignored. filtered: of image's shape and type.
class SpectralFilter : public ov::op::Op {
 public:
  OPENVINO_OP("SpectralFilter", "s2m_edge");

  SpectralFilter() = default;
  SpectralFilter(const ov::Output<ov::Node>& image, const ov::Output<ov::Node>& filter);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override;
};

}  // namespace s2m_edge
