"""Running an ML Program op by op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2m_edge.errors import ContractError, LoweringError
from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.blob import WeightFile
from s2m_edge.targets.coreml.evaluator.image import ImageInput, image_input
from s2m_edge.targets.coreml.evaluator.operation import Operation
from s2m_edge.targets.coreml.evaluator.operations import find_operation
from s2m_edge.targets.coreml.evaluator.package import CoreMLPackage
from s2m_edge.targets.coreml.evaluator.values import TensorType, Value, constant, declared_type

FUNCTION = "main"
CONSTANT_EXPRESSION = "constexpr_"
OPSETS = ("CoreML7",)
SMALLEST_NORMAL_FLOAT16 = 2.0**-14
# What an attention's mask passes on its way to the softmax: there minus infinity is meant, if it was there before. Any
# other operation that gives it, and these where all that they take is finite, has overflowed or has a damaged weight.
MASKING = frozenset(
    {"select", "add", "mul", "real_div", "cast", "identity", "concat", "split", "slice_by_index", "tile"}
    | {"reshape", "expand_dims", "squeeze", "transpose"}
)


@dataclass(frozen=True)
class FloatPeak:
    """The largest absolute value among the float16 results of one run, and the operation that gave it."""

    value: float
    operation: str


@dataclass(frozen=True)
class _Step:
    """One operation; its results are values by name, each of a declared type."""

    label: str
    kind: str
    operation: Operation
    arguments: tuple[tuple[str, tuple[str, ...]], ...]
    results: tuple[tuple[str, TensorType], ...]
    last_uses: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all values that it takes."""
        return tuple(name for _, names in self.arguments for name in names)


@dataclass(frozen=True)
class OperationNote:
    """A result of an operation: what it is called, what makes it, its declared type, and what that takes."""

    name: str
    kind: str
    declared: TensorType
    inputs: tuple[str, ...]


