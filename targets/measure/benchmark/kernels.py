"""The names of the kernels that a runtime executes, as far as it says, in the process that executes them."""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Callable

from s2m_edge.targets.measure.benchmark.contenders import Contender

_ONEDNN = re.compile(r"^onednn_verbose,.*?\bexec,cpu,(\w+),([^,]+),", re.MULTILINE)
_MKL = re.compile(r"^MKL_VERBOSE oneMKL .*?\(Intel\(R\) (AVX-512|AVX2|AVX|SSE4\.2)\b", re.MULTILINE)


def executed_kernels(contender: Contender, threads: int, run: Callable[[], object]) -> list[str]:
    """Kernel names of one prediction.

    Args:
        contender: PyTorch eager, or a bundle of OpenVINO; others do not say, and get an empty list.
        run: predicts once.
    """
    if contender.kind == "eager":
        return _pytorch_kernels(run)
    if contender.kind == "bundle" and contender.target == "openvino":
        return _openvino_kernels(contender, threads)
    return []


def _openvino_kernels(contender: Contender, threads: int) -> list[str]:
    """Of the plugin's graph after its own choice, constants and ports left out."""
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.opening import open_runner
    from s2m_edge.targets.openvino.run import OpenVINORunner

    runner = open_runner(open_bundle(contender.source, verify=False, proved=False), threads)
    assert isinstance(runner, OpenVINORunner)
    facts = [node.get_rt_info() for node in runner.compiled.get_runtime_model().get_ops()]
    pairs = [(str(entry["layerType"].value), str(entry["primitiveType"].value)) for entry in facts]
    return [f"{layer}:{kernel}" for layer, kernel in pairs if not kernel.startswith("unknown")]


def _pytorch_kernels(run: Callable[[], object]) -> list[str]:
    """What ATen, oneDNN and MKL say of themselves; the latter two on standard output, from C."""
    import torch

    with tempfile.TemporaryFile() as file:
        flush = ctypes.CDLL(None).fflush
        flush(None)
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON), torch.backends.mkl.verbose(1):
                run()
        finally:
            flush(None)
            os.dup2(kept, 1)
            os.close(kept)
        file.seek(0)
        text = file.read().decode(errors="replace")
    found = [f"{layer}:{kernel}" for layer, kernel in _ONEDNN.findall(text)]
    found += [f"MKL:{name.replace('-', '')}" for name in _MKL.findall(text)]
    return [*found, f"ATen:{torch.backends.cpu.get_cpu_capability()}"]
