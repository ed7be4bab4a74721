"""Profiling a contender with whatever its runtime offers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import CapabilityError
from s2m_edge.targets.measure.benchmark.contenders import Contender
from s2m_edge.targets.measure.benchmark.profile.blocks import Profile

WITHOUT = {
    "compiled": "torch.compile fuses operators across the network's blocks",
    "coreai": "Core AI shows times in Instruments only",
    "coreml": "Core ML shows times in Xcode's performance report only",
}


def profile_contender(contender: Contender, fitted: NDArray[np.uint8], threads: int, rounds: int) -> Profile:
    """Where the contender's time goes, over `rounds` predictions of `fitted`.

    Raises:
        CapabilityError: its runtime does not say.
    """
    from s2m_edge.deploy.bundle import open_bundle

    if contender.kind == "eager":
        from s2m_edge.targets.measure.benchmark.profile.eager import profile_eager

        return profile_eager(contender, fitted, threads, rounds)
    if contender.kind == "bundle" and contender.target == "onnx":
        from s2m_edge.targets.measure.benchmark.profile.onnx import profile_onnx

        return profile_onnx(open_bundle(contender.source, verify=False), fitted, threads, rounds)
    if contender.kind == "bundle" and contender.target == "openvino":
        from s2m_edge.targets.measure.benchmark.profile.openvino import profile_openvino

        return profile_openvino(open_bundle(contender.source, verify=False), fitted, threads, rounds)
    if contender.kind == "bundle" and contender.target == "executorch":
        from s2m_edge.targets.measure.benchmark.profile.executorch import profile_executorch

        return profile_executorch(open_bundle(contender.source, verify=False), fitted, threads, rounds)
    reason = WITHOUT.get(contender.kind) or WITHOUT.get(contender.target) or "its runtime does not say"
    raise CapabilityError(f"not profiled: {reason}")
