"""Running OpenVINO IR on the CPU plugin, in float32 or in bfloat16, whichever the artifact's precision says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.errors import LoweringError
from s2m_edge.processor import BFLOAT16_FEATURES, processor_features
from s2m_edge.targets.base import Runner
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.branch_sum import sum_branches
from s2m_edge.targets.openvino.extension import NODE_TYPE, build_extension, count_spectral_nodes
from s2m_edge.targets.openvino.kernel_choice import UNKNOWN, Choice, ask_for, choice_for, features_in_use

EXPORT_AGAIN = "Export it again, or copy both files, .xml and .bin, of one export."
BFLOAT16_REMARK = (
    "This processor computes no bfloat16, and OpenVINO ran the network in float32: the figures are those of float32. "
    "Run s2m-edge parity where it is deployed, on a processor with AVX512-BF16 or AMX."
)
_FLOATING = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
"""OpenVINO's names of precisions, spelled out."""


class OpenVINORunner(Runner):
    """The CPU plugin. Its own default precision is bfloat16 on some processors, hence the explicit float32: bfloat16 is
    a precision of its own, with its own gate, and never what an artifact of another precision is run in.

    A call needs an infer request for itself. Requests that no call uses wait in `_idle`, at most as many as there ever
    were calls at once.

    Attributes:
        plugin: OpenVINO's name of the device. Parity is stated for CPU; apps derive classes for others.
    """

    parallel: ClassVar[bool] = True
    plugin: ClassVar[str] = "CPU"

    @classmethod
    def import_backend(cls) -> None:
        import_openvino()

    def plugin_options(self) -> dict[str, Any]:
        """Properties that the model is compiled with."""
        computed = "bf16" if self.precision == "bfloat16" else "f32"
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": computed, "PERFORMANCE_HINT": "LATENCY"}
        if self.threads is not None and self.plugin == "CPU":
            options["INFERENCE_NUM_THREADS"] = self.threads
            # Bound, they would sit on the first cores in every process: two of one thread each would share a core, and
            # leave the other idle.
            options["ENABLE_CPU_PINNING"] = False
        return options

    def choice(self) -> Choice:
        """How the plugin is to run the model; int8, bfloat16 and other devices have kernels of their own."""
        in_float32 = not self._quantized and self.precision != "bfloat16"
        choosing = self.plugin == "CPU" and in_float32
        return choice_for(features_in_use()) if choosing else UNKNOWN

    def load(self) -> None:
        core, model = self.opened()
        ours = (node for node in model.get_ops() if node.get_type_name() == NODE_TYPE)
        self.spectral_names = frozenset(node.get_friendly_name() for node in ours)
        with self._refusals():
            self.compiled = core.compile_model(model, self.plugin, self.plugin_options())
        self._idle: deque[Any] = deque()
        self.precision_used, self.device = self._describe(core)
        if self.precision == "bfloat16" and self.precision_used != "bf16":
            self.verdict, self.remark = "converted, not executed", BFLOAT16_REMARK

    def opened(self) -> tuple[Any, Any]:
        """`openvino.Core` and the artifact's checked `openvino.Model`, as it is about to be compiled.

        Raises:
            LoweringError: the artifact does not load.
        """
        network, weights = read_network(self.artifact), self.artifact.with_suffix(".bin")
        choice = self.choice()
        ask_for(network, choice.kernels)
        extension = build_extension() if count_spectral_nodes(network) else None
        ov = import_openvino()
        core = ov.Core()
        with self._refusals():
            if extension is not None:
                core.add_extension(extension)
            # From memory: the files may be moved or deleted while the runner lives, on Windows too.
            model = core.read_model(ElementTree.tostring(network), ov.Tensor(np.fromfile(weights, dtype=np.uint8)))
            self._check_interface(model)
            if choice.summed:
                sum_branches(model)
        return core, model

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What OpenVINO refuses inside, as one line."""
        try:
            yield
        except RuntimeError as error:
            # OpenVINO puts the places in its own sources first and what is wrong last.
            reason = ([line for line in str(error).splitlines() if line.strip()] or ["no reason given"])[-1]
            raise LoweringError(f"{self.artifact} cannot be loaded ({reason})", EXPORT_AGAIN) from error

    def _describe(self, core: Any) -> tuple[str, str]:
        """The precision of execution, and plugin, device and that precision for people."""
        try:
            precision = str(self.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        except RuntimeError:  # AUTO does not say
            precision = f"{self.plugin_options()['INFERENCE_PRECISION_HINT']} as asked for"
        devices = [self.plugin] if self.plugin == "CPU" else self.compiled.get_property("EXECUTION_DEVICES")
        names = " and ".join(str(core.get_property(device, "FULL_DEVICE_NAME")) for device in devices)
        return precision, f"{self.plugin} ({names}), executed in {self._arithmetic(precision)}"

    def _arithmetic(self, precision: str) -> str:
        """For people: what the plugin calls the precision is that of the floating-point part alone."""
        name, *asked_for = precision.split(" ", 1)
        emulated = name == "bf16" and not processor_features() & BFLOAT16_FEATURES
        floating = " ".join([_FLOATING.get(name, name), *asked_for]) + (", emulated and slow" if emulated else "")
        return f"int8, and {floating} where nothing is quantized" if self._quantized else floating

    @property
    def _quantized(self) -> bool:
        return PRECISION_ROWS[self.precision].quantized

    def _check_interface(self, model: Any) -> None:
        wanted = (1, *self.preprocessing.fitted_shape)
        names = [tuple(port.get_names()) for port in (*model.inputs, *model.outputs)]
        expected = [(self.interface.input_name,), (self.interface.output_name,)]
        if names != expected:
            raise LoweringError(f"{self.artifact} has the tensors {names}, not {expected}", EXPORT_AGAIN)
        port = model.input()
        if not port.partial_shape.is_static or tuple(port.shape) != wanted:
            raise LoweringError(
                f"{self.artifact} takes pictures of {port.partial_shape}, the contract says {list(wanted)}",
                EXPORT_AGAIN,
            )
        if port.element_type.get_type_name() != "u8":
            raise LoweringError(f"{self.artifact} takes {port.element_type.get_type_name()}, not uint8", EXPORT_AGAIN)

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        answer = request.infer(fitted[None], share_inputs=True)[0][0]  # copied out of the request
        self._idle.append(request)  # not after an exception: a request that failed is not used again
        return answer

    def observations(self) -> dict[str, Any]:
        """The precision of execution, and the executable nodes after the plugin's own fusing: all, and ours."""
        nodes = self.compiled.get_runtime_model().get_ops()
        return {
            "inference_precision": self.precision_used,
            "executable_nodes": len(nodes),
            "spectral_filter_nodes": sum(executes_one_of(self.spectral_names, node) for node in nodes),
        }


