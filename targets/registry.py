"""The table of targets, as data. Refusals come from here, before any backend is imported."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from typing import TYPE_CHECKING, TypeVar

from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.errors import CapabilityError, MissingBackendError
from s2m_edge.installation import install_command
from s2m_edge.native import require_buildable

if TYPE_CHECKING:
    from s2m_edge.targets.base import Exporter, Runner
    from s2m_edge.targets.look import Look

Item = TypeVar("Item")


@dataclass(frozen=True)
class Lowering:
    """One way a target lowers the spectral filter.

    Attributes:
        name: "matmul" (constant matrices, stock runtime) or "custom" (the op stays one node or composite).
        form: what the artifact holds, for people.
        kernel: "module:function" of the native library that has to be built here; empty where none has.
        needs: what executes such an artifact, where the target's runtime alone does not; its verdict is "converted, not
            executed" elsewhere.
    """

    name: SpectralLowering
    form: str
    kernel: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Target:
    """One row of the registry.

    Attributes:
        name: what `--target` takes.
        title: the runtime's proper name.
        suffix: of the artifact.
        precisions: supported, the default first.
        lowerings: of the spectral filter, the default first.
        distribution: the pip distribution whose version is reported.
        module: the import name that has to be there.
        extra: the pip extra that installs it.
        exporter, runner: "module:class" in this package.
        runs_on: where the artifact runs, for people.
        parity_here: how parity is established on this kind of machine, for people.
        slow_runtime: why the runtime here is slow, where it is: its times say nothing of a device.
        gate_images: how many images the parity gate takes where nobody says; None: all that are given.
        machines: "system architecture" of the machines that the distribution exists for; empty: wherever pip finds it.
        executed_on: systems that have the runtime, where artifacts can be made on others too; empty: wherever they can.
        next_commands: what a user does with a bundle, "{bundle}" for its folder, each with what it does.
        precision_notes: what whoever chooses a precision has to know, by precision.
        look: "module:class" of what reads the artifact's intermediate results; empty where nothing can.
        hidden: why nothing can, where nothing can.
    """

    name: str
    title: str
    suffix: str
    precisions: tuple[Precision, ...]
    lowerings: tuple[Lowering, ...]
    distribution: str
    module: str
    extra: str
    exporter: str
    runner: str
    runs_on: str
    parity_here: str
    next_commands: tuple[tuple[str, str], ...]
    slow_runtime: str = ""
    gate_images: int | None = None
    machines: tuple[str, ...] = ()
    executed_on: tuple[str, ...] = ()
    precision_notes: Mapping[Precision, str] = field(default_factory=dict, hash=False)  # targets are keys of caches
    look: str = ""
    hidden: str = ""

    @property
    def default_lowering(self) -> SpectralLowering:
        return self.lowerings[0].name

    def version(self) -> str | None:
        """The installed version of the backend, or None."""
        if importlib.util.find_spec(self.module) is None:
            return None
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    def exists_here(self) -> bool:
        """Whether there is a distribution for this machine."""
        return not self.machines or f"{platform.system()} {platform.machine()}" in self.machines

    def executes_here(self) -> bool:
        """Whether artifacts are executed on this system, and not only made."""
        return not self.executed_on or platform.system() in self.executed_on

    def take_for_gate(self, items: Sequence[Item], limit: int | None = None) -> Sequence[Item]:
        """The first `limit` of `items`; as many as this target's gate takes where it is None."""
        return items[: self.gate_images if limit is None else limit]

    def require_backend(self) -> None:
        """Raise MissingBackendError unless the backend is installed."""
        if self.version() is None and not self.exists_here():
            raise MissingBackendError(
                f"the target {self.name} needs {self.distribution}, which does not exist for {platform.system()} "
                f"{platform.machine()}",
                f"Use {' or '.join(self.machines)}.",
            )
        if self.version() is None:
            raise MissingBackendError(
                f"the target {self.name} needs {self.distribution}, which is not installed",
                f"Install it with: {install_command(self.extra)}.",
            )

    def require_capability(self, precision: str, lowering: str) -> None:
        """Raise CapabilityError unless this target has the precision and the spectral lowering today."""
        if precision not in self.precisions:
            raise CapabilityError(
                f"the target {self.name} has no precision {precision!r}",
                f"Choose --precision {' or '.join(self.precisions)}.",
            )
        found = next((entry for entry in self.lowerings if entry.name == lowering), None)
        if found is None:
            names = " or ".join(entry.name for entry in self.lowerings)
            raise CapabilityError(
                f"the target {self.name} has no spectral lowering {lowering!r}", f"Choose --spectral {names}."
            )

    def require_kernel(self, lowering: str) -> None:
        """Raise NativeBuildError where the lowering needs a native kernel that is neither built nor can be built here.

        Builds nothing. Comes after `require_backend` and `require_capability`.
        """
        path = next(entry.kernel for entry in self.lowerings if entry.name == lowering)
        if path:
            require_buildable(_load(path)())

    def make_exporter(self) -> Exporter:
        return _load(self.exporter)(self)

    def runner_class(self) -> type[Runner]:
        return _load(self.runner)

    def look_class(self) -> type[Look] | None:
        """What reads an artifact's intermediate results; None where nothing can."""
        return _load(self.look) if self.look else None


