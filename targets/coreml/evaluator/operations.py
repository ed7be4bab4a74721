"""The MIL operations that the evaluator knows, each in a few lines of torch.

Semantics: the operation reference of opset CoreML7 (iOS 17) in coremltools' documentation. Everything is computed in
float32 or in whole numbers; the program rounds each result to the operation's own precision.
"""

from __future__ import annotations

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator import (
    elementwise,
    normalisation,
    products,
    quantized,
    reductions,
    resizing,
    shapes,
)
from s2m_edge.targets.coreml.evaluator.operation import Operation

OPERATIONS: dict[str, Operation] = {
    name: operation
    for module in (elementwise, products, normalisation, reductions, shapes, resizing, quantized)
    for name, operation in module.TABLE.items()
}


def find_operation(kind: str, parameters: frozenset[str], label: str) -> Operation:
    """The table's entry for an operation with these parameters.

    Raises:
        LoweringError: the operation or one of its parameters is unknown, or a required one is absent.
    """
    operation = OPERATIONS.get(kind)
    if operation is None:
        raise LoweringError(
            f"the evaluator of Core ML packages does not know the operation {label}",
            "So the package cannot be checked here. Replace in the network what becomes it, or choose another target.",
        )
    unknown = sorted(parameters - operation.required - operation.optional)
    if unknown:
        known = ", ".join(sorted(operation.required | operation.optional))
        raise LoweringError(
            f"the operation {label} has the unknown parameter {unknown[0]}", f"The evaluator knows {known}."
        )
    absent = sorted(operation.required - parameters)
    if absent:
        raise LoweringError(f"the operation {label} lacks its parameter {absent[0]}", "Export the package again.")
    return operation