def executes_one_of(names: frozenset[str], node: Any) -> bool:
    """Whether a node of the plugin's graph calls the kernel of a node in `names`: one that was folded or fused is none.

    The plugin calls the evaluation of an operation that it does not know itself a "Reference".
    """
    facts = {key: str(node.get_rt_info()[key].value) for key in ("layerType", "originalLayersNames")}
    return facts["layerType"] == "Reference" and not names.isdisjoint(facts["originalLayersNames"].split(","))


def read_network(artifact: Path) -> ElementTree.Element:
    """The .xml's root element, once the .bin is known to be as long as the constants need, before anything maps it.

    Raises:
        LoweringError: a file is missing, the .xml is not well-formed, or the .bin is too short.
    """
    weights = artifact.with_suffix(".bin")
    for file in (artifact, weights):
        if not file.is_file():
            raise LoweringError(f"{file} is missing", EXPORT_AGAIN)
    try:
        network = ElementTree.parse(artifact).getroot()
        constants = [layer.attrib for layer in network.iterfind(".//layer/data[@offset]")]
        needed = max((int(entry["offset"]) + int(entry["size"]) for entry in constants), default=0)
    except (ElementTree.ParseError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise LoweringError(f"{artifact} is not an OpenVINO model ({error})", EXPORT_AGAIN) from None
    found = weights.stat().st_size
    if needed == 0 or found < needed:
        raise LoweringError(f"{weights} has {found} bytes, and the model's constants need {needed}", EXPORT_AGAIN)
    return network