def _load(path: str):  # noqa: ANN202 - a class named by data
    module, name = path.split(":")
    return getattr(import_module(module), name)


PREDICT = ("s2m-edge predict {bundle} PICTURE", "masks and overlays in the pictures' own size")

TARGETS: tuple[Target, ...] = (
    Target(
        name="executorch",
        title="ExecuTorch (XNNPACK)",
        suffix=".pte",
        precisions=("float32", "int8"),
        lowerings=(
            Lowering("matmul", "constant matrices, delegated"),
            Lowering(
                "custom",
                "opaque node s2m_edge::spectral_filter.out of a native kernel library",
                kernel="s2m_edge.targets.executorch.operator_library:kernel_library",
            ),
        ),
        distribution="executorch",
        module="executorch",
        extra="executorch",
        exporter="s2m_edge.targets.executorch.export:ExecuTorchExporter",
        runner="s2m_edge.targets.executorch.run:ExecuTorchRunner",
        hidden="XNNPACK's delegates keep nothing of what they compute on the way",
        runs_on="Android, iOS, Linux, Arm boards, macOS, Windows",
        parity_here="executed by the pip runtime",
        next_commands=(
            PREDICT,
            ("s2m-edge demo board {bundle}", "a C++ program, its libraries and the bundle in one folder"),
            ("cp -r {bundle} apps/android/app/src/main/assets/models/", "into a clone's Android app, see apps/android"),
        ),
    ),
    Target(
        name="coreml",
        title="Core ML (ML Program)",
        suffix=".mlpackage",
        precisions=("float32", "float16", "int8", "int8-weights", "palette6"),
        lowerings=(
            Lowering("matmul", "constant matrices"),
            Lowering("custom", "composite op of constant matrices (ML Programs have no custom layers)"),
        ),
        distribution="coremltools",
        module="coremltools",
        extra="coreml",
        exporter="s2m_edge.targets.coreml.export:CoreMLExporter",
        runner="s2m_edge.targets.coreml.run:CoreMLRunner",
        look="s2m_edge.targets.coreml.look:CoreMLLook",
        runs_on="iOS 17, iPadOS 17, macOS 14 and later",
        parity_here="executed on macOS; elsewhere artifact parity by the reference evaluator",
        next_commands=(
            PREDICT,
            ("cp -r {bundle} apps/ios/Models/", "into a clone's iOS app, which is built on a Mac; see apps/ios"),
            ("s2m-edge parity {bundle}", "on a Mac: executed by Core ML itself"),
        ),
        executed_on=("Darwin",),
        precision_notes={
            "float32": "float32 never runs on the Neural Engine, which computes in float16: --precision float16 does"
        },
    ),
    Target(
        name="coreai",
        title="Core AI",
        suffix=".aimodel",
        precisions=("float32", "float16", "int8"),
        lowerings=(
            Lowering("matmul", "constant matrices"),
            Lowering(
                "custom",
                "one Metal kernel of ours in each mixer, carried by the asset as source",
                needs="macOS 27 or iOS 27 and an Apple GPU; its composite twin is executed elsewhere",
            ),
        ),
        distribution="coreai-torch",
        module="coreai_torch",
        extra="coreai",
        exporter="s2m_edge.targets.coreai.export:CoreAIExporter",
        runner="s2m_edge.targets.coreai.run:CoreAIRunner",
        hidden="Core AI's runtime gives a function's results alone",
        runs_on="iOS 27, iPadOS 27, macOS 27 and later",
        parity_here="executed by Apple's runtime: on macOS 27 the system's, elsewhere the interpreter of coreai-core",
        next_commands=(
            PREDICT,
            ("s2m-edge parity {bundle} --limit 3", "the gate on more pictures"),
        ),
        slow_runtime="an interpreter on one core",
        gate_images=1,
        machines=("Linux x86_64", "Darwin arm64"),
    ),
    Target(
        name="openvino",
        title="OpenVINO",
        suffix=".xml",
        precisions=("float32", "float16", "bfloat16", "int8"),
        lowerings=(
            Lowering("matmul", "constant matrices"),
            Lowering(
                "custom",
                "node SpectralFilter, executed by an extension library",
                kernel="s2m_edge.targets.openvino.extension:extension_library",
            ),
        ),
        distribution="openvino",
        module="openvino",
        extra="openvino",
        exporter="s2m_edge.targets.openvino.export:OpenVINOExporter",
        runner="s2m_edge.targets.openvino.run:OpenVINORunner",
        look="s2m_edge.targets.openvino.look:OpenVINOLook",
        runs_on="Intel CPU, GPU and NPU, Arm CPU; Linux, Windows, macOS",
        parity_here="executed on the CPU plugin in float32, bfloat16 where that is the precision",
        next_commands=(
            PREDICT,
            ("s2m-edge demo desktop --bundle {bundle}", "a window: pictures, volumes, batches, export"),
            ("s2m-edge benchmark --bundles {bundle}", "how fast it is here"),
        ),
    ),
    Target(
        name="onnx",
        title="ONNX (ONNX Runtime, browser)",
        suffix=".onnx",
        precisions=("float32", "float16", "float16-mixed", "int8"),
        lowerings=(
            Lowering("matmul", "constant matrices, standard operators only"),
            Lowering(
                "custom",
                "node SpectralFilter with its function body of MatMuls in the model",
            ),
        ),
        distribution="onnxruntime",
        module="onnxruntime",
        extra="onnx",
        exporter="s2m_edge.targets.onnx.export:ONNXExporter",
        runner="s2m_edge.targets.onnx.run:ONNXRunner",
        look="s2m_edge.targets.onnx.look:ONNXLook",
        runs_on="Linux, Windows, macOS, Android, iOS, browsers",
        parity_here="executed by ONNX Runtime on the CPU",
        next_commands=(
            PREDICT,
            ("s2m-edge demo web {bundle}", "a page in the browser, on this machine alone"),
            ("s2m-edge benchmark --bundles {bundle}", "how fast it is here"),
        ),
        precision_notes={"float16-mixed": "for graphics adapters with float16 arithmetic (WebGPU's shader-f16)"},
    ),
    Target(
        name="litert",
        title="LiteRT (XNNPACK)",
        suffix=".tflite",
        precisions=("float32", "float16", "int8"),
        lowerings=(
            Lowering("matmul", "constant matrices, delegated"),
            Lowering("custom", "StableHLO composite s2m_edge.spectral_filter, with its decomposition of matrices"),
        ),
        distribution="litert-torch",
        module="litert_torch",
        extra="litert",
        exporter="s2m_edge.targets.litert.export:LiteRTExporter",
        runner="s2m_edge.targets.litert.run:LiteRTRunner",
        look="s2m_edge.targets.litert.look:LiteRTLook",
        runs_on="Android, iOS, Linux, Arm boards, macOS, Windows",
        parity_here="executed by the pip runtime",
        next_commands=(
            PREDICT,
            ("cp -r {bundle} apps/android/app/src/main/assets/models/", "into a clone's Android app, see apps/android"),
            ("s2m-edge benchmark --bundles {bundle}", "how fast it is here"),
        ),
    ),
)


def target_names() -> tuple[str, ...]:
    return tuple(target.name for target in TARGETS)


def find_target(name: str) -> Target:
    """The registry's row called `name`.

    Raises:
        CapabilityError: there is none.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    raise CapabilityError(f"there is no target {name!r}", f"Choose --target {', '.join(target_names())} or all.")
