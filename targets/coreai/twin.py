"""The composite twin of an asset with Metal kernels: the same saved program, with every kernel call as matrices.

Core AI's runtime runs Metal kernels on Apple's GPUs only. Everything else of such an asset (graph, weights, the
kernels' own constants) can be executed anywhere once the calls are gone, so the twin is made from the saved file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreai.backend import import_operations
from s2m_edge.targets.coreai.metal import INPUTS, KERNEL_NAME

KERNEL_CALL = "coreai.metal4_kernel"


def count_kernel_calls(program: Any) -> int:
    """How many calls of Metal kernels a `coreai.authoring.AIProgram` holds."""
    return sum(1 for _ in _kernel_calls(program))


def replace_kernel_calls(program: Any) -> None:
    """Replace each call of our kernel in `program` by the operations of `spectral.filter_by_matrices`; in place.

    Raises:
        LoweringError: it calls a kernel that is not ours.
    """
    from coreai._compiler.ir import InsertionPoint

    for call in list(_kernel_calls(program)):
        name = call.attributes["kernel_name"].value
        arguments = list(call.opview.kernel_args)
        if not name.startswith(f"{KERNEL_NAME}_") or len(arguments) != len(INPUTS) or len(call.results) != 1:
            raise LoweringError(f"the asset calls the Metal kernel {name}, which is not ours", "Export it again.")
        with call.location, InsertionPoint(call):
            computed = _matrices(*(argument.owner.operands[0] for argument in arguments))
        # Around the call, the operands are copied to the GPU and the result is copied back.
        (copied_back,) = [use.owner for use in call.results[0].uses]
        copied_back.results[0].replace_all_uses_with(computed)
        copied_back.erase()
        copies = {argument.owner.results[0]: argument.owner for argument in arguments}
        call.erase()
        for result, copy in copies.items():
            if not list(result.uses):
                copy.erase()


def save_twin(artifact: Path, twin: Path) -> None:
    """Save the twin of the asset `artifact` as the asset `twin`.

    Raises:
        LoweringError: the asset calls a kernel that is not ours.
    """
    from coreai.authoring import AIModelAsset

    program = AIModelAsset.load(artifact).program
    replace_kernel_calls(program)
    program.save_asset(twin)


def _kernel_calls(program: Any) -> Iterator[Any]:
    def walk(operation: Any) -> Iterator[Any]:
        if operation.name == KERNEL_CALL:
            yield operation
        for region in operation.regions:
            for block in region.blocks:
                for inner in block.operations:
                    yield from walk(inner.operation)

    yield from walk(program._module._mlir_module.operation)


def _matrices(x: Any, rows: Any, columns: Any, direct: Any, crossed: Any) -> Any:
    coreai = import_operations()

    def transpose(matrix: Any) -> Any:
        return coreai.transpose(matrix, np.array([1, 0], dtype=np.uint32))

    matmul, mul = coreai.broadcasting_batch_matmul, coreai.broadcasting_mul
    m1, m2 = direct.type.shape[-2:]
    spectrum = matmul(transpose(rows), matmul(x, columns))
    batch, channels = spectrum.type.shape[:2]

    def block(top: int, left: int) -> Any:
        ends = [batch, channels, top + m1, left + m2]
        return coreai.slice_(spectrum, [0, 0, top, left], ends, [1, 1, 1, 1])

    cc, cs, sc, ss = block(0, 0), block(0, m2), block(m1, 0), block(m1, m2)
    add, sub = coreai.broadcasting_add, coreai.broadcasting_sub
    cosines = coreai.concat(3, [sub(mul(direct, cc), mul(crossed, ss)), add(mul(direct, cs), mul(crossed, sc))])
    sines = coreai.concat(3, [add(mul(direct, sc), mul(crossed, cs)), sub(mul(direct, ss), mul(crossed, cc))])
    filtered = coreai.concat(2, [cosines, sines])
    return matmul(matmul(rows, filtered), transpose(columns))
