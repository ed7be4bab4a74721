"""Running a Core AI asset: Apple's own runtime on macOS 27, the interpreter that coreai-core brings elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import platform
import tempfile
import threading
import weakref
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.targets.base import Runner
from s2m_edge.targets.coreai.export import FUNCTION
from s2m_edge.targets.coreai.quiet import quiet_coreai
from s2m_edge.targets.coreai.twin import count_kernel_calls, save_twin
from s2m_edge.targets.quiet import quiet_native

EXPORT_AGAIN = "Export it again, or copy the whole .aimodel folder of one export."
PROGRAM, PROGRAM_HASH = "main.mlirb", "main.hash"
TWIN_REMARK = (
    "The Metal kernel itself was not executed: it needs macOS 27 or iOS 27 and an Apple GPU. The figures are those of "
    "the composite twin, executed: the same saved program with each kernel call replaced by constant matrices."
)


class CoreAIRunner(Runner):
    """An asset in Core AI's runtime, whose calls are asynchronous: they are awaited on a thread of the runner's own.

    Away from macOS 27 the runtime is an interpreter that executes every operation here but Metal kernels. An asset that
    calls one is then represented by its composite twin (`twin.py`), and the verdict is "converted, not executed". The
    runtime takes no number of threads.

    Attributes:
        kernel_calls: calls of Metal kernels in the asset.
        remark: what the figures are of, where they are not the artifact's own.
    """

    kernel_calls: int
    _function: Any

    @classmethod
    def import_backend(cls) -> None:
        with quiet_coreai():
            import coreai.authoring
            import coreai.runtime  # noqa: F401

    def load(self) -> None:
        check_program(self.artifact)
        with quiet_coreai():
            from coreai.authoring import AIModelAsset
            from coreai.runtime import SpecializationOptions

        native = SpecializationOptions.is_supported()
        asset = AIModelAsset.load(self.artifact)
        self.kernel_calls = count_kernel_calls(asset.program)
        self._loop = EventLoopThread()
        self._close = weakref.finalize(self, self._loop.close)
        with tempfile.TemporaryDirectory() as folder:
            if self.kernel_calls and not native:
                twin = Path(folder) / "twin.aimodel"
                save_twin(self.artifact, twin)
                asset = AIModelAsset.load(twin)
                self.verdict = "converted, not executed"
                self.remark = TWIN_REMARK
            with quiet_native():
                model = self._loop.run(self._loop.resources.enter_async_context(asset.executable()))
                if FUNCTION not in model.function_names:
                    raise LoweringError(f"{self.artifact} has no function {FUNCTION}", EXPORT_AGAIN)
                self._function = model.load_function(FUNCTION)
        self._check_interface(self._function.desc)
        where = f"{platform.system()} {platform.machine()}"
        self.device = f"Core AI (macOS {platform.mac_ver()[0]})" if native else f"Core AI interpreter (CPU, {where})"

    def _check_interface(self, description: Any) -> None:
        wanted = [1, *self.preprocessing.fitted_shape]
        names = [*description.input_names, *description.output_names]
        expected = [self.interface.input_name, self.interface.output_name]
        if names != expected:
            raise LoweringError(f"{self.artifact} has the tensors {names}, not {expected}", EXPORT_AGAIN)
        port = description.input_descriptor(self.interface.input_name)
        if list(port.shape) != wanted or port.dtype != "uint8":
            raise LoweringError(
                f"{self.artifact} takes {port.dtype} pictures of {list(port.shape)}, the contract says uint8 of "
                f"{wanted}",
                EXPORT_AGAIN,
            )

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        from coreai.runtime import NDArray as CoreAIArray

        inputs = {self.interface.input_name: CoreAIArray(fitted[None])}
        outputs = self._loop.run(self._function(inputs))
        return np.array(outputs[self.interface.output_name].numpy()[0], dtype=np.float32)

    def observations(self) -> dict[str, Any]:
        """Calls of Metal kernels in the asset, and whether its composite twin was executed in its place."""
        return {"metal_kernel_calls": self.kernel_calls, "composite_twin_executed": bool(self.remark)}


class EventLoopThread:
    """An event loop on a thread of its own, so that callers may have a running loop themselves.

    Attributes:
        resources: closed on the loop, last.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.resources = contextlib.AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="coreai", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`; what it raises is raised here."""

        async def awaited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def close(self) -> None:
        """Release the resources and end the thread."""
        self.run(self.resources.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def check_program(artifact: Path) -> None:
    """Raise LoweringError unless the asset's program is the one that its own hash was made of.

    The runtime's reader of damaged programs ends the process.
    """
    for name in (PROGRAM, PROGRAM_HASH):
        if not (artifact / name).is_file():
            raise LoweringError(f"{artifact / name} is missing", EXPORT_AGAIN)
    found = hashlib.sha256((artifact / PROGRAM).read_bytes()).digest()
    if found != (artifact / PROGRAM_HASH).read_bytes():
        raise LoweringError(f"{artifact / PROGRAM} is damaged: its hash differs from {PROGRAM_HASH}", EXPORT_AGAIN)
