"""Running with fewer instruction sets than the processor has: `--cpu-isa`.

Where Linux can trap the instruction CPUID (older_processor.py), every runtime finds an older processor when it asks
what there is, and the worker's first answer is whether it does. Elsewhere PyTorch listens to three variables
(oneDNN's, its own kernels' and MKL's), OpenVINO's copy of oneDNN to the first, and XNNPACK and ONNX Runtime's MLAS ask
the processor itself and listen to nothing: they are left out. Whether a runtime does what it was told is read from the
names of the kernels that it executed (kernels.py). By variables alone OpenVINO 2026.4 obeys in its convolutions, and
in few of its other nodes (reductions, norms and interpolations keep AVX-512, and so may the matrix products that it
borrows from MLAS): the row says how many kernels that are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2m_edge.errors import ConfigurationError
from s2m_edge.processor import features_known, processor_features
from s2m_edge.targets.measure.benchmark.contenders import Contender


@dataclass(frozen=True)
class InstructionSet:
    """One limit.

    Attributes:
        name: what `--cpu-isa` takes.
        needs: the feature that the processor has to have; empty: any of its kind.
        variables: of the environment of a worker.
        without: the features that an older processor lacks, in Linux's words.
        above: what the name of a kernel holds that is beyond the limit.
    """

    name: str
    needs: str
    variables: Mapping[str, str]
    without: tuple[str, ...]
    above: str


_AMX = ("amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "amx_complex")
_BEYOND_AVX512 = (*_AMX, "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni_int8", "avx_vnni_int16")
_BEYOND_AVX2 = (
    *_BEYOND_AVX512,
    *("avx512f", "avx512dq", "avx512ifma", "avx512pf", "avx512er", "avx512cd", "avx512bw", "avx512vl", "avx512vbmi"),
    *("avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq", "avx512_4vnniw", "avx512_4fmaps", "avx512_vp2intersect"),
    *("avx_ifma", "avx_ne_convert", "avx10"),
)
_BEYOND_SSE = (*_BEYOND_AVX2, "avx2", "avx", "fma", "f16c", "vaes", "vpclmulqdq")

INSTRUCTION_SETS = (
    InstructionSet(
        "sse42",
        "avx2",
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
        _BEYOND_SSE,
        r"avx|amx",
    ),
    InstructionSet(
        "avx2",
        "avx2",
        {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
        _BEYOND_AVX2,
        r"avx512|amx|vnni",
    ),
    InstructionSet(
        "avx512",
        "avx512f",
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
        _BEYOND_AVX512,
        r"amx|vnni|bf16|fp16",
    ),
)
_HEAVY = re.compile(r"convolution|deconvolution|inner_product|matmul|fullyconnected|mkl|aten", re.IGNORECASE)
_NAMED = re.compile(r"sse4|avx|amx", re.IGNORECASE)


def find_instruction_set(name: str) -> InstructionSet:
    """The row called `name`.

    Raises:
        ConfigurationError: there is none, or the processor does not have it.
    """
    names = ", ".join(entry.name for entry in INSTRUCTION_SETS)
    found = next((entry for entry in INSTRUCTION_SETS if entry.name == name), None)
    if found is None:
        raise ConfigurationError(f"there is no instruction set {name!r}", f"Choose --cpu-isa {names}.")
    if features_known() and found.needs not in processor_features():
        raise ConfigurationError(
            f"--cpu-isa {name} is no limit for this processor, which has no {found.needs}", "Leave it out."
        )
    return found


def why_deaf(contender: Contender, trapped: bool) -> str:
    """Why the contender's runtime cannot be limited; empty where it can.

    Args:
        trapped: whether it finds an older processor, see older_processor.py.
    """
    listens = contender.kind in ("eager", "matrix product") or contender.target == "openvino"
    if listens or (trapped and contender.kind != "compiled"):
        return ""
    if contender.kind == "compiled":
        return "its instruction sets cannot be limited: Inductor's compiler takes what the processor has"
    return "its instruction sets cannot be limited: the runtime asks the processor, and is known to heed no variable"


def disobedience(limit: InstructionSet, kernels: Sequence[str], trapped: bool) -> str:
    """Why the limit does not hold where the arithmetic is, or why that cannot be told; empty where it holds.

    Args:
        kernels: "operator:kernel", see kernels.py.
        trapped: whether the process was seen to find an older processor: then kernels without names are no doubt.
    """
    heavy = [name for name in kernels if _HEAVY.match(name)]
    beyond = sorted({name for name in heavy if re.search(limit.above, name, re.IGNORECASE)})
    if beyond:
        return f"told to use {limit.name} at most, it executed {', '.join(beyond[:3])}"
    if not trapped and not any(_NAMED.search(name) for name in heavy):
        return "which instruction sets its kernels use cannot be told from their names"
    return ""


def remainder(limit: InstructionSet, kernels: Sequence[str]) -> str:
    """A remark on kernels that chose for themselves inside a runtime that was limited; empty where none did."""
    beyond = [name for name in kernels if re.search(limit.above, name, re.IGNORECASE) or "mlas" in name.lower()]
    operators = ", ".join(sorted({name.split(":")[0] for name in beyond}))
    return f"{len(beyond)} of {len(kernels)} kernels are not limited ({operators})" if beyond else ""
