"""Where accuracy is lost: the same labelled images through every stage, float network to edge runtime."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from s2m_edge.deploy.origin import float_origin
from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.errors import CheckpointError, ParityError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.base import example_image
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation, evaluate_samples
from s2m_edge.targets.measure.evaluation.intervals import summarise
from s2m_edge.targets.measure.evaluation.predictors import Predictor, bundle_predictor, network_predictor
from s2m_edge.targets.measure.parity.difference import Difference, StageResult, difference
from s2m_edge.targets.measure.parity.gates import ACCURACY_GATES, AccuracyGate, accuracy_breaches
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.deploy.spec import NetworkSpec
    from s2m_edge.network.model import S2MNet
    from s2m_edge.train.data.sample import Sample

FLOAT, DECOMPOSED, FAKE_QUANTIZED, CONVERTED, RUNTIME = STAGES = (
    "float",
    "decomposed",
    "fake-quantized",
    "converted",
    "runtime",
)
"""The trained network; the same with BatchNorm folded, the spectral filter as matrices and quantizers off; the int8
checkpoint in PyTorch; the integer operations that are handed to a backend, in PyTorch; an int8 bundle's artifact.

The artifact of another bundle is a stage by the name of its precision: it comes from the float checkpoint."""

REFERENCES = {
    DECOMPOSED: FLOAT,
    FAKE_QUANTIZED: FLOAT,
    CONVERTED: FAKE_QUANTIZED,
    RUNTIME: FAKE_QUANTIZED,
    **{name: FLOAT for name, row in PRECISION_ROWS.items() if not row.quantized},
}
FEWEST_IMAGES = round(max(gate.worst_dice / gate.mean_dice for gate in ACCURACY_GATES.values()))
"""From which the limit of a mean is another promise than the limit of each image."""
Progress = Callable[[str, int, int], None]


def stage_networks(model: S2MNet, float_model: S2MNet, spec: NetworkSpec) -> dict[str, nn.Module]:
    """The networks of the stages that run in PyTorch.

    Args:
        model: of an int8 checkpoint; float_model: of the checkpoint that it was made from; spec: of both.
    """
    from s2m_edge.network.fake_quantized import quantized_network
    from s2m_edge.network.fake_quantized.lower import with_integer_operations
    from s2m_edge.network.fake_quantized.network import set_blocks
    from s2m_edge.targets.rewrites import spectral_as_matmul

    decomposed = quantized_network(copy.deepcopy(float_model))
    set_blocks(decomposed, set())
    image = example_image(*spec.preprocessing.image_shape)
    return {
        FLOAT: float_model,
        DECOMPOSED: spectral_as_matmul(decomposed, image),
        FAKE_QUANTIZED: model,
        CONVERTED: with_integer_operations(spectral_as_matmul(model, image)),
    }


def require_origin(header: CheckpointHeader, float_header: CheckpointHeader) -> None:
    """Raise CheckpointError unless `header`'s int8 checkpoint was made from `float_header`'s file."""
    if header.quantization is None:
        raise CheckpointError(f"{header.path} is a float checkpoint", "Give one of s2m-edge quantize.")
    origin = float_origin(header.provenance)
    if origin.get("weights_sha256") != float_header.weights_sha256:
        raise CheckpointError(
            f"{header.path.name} was not made from {float_header.path.name} (SHA-256 differs)",
            f"Give --float the file that was called {origin.get('file', 'in its provenance')}.",
        )


def measure_stages(
    networks: Mapping[str, nn.Module],
    spec: NetworkSpec,
    bundles: Sequence[Bundle],
    samples: Sequence[Sample],
    *,
    windowed: bool | None = None,
    threads: int | None = None,
    progress: Progress = lambda step, done, total: None,
) -> list[StageResult]:
    """Every stage over the same labelled images, in the images' own size.

    Args:
        networks: by stage, of `stage_networks`, or only the float one; spec: of them all.
        bundles: exported from it or, those that are not int8, from what it was made from.
        windowed: slide over pictures at native resolution or stretch them; as each says of itself by default.
    """
    predictors: list[tuple[str, Predictor]] = []
    for stage, network in networks.items():
        predictors.append((stage, replace(network_predictor(network, spec, threads), title=stage)))
    for bundle in bundles:
        precision = bundle.contract.precision
        stage = RUNTIME if PRECISION_ROWS[precision].quantized else precision
        predictors.append((stage, replace(bundle_predictor(bundle, threads), title=_short(bundle))))
    results: list[StageResult] = []
    for stage, predictor in predictors:
        name = stage if stage in networks else predictor.name
        chosen = predictor if windowed is None else predictor.with_window(windowed)
        evaluation = evaluate_samples(chosen, samples, progress=lambda _, d, t, n=name: progress(n, d, t))
        results.append(_result(stage, name, predictor, evaluation))
    return results


def _short(bundle: Bundle) -> str:
    contract = bundle.contract
    lowering = "" if contract.values["spectral"] == "matmul" else f" {contract.values['spectral']}"
    return f"{contract.target} {contract.precision}{lowering}"


def _result(stage: str, name: str, predictor: Predictor, evaluation: Evaluation) -> StageResult:
    return StageResult(
        stage,
        name,
        predictor.title,
        predictor.verdict,
        predictor.device,
        tuple(image.name for image in evaluation.images),
        tuple(image.figure("dice") for image in evaluation.images),
        tuple(image.figure("hd95") for image in evaluation.images),
        sum(any(entry.truth_pixels for entry in image.classes) for image in evaluation.images),
    )


@dataclass(frozen=True)
class StagesReport:
    """All stages, their differences, and what is outside the gates."""

    stages: tuple[StageResult, ...]
    hashes: Mapping[str, str]

    @property
    def differences(self) -> list[Difference]:
        """Every stage against its reference, and every artifact against float too."""
        by_stage = {result.stage: result for result in self.stages if result.stage in (FLOAT, FAKE_QUANTIZED)}
        found = [
            difference(result, by_stage[REFERENCES[result.stage]])
            for result in self.stages
            if REFERENCES.get(result.stage) in by_stage
        ]
        found += [difference(result, by_stage[FLOAT]) for result in self.stages if result.stage == RUNTIME]
        return found

    @property
    def breaches(self) -> list[str]:
        """Sentences, the first stage that breaks first; where no two stages were compared, that."""
        found: list[str] = []
        for entry in self.differences:
            found += accuracy_breaches(gate_of(entry), entry)
        return found if self.differences else ["nothing was compared: there is no stage beside the first"]

    @property
    def remark(self) -> str:
        """What the number of images leaves open; empty where nothing."""
        images = min((entry.images for entry in self.differences), default=0)
        if images >= FEWEST_IMAGES:
            return ""
        return (
            f"{images} images say little: of fewer than {FEWEST_IMAGES}, one image within its own limit can move the "
            "mean beyond the mean's"
        )

    def to_dict(self) -> dict[str, Any]:
        first = next((entry for entry in self.differences if accuracy_breaches(gate_of(entry), entry)), None)
        return {
            "passed": not self.breaches,
            "breaches": self.breaches,
            "remark": self.remark,
            "first_stage_that_breaks": None if first is None else f"{first.stage} ({first.name})",
            "stages": [_stage_values(result) for result in self.stages],
            "differences": [{**asdict(entry), "gate": asdict(gate_of(entry))} for entry in self.differences],
            "hashes": dict(self.hashes),
            "tools": tool_versions(),
            "notice": NOTICE,
        }

    def require_passed(self) -> None:
        """Raise ParityError naming the first stage that breaks."""
        if self.breaches:
            more = f" ({len(self.breaches) - 1} more)" if len(self.breaches) > 1 else ""
            raise ParityError(f"accuracy was lost at the stage {self.breaches[0]}{more}", "Do not deploy this network.")


def gate_of(entry: Difference) -> AccuracyGate:
    return ACCURACY_GATES[entry.reference, entry.stage]


def _stage_values(result: StageResult) -> dict[str, Any]:
    values = {}
    for name in ("dice", "hd95"):
        summary = summarise(np.array(getattr(result, name), dtype=np.float64))
        values[name] = {"mean": summary.mean, "interval": summary.mean_interval, "undefined": summary.undefined}
    return {
        "stage": result.stage,
        "name": result.name,
        "title": result.title,
        "verdict": result.verdict,
        "device": result.device,
        **values,
        "images": [
            {"image": image, "dice": round(dice, 6), "hd95": None if math.isnan(hd95) else round(hd95, 3)}
            for image, dice, hd95 in zip(result.images, result.dice, result.hd95, strict=True)
        ],
    }
