// What OpenVINO finds in this library: the operation, and its conversions from PyTorch and from our ONNX node.

#include <cstddef>
#include <memory>
#include <vector>

#include "openvino/core/extension.hpp"
#include "openvino/core/op_extension.hpp"
#include "openvino/frontend/onnx/extension/conversion.hpp"
#include "openvino/frontend/pytorch/extension/conversion.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/matmul.hpp"
#include "folded_filter.hpp"
#include "spectral_filter_op.hpp"

namespace {

using ov::Output;
using ov::OutputVector;
using s2m_edge::SpectralFilter;

// s2m_edge::spectral_filter(x, weight): the same two arguments.
OutputVector from_torch(const ov::frontend::NodeContext& context) {
  return {std::make_shared<SpectralFilter>(context.get_input(0), context.get_input(1))};
}

// matrix * folded * matrix^T, C x M2 x M1 (width first) to C x K x K (height first).
Output<ov::Node> unfolded(const std::vector<float>& matrix, const ov::Shape& shape, const Output<ov::Node>& folded) {
  const auto constant = ov::op::v0::Constant::create(ov::element::f32, shape, matrix);
  const auto rows = std::make_shared<ov::op::v0::MatMul>(constant, folded, false, true);
  return std::make_shared<ov::op::v0::MatMul>(rows, constant, false, true);
}

// s2m_edge::SpectralFilter(image, basis N x 2M, even C x M x M, odd C x M x M) of ONNX. The filter is written as
// matrix products of the folded gains, which are constants, so that OpenVINO computes it when it compiles the model.
OutputVector from_onnx(const ov::frontend::NodeContext& context) {
  const auto image = context.get_input(0), basis = context.get_input(1);
  const auto even = context.get_input(2), odd = context.get_input(3);
  FRONT_END_GENERAL_CHECK(basis.get_partial_shape().is_static() && basis.get_partial_shape().size() == 2,
                          "the basis of s2m_edge::SpectralFilter has no fixed size");
  const auto size = basis.get_shape();
  const auto unfolding = s2m_edge::unfolding_matrices(size[0], size[1] / 2);
  const ov::Shape shape{unfolding.kept, unfolding.count};
  const auto filter = std::make_shared<ov::op::v1::Add>(unfolded(unfolding.even, shape, even),
                                                        unfolded(unfolding.odd, shape, odd));
  return {std::make_shared<SpectralFilter>(image, filter)};
}

using FromTorch = ov::frontend::pytorch::ConversionExtension;
using FromONNX = ov::frontend::onnx::ConversionExtension;

}  // namespace

OPENVINO_CREATE_EXTENSIONS(std::vector<ov::Extension::Ptr>({
    std::make_shared<ov::OpExtension<SpectralFilter>>(),
    std::make_shared<FromTorch>("s2m_edge::spectral_filter", from_torch),          // a traced module
    std::make_shared<FromTorch>("s2m_edge.spectral_filter.default", from_torch),   // an exported program
    std::make_shared<FromONNX>("SpectralFilter", "s2m_edge", from_onnx),
}));
