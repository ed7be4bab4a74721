"""What a saved .pte holds, read from its bytes without loading it into the runtime."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import LoweringError
from s2m_edge.targets.quiet import quiet_backend

REMEDY = "Export it again."

# Offset 4: the flatbuffer's identifier "ETxx". Offset 8: the extended header "eh" and two digits, its length, the
# flatbuffer's size, and where the segments (weights and delegates) start and how long they are; little-endian
# (executorch/schema/extended_header.h).
_IDENTIFIER, _HEADER = (4, b"ET"), (8, b"eh")
_SIZES = struct.Struct("<IQQQ")
_LONGEST_HEADER = 12 + _SIZES.size


@dataclass(frozen=True)
class ProgramContents:
    """What runs where in the method `forward`.

    Attributes:
        delegates: number of delegate calls.
        operators: portable operators outside the delegates, with how often each is called.
    """

    delegates: int
    operators: dict[str, int]


def check_file(path: Path) -> None:
    """Whether `path` is a whole .pte, as far as its header tells.

    Comes before the runtime: that reports a truncated file by number only, and a foreign one ends the process (1.5.1
    prints the unknown identifier through Python, and bytes that are not UTF-8 raise inside native code).

    Raises:
        LoweringError: it is missing, foreign or truncated.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_LONGEST_HEADER)
    except OSError as error:
        raise LoweringError(f"{path} cannot be read ({error.strerror or error})", REMEDY) from error
    for offset, magic in (_IDENTIFIER, _HEADER):
        found = head[offset : offset + 4]
        if found[:2] != magic or not found[2:].isdigit():
            raise LoweringError(f"{path} is not an ExecuTorch program, or an incomplete one", REMEDY)
    if len(head) < _LONGEST_HEADER:
        raise LoweringError(f"{path} is truncated: {length} bytes are less than a header", REMEDY)
    _, program_size, segments_at, segments_size = _SIZES.unpack_from(head, 12)
    expected = max(program_size, segments_at + segments_size if segments_size else 0)
    if length < expected:
        raise LoweringError(f"{path} is truncated: {length} bytes of {expected}", REMEDY)


def read_contents(path: Path) -> ProgramContents:
    """Delegate calls and left-over operators of the method `forward` of a saved program."""
    with quiet_backend():
        from executorch.exir._serialize._program import deserialize_pte_binary
        from executorch.exir.schema import DelegateCall, KernelCall

        file = deserialize_pte_binary(path.read_bytes())
    plan = next(plan for plan in file.program.execution_plan if plan.name == "forward")
    delegates, operators = 0, Counter[str]()
    for chain in plan.chains:
        for instruction in chain.instructions:
            call = instruction.instr_args
            if isinstance(call, DelegateCall):
                delegates += 1
            elif isinstance(call, KernelCall):
                operator = plan.operators[call.op_index]
                operators[f"{operator.name}.{operator.overload}" if operator.overload else operator.name] += 1
    return ProgramContents(delegates, dict(sorted(operators.items())))
