"""Profiling ExecuTorch: the runtime's event trace, which goes into XNNPACK's delegates but names no modules."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import LoweringError
from s2m_edge.targets.executorch.run import ExecuTorchRunner
from s2m_edge.targets.measure.benchmark.profile.blocks import Place, Profile, make_profile
from s2m_edge.targets.quiet import quiet_native

METHOD = "ExecuTorch's event trace, by operator: XNNPACK's delegates do not keep the modules' names"
_WARM_UP = 2
_RUN, _EXECUTION = "Method::execute", "Execute"
_NUMBER = re.compile(r" #\d+$")  # XNNPACK numbers the operators of a kind


class ProfilingRunner(ExecuTorchRunner):
    """A runner whose program keeps a trace."""

    def program_options(self) -> dict[str, Any]:
        return {**super().program_options(), "enable_etdump": True}

    def write_trace(self, path: Path) -> None:
        """Write the events of all predictions so far."""
        self._program.write_etdump_result_to_file(str(path), str(path.with_suffix(".debug")))


def profile_executorch(bundle: Bundle, fitted: NDArray[np.uint8], threads: int, rounds: int) -> Profile:
    """Profile a bundle over `rounds` predictions, by operator."""
    contract = bundle.contract
    runner = ProfilingRunner(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
    for _ in range(_WARM_UP + rounds):
        runner.predict(fitted)
    with tempfile.TemporaryDirectory() as folder, quiet_native():
        from executorch.devtools import Inspector

        trace = Path(folder) / "trace.etdp"
        runner.write_trace(trace)
        blocks = Inspector(etdump_path=str(trace)).event_blocks
    events = [event for block in blocks if block.name == _EXECUTION for event in block.events]
    totals = [_milliseconds(event) for event in events if event.name == _RUN]
    if not totals:
        raise LoweringError("the runtime's trace holds no execution")
    # A delegate call holds its operators, and a kernel has its operator's name: the calls around them are left out.
    parts = [event for event in events if event.is_delegated_op or "::" in event.name.replace(_RUN, "")]
    nodes = [(Place(_NUMBER.sub("", event.name)), _milliseconds(event)) for event in parts]
    return make_profile(nodes, sum(totals), METHOD, "operator")


def _milliseconds(event: Any) -> float:
    """Mean of an event's times after the warm-up."""
    return float(np.mean(event.perf_data.raw[_WARM_UP:]))
