"""Running OpenVINO IR on the CPU plugin, in float32, so that parity is about the artifact."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.targets.base import Runner
from s2m_edge.targets.openvino.backend import import_openvino

EXPORT_AGAIN = "Export it again, or copy both files, .xml and .bin, of one export."


class OpenVINORunner(Runner):
    """The CPU plugin. Its own default precision is bfloat16 on some processors, hence the explicit float32."""

    def load(self) -> None:
        check_weights_file(self.artifact)
        ov = import_openvino()
        core = ov.Core()
        # Without memory mapping the files may be moved or deleted while the runner lives, on Windows too.
        core.set_property({"ENABLE_MMAP": False})
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if self.threads is not None:
            options["INFERENCE_NUM_THREADS"] = self.threads
        try:
            model = core.read_model(self.artifact)
            self._check_interface(model)
            self.compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            # OpenVINO puts the places in its own sources first and what is wrong last.
            reason = ([line for line in str(error).splitlines() if line.strip()] or ["no reason given"])[-1]
            raise LoweringError(f"{self.artifact} cannot be loaded ({reason})", EXPORT_AGAIN) from error
        self.precision_used = str(self.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self.device = f"CPU ({core.get_property('CPU', 'FULL_DEVICE_NAME')}), executed in {self.precision_used}"

    def _check_interface(self, model: Any) -> None:
        size, channels = self.preprocessing.size, self.preprocessing.channels
        self._input_shape = (1, size, size, channels)
        names = [tuple(port.get_names()) for port in (*model.inputs, *model.outputs)]
        expected = [(self.interface.input_name,), (self.interface.output_name,)]
        if names != expected:
            raise LoweringError(f"{self.artifact} has the tensors {names}, not {expected}", EXPORT_AGAIN)
        port = model.input()
        if not port.partial_shape.is_static or tuple(port.shape) != self._input_shape:
            raise LoweringError(
                f"{self.artifact} takes pictures of {port.partial_shape}, the contract says {list(self._input_shape)}",
                EXPORT_AGAIN,
            )
        if port.element_type.get_type_name() != "u8":
            raise LoweringError(f"{self.artifact} takes {port.element_type.get_type_name()}, not uint8", EXPORT_AGAIN)

    def predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        if fitted.shape != self._input_shape[1:] or fitted.dtype != np.uint8:
            raise LoweringError(
                f"the picture is {fitted.dtype} {fitted.shape}, not uint8 {self._input_shape[1:]}",
                "Fit it with fit_to_network first.",
            )
        return np.array(self.compiled(np.ascontiguousarray(fitted)[None])[0][0], dtype=np.float32)

    def observations(self) -> dict[str, Any]:
        """The precision of execution, and the number of executable nodes after the plugin's own fusing."""
        nodes = len(self.compiled.get_runtime_model().get_ops())
        return {"inference_precision": self.precision_used, "executable_nodes": nodes}


def check_weights_file(artifact: Path) -> None:
    """Compare the size of the .bin with what the .xml's constants need, before anything maps it.

    Raises:
        LoweringError: a file is missing, the .xml is not well-formed, or the .bin is too short.
    """
    weights = artifact.with_suffix(".bin")
    for file in (artifact, weights):
        if not file.is_file():
            raise LoweringError(f"{file} is missing", EXPORT_AGAIN)
    try:
        constants = [layer.attrib for layer in ElementTree.parse(artifact).getroot().iterfind(".//layer/data[@offset]")]
        needed = max((int(entry["offset"]) + int(entry["size"]) for entry in constants), default=0)
    except (ElementTree.ParseError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise LoweringError(f"{artifact} is not an OpenVINO model ({error})", EXPORT_AGAIN) from None
    found = weights.stat().st_size
    if needed == 0 or found < needed:
        raise LoweringError(f"{weights} has {found} bytes, and the model's constants need {needed}", EXPORT_AGAIN)
