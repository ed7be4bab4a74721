"""Running ONNX on ONNX Runtime's CPU execution provider."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import Runner
from s2m_edge.targets.onnx.backend import import_onnxruntime
from s2m_edge.targets.onnx.operator_library import is_asked_for, register_kernel
from s2m_edge.targets.onnx.rounded import rounded_in_float32

PROVIDER = "CPUExecutionProvider"
EXPORT_AGAIN = "Export it again."
MIXED_REMARK = (
    "ONNX Runtime's CPU provider computes no float16. It opened the artifact, and the figures are of the same graph "
    "with every float16 value rounded between float32 sums. On a graphics adapter with shader-f16 the page's self-test "
    "judges it by the same gate."
)
_FATAL_ONLY = 4  # onnxruntime logs each load error to the console before it raises the same text


class ONNXRunner(Runner):
    """ONNX Runtime on the CPU; the caller's normalisation is done here, in numpy.

    With S2M_EDGE_ONNX_KERNEL=1 native kernels take the place of the model's function bodies.
    """

    parallel: ClassVar[bool] = True  # InferenceSession.run may be called by any number of threads

    @classmethod
    def import_backend(cls) -> None:
        import_onnxruntime()

    def session_options(self) -> Any:
        """`onnxruntime.SessionOptions` of the session."""
        options = import_onnxruntime().SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
        if is_asked_for():
            register_kernel(options)
        return options

    def load(self) -> None:
        onnxruntime = import_onnxruntime()
        if not self.artifact.is_file():
            raise LoweringError(f"{self.artifact} is missing", EXPORT_AGAIN)
        self.session = onnxruntime.InferenceSession(self.artifact, self.session_options(), providers=[PROVIDER])
        self._check_interface()
        if self.precision == "float16-mixed":
            self._compute_in_half(onnxruntime)
        threads = "default" if self.threads is None else self.threads
        kernel = ", native kernels registered" if is_asked_for() else ""
        self.device = f"{PROVIDER} (onnxruntime {onnxruntime.__version__}, threads: {threads}{kernel})"

    def _compute_in_half(self, onnxruntime: Any) -> None:
        """Take the form of the artifact that rounds, which the provider by itself would not do."""
        import onnx

        self.verdict, self.remark = "converted, not executed", MIXED_REMARK
        rounded = rounded_in_float32(onnx.load_model(self.artifact)).SerializeToString()
        self.session = onnxruntime.InferenceSession(rounded, self.session_options(), providers=[PROVIDER])

    def _check_interface(self) -> None:
        ports = [*self.session.get_inputs(), *self.session.get_outputs()]
        names = [port.name for port in ports]
        expected = [self.interface.input_name, self.interface.output_name]
        if names != expected:
            raise LoweringError(f"{self.artifact} has the tensors {names}, not {expected}", EXPORT_AGAIN)
        wanted = [1, *self.preprocessing.image_shape]
        if list(ports[0].shape) != wanted or ports[0].type != "tensor(float)":
            raise LoweringError(
                f"{self.artifact} takes {ports[0].type} {list(ports[0].shape)}, the contract says float {wanted}",
                EXPORT_AGAIN,
            )

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = normalise(fitted, self.preprocessing)
        outputs: Any = self.session.run([self.interface.output_name], {self.interface.input_name: image})
        return outputs[0][0]
