"""Measuring parity: the reference and a freshly loaded artifact over the same fitted pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ContractError, LoweringError
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.reference import probabilities, reference_device, reference_logits
from s2m_edge.targets.bundle import Bundle
from s2m_edge.targets.parity.compare import ImageParity, compare
from s2m_edge.targets.parity.report import ParityReport
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from s2m_edge.model import S2MNet
    from s2m_edge.recording import Record

Progress = Callable[[int, int], None]


def measure_parity(
    bundle: Bundle,
    model: S2MNet,
    images: Sequence[Path],
    progress: Progress = lambda done, total: None,
    threads: int | None = None,
    record: Record | None = None,
    limit: int | None = None,
) -> ParityReport:
    """Compare a bundle's artifact, loaded afresh, with `model` on image files.

    Args:
        model: the network that the bundle was exported from, float32.
        images: files that `read_image` opens.
        record: a reference recorded earlier; its pictures and outputs then take the place of `images` and `model`.
        progress: called with images done and in all.
        limit: take the first so many; by default as many as the target's gate takes (all, or few where it is slow).

    Raises:
        ContractError: the model is not of the bundle's size, channels or classes.
        ImageError, LoweringError: an image or the artifact cannot be read or run.
    """
    contract = bundle.contract
    preprocessing = contract.preprocessing
    network = contract.values["network"]
    config = model.config
    if (config.size, config.in_channels, config.classes) != (
        network["size"],
        network["in_channels"],
        network["classes"],
    ):
        raise ContractError(f"the checkpoint is not of the network in {bundle.folder}", "Give the one it came from.")
    runner = bundle.open_runner(threads)
    measured: list[ImageParity] = []
    given: Sequence[Any] = images if record is None else record.golden
    taken = bundle.target.take_for_gate(given, limit)

    def pairs() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
        if record is not None:
            yield from ((entry.name, entry.image, entry.logits) for entry in taken)
            return
        for path in taken:
            fitted = fit_to_network(read_image(path), preprocessing)
            yield path.name, fitted, reference_logits(model, fitted, preprocessing)

    for index, (name, fitted, logits) in enumerate(pairs()):
        progress(index, len(taken))
        reference = probabilities(logits)
        began = time.perf_counter()
        edge = predict_checked(runner.predict, fitted, reference.shape)
        milliseconds = (time.perf_counter() - began) * 1e3
        measured.append(compare(name, reference, edge, contract.threshold, milliseconds))
    progress(len(taken), len(taken))
    return ParityReport(
        target=contract.target,
        precision=contract.precision,
        spectral=contract.spectral,
        verdict=runner.verdict,
        edge_device=runner.device,
        reference_device=reference_device() if record is None else f"recorded: {record.device}",
        images=tuple(measured),
        tools=tool_versions(),
        hashes={
            "checkpoint": contract.values["checkpoint"]["sha256"],
            **contract.values["artifact"]["sha256"],
        },
        observations=runner.observations(),
        images_given=len(given),
        remark=runner.remark,
    )


def predict_checked(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    fitted: NDArray[np.uint8],
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Run a prediction and check the shape of what comes back.

    Raises:
        LoweringError: the runtime failed, or gave another shape.
    """
    try:
        result = predict(fitted)
    except LoweringError:
        raise
    except Exception as error:  # runtimes raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LoweringError(f"the artifact failed while running ({reason})", "Export it again.") from error
    if tuple(result.shape) != tuple(shape):
        raise LoweringError(
            f"the artifact gives {tuple(result.shape)} where {tuple(shape)} was due", "Export it again."
        )
    return result