class Evaluator:
    """A program, checked and ready to run.

    Everything that can be checked without an input is checked here: operations, parameters, constants and weights.

    Args:
        package: the saved model.

    Attributes:
        image: the picture that it takes.
        output_name: of its one output.
        counts: how often each operation occurs, constants left out.
        peak: of the latest run; None where nothing was float16.

    Raises:
        ContractError: the package is damaged or contradicts itself.
        LoweringError: it holds something that the evaluator does not implement.
    """

    def __init__(self, package: CoreMLPackage) -> None:
        self._package = package
        self._weight_files: dict[str, WeightFile] = {}
        self._constants: dict[str, Tensor | str] = {}
        function = _only_function(package.model.mlProgram)
        block = function.block_specializations[function.opset]
        self.image: ImageInput = image_input(package.model.description, function)
        self._steps = self._read_steps(block)
        self.output_name = self._check_output(block)
        self.counts = Counter(step.kind for step in self._steps)
        self.peak: FloatPeak | None = None

    @property
    def subnormal_epsilons(self) -> int:
        """LayerNorm epsilons that float16 stores as a subnormal number, which hardware may flush to zero."""
        stored = (dict(step.arguments).get("epsilon", ("",))[0] for step in self._steps)
        epsilons = (self._constants.get(name) for name in stored)
        return sum(
            isinstance(epsilon, Tensor)
            and epsilon.dtype == torch.float16
            and abs(float(epsilon)) < SMALLEST_NORMAL_FLOAT16
            for epsilon in epsilons
        )

    @property
    def float16_operations(self) -> int:
        """Number of operations that have a float16 result."""
        return sum(any(declared.dtype == torch.float16 for _, declared in step.results) for step in self._steps)

    @property
    def operations(self) -> tuple[OperationNote, ...]:
        """Every result in the order of computation, constants left out."""
        return tuple(
            OperationNote(name, step.kind, declared, step.inputs)
            for step in self._steps
            for name, declared in step.results
        )

    def run(
        self, picture: NDArray[np.uint8], observe: Callable[[str, Tensor], None] = lambda name, result: None
    ) -> NDArray[np.float32]:
        """The output for one picture.

        Args:
            picture: H x W x channels, uint8, RGB or grey.
            observe: called with the name and result of each operation, before it is known to be finite.

        Returns:
            The output as the program declares it, 1 x classes x H x W, float32.

        Raises:
            LoweringError: an operation's result has another shape or type than declared, or is not finite.
        """
        values: dict[str, Value] = {self.image.name: self.image.tensor(picture)}
        self.peak = None
        with torch.inference_mode():
            for step in self._steps:
                values.update(self._run_step(step, values, observe))
                for name in step.last_uses:
                    values.pop(name, None)
        output = values[self.output_name]
        assert isinstance(output, Tensor)
        return output.float().numpy()

    def _run_step(
        self, step: _Step, values: dict[str, Value], observe: Callable[[str, Tensor], None]
    ) -> dict[str, Tensor]:
        arguments = Arguments({key: self._look_up(names, values) for key, names in step.arguments}, step.label)
        try:
            computed = step.operation.compute(arguments)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:  # torch's own refusal of what does not fit
            reason = str(error).strip().splitlines()[0]
            raise LoweringError(f"the operation {step.label} cannot be computed ({reason})") from None
        given = computed if isinstance(computed, tuple) else (computed,)
        if len(given) != len(step.results):
            raise ContractError(
                f"the operation {step.label} has {len(given)} results, and declares {len(step.results)}"
            )
        dtypes = step.operation.dtypes(arguments, len(given))
        results: dict[str, Tensor] = {}
        for value, dtype, (name, declared) in zip(given, dtypes, step.results, strict=True):
            result = value.to(dtype)
            found = TensorType(result.dtype, tuple(result.shape))
            if found != declared:
                raise LoweringError(
                    f"the operation {step.label} gives {found}, and the program declares {declared}",
                    "The package contradicts itself; export it again.",
                )
            observe(name, result)
            if result.is_floating_point():
                self._watch(step, declared, value, result, arguments)
            results[name] = result
        return results

    def _look_up(self, names: Sequence[str], values: dict[str, Value]) -> Value:
        found = [self._constants[name] if name in self._constants else values[name] for name in names]
        return found[0] if len(found) == 1 else [value for value in found if isinstance(value, Tensor)]

    def _watch(self, step: _Step, declared: TensorType, computed: Tensor, result: Tensor, arguments: Arguments) -> None:
        peak = float(result.abs().amax())
        if not np.isfinite(peak) and step.kind in MASKING and arguments.has_minus_infinity():
            result = result.where(~result.isneginf(), 0)
            peak = float(result.abs().amax())
        if not np.isfinite(peak):
            before = computed[~result.isfinite()].flatten()[0]
            raise LoweringError(
                f"the operation {step.label} gives a value that is not finite: {float(before):g} in {declared}",
                "Use --precision float32, or look for the overflow in this layer.",
            )
        if result.dtype == torch.float16 and (self.peak is None or peak > self.peak.value):
            self.peak = FloatPeak(peak, step.label)

    def _read_steps(self, block: Any) -> list[_Step]:
        known = {self.image.name}
        steps: list[_Step] = []
        for message in block.operations:
            label = f"{message.type} {message.outputs[0].name if message.outputs else '(no output)'}"
            results = tuple((output.name, declared_type(output.type, label)) for output in message.outputs)
            if not results:
                raise LoweringError(f"the operation {label} has no result", "Export the package again.")
            names = [name for name, _ in results]
            for name in names:
                if name in known or names.count(name) > 1:
                    raise ContractError(f"the program defines {name} twice")
            if message.type == "const":
                if len(results) != 1:
                    raise ContractError(f"the constant {label} has {len(results)} results")
                (name, declared), *_ = results
                self._constants[name] = self._read_constant(message, declared, label)
            else:
                steps.append(self._read_step(message, label, results, known))
            known.update(names)
        return _with_last_uses(steps, set(block.outputs))

    def _read_constant(self, message: Any, declared: TensorType, label: str) -> Tensor | str:
        if set(message.attributes) - {"name", "val"} or message.inputs:
            raise LoweringError(f"the constant {label} has attributes other than its name and value")
        value = message.attributes["val"]
        if declared_type(value.type, label) != declared:
            raise ContractError(f"the constant {label} is declared {declared} and holds another type")
        return constant(value, label, self._open_weights)

    def _read_step(
        self, message: Any, label: str, results: tuple[tuple[str, TensorType], ...], known: set[str]
    ) -> _Step:
        name = results[0][0]
        # Operation, then parameters: an unknown operation is to be named as such.
        attributes = sorted(set(message.attributes) - {"name"})
        stored = attributes if message.type.startswith(CONSTANT_EXPRESSION) else []  # their parameters are attributes
        operation = find_operation(message.type, frozenset(message.inputs) | set(stored), label)
        if attributes != stored or message.blocks:
            raise LoweringError(f"the operation {label} has {attributes[0] if attributes else 'nested blocks'}")
        arguments: list[tuple[str, tuple[str, ...]]] = []
        for key in stored:
            self._constants[f"{name}.{key}"] = constant(message.attributes[key], f"{name}.{key}", self._open_weights)
            arguments.append((key, (f"{name}.{key}",)))
        for key, argument in sorted(message.inputs.items()):
            names = []
            for number, binding in enumerate(argument.arguments):
                if binding.WhichOneof("binding") == "name":
                    names.append(binding.name)
                else:
                    names.append(f"{name}.{key}.{number}")
                    self._constants[names[-1]] = constant(binding.value, names[-1], self._open_weights)
                if names[-1] not in known and names[-1] not in self._constants:
                    raise ContractError(f"the operation {label} uses {names[-1]}, which is not defined before it")
            arguments.append((key, tuple(names)))
        return _Step(label, message.type, operation, tuple(arguments), results)

    def _open_weights(self, name: str) -> WeightFile:
        if name not in self._weight_files:
            self._weight_files[name] = self._package.weight_file(name)
        return self._weight_files[name]

    def _check_output(self, block: Any) -> str:
        described = [feature.name for feature in self._package.model.description.output]
        if len(described) != 1 or list(block.outputs) != described:
            raise ContractError(f"the package describes the outputs {described}, the program has {list(block.outputs)}")
        declared = next((entry.declared for entry in self.operations if entry.name == described[0]), None)
        if declared is None:
            raise ContractError(f"no operation of the program computes its output {described[0]}")
        array = self._package.model.description.output[0].type.multiArrayType
        names = {65568: torch.float32, 65552: torch.float16}  # FeatureTypes.proto, ArrayDataType
        described_type = TensorType(names.get(array.dataType), tuple(array.shape))
        if described_type != declared:
            raise ContractError(f"the output is described as {described_type}, the program gives {declared}")
        return described[0]


def _only_function(program: Any) -> Any:
    if list(program.functions) != [FUNCTION]:
        raise LoweringError(f"the package has the functions {sorted(program.functions)}", "It may hold one, main.")
    function = program.functions[FUNCTION]
    if function.opset not in OPSETS or function.opset not in function.block_specializations:
        raise LoweringError(f"the program uses the opset {function.opset!r}", f"The evaluator knows {OPSETS[0]}.")
    return function


def _with_last_uses(steps: list[_Step], outputs: set[str]) -> list[_Step]:
    """Steps that know which values nobody needs after them, so that a run holds few activations at a time."""
    seen = set(outputs)
    finished: list[_Step] = []
    for step in reversed(steps):
        touched = {*step.inputs, *(name for name, _ in step.results)}  # of several results some may be of no use
        last = tuple(sorted(touched - seen))
        seen |= touched
        finished.append(replace(step, last_uses=last))
    return finished[::-1]
