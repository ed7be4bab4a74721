"""Measuring parity: the reference and a freshly loaded artifact over the same fitted pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import Reference, reference_device
from s2m_edge.errors import ContractError, ParityError
from s2m_edge.imaging.inputs import read_input
from s2m_edge.imaging.preprocess import mask_from_probabilities
from s2m_edge.targets.answer import shaped_answer
from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.targets.opening import open_runner, target_of
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.recording import Record
    from s2m_edge.deploy.spec import NetworkSpec

Progress = Callable[[int, int], None]
Observe = Callable[[NDArray[np.uint8], NDArray[np.float32], ImageParity], None]
"""Is told of every picture: as the network sees it, the artifact's probabilities, and how far they lie off."""


def measure_parity(
    bundle: Bundle,
    network: nn.Module,
    spec: NetworkSpec,
    images: Sequence[Path],
    progress: Progress = lambda done, total: None,
    threads: int | None = None,
    record: Record | None = None,
    limit: int | None = None,
    reference: Reference | None = None,
    observe: Observe = lambda fitted, edge, measured: None,
) -> ParityReport:
    """Compare a bundle's artifact, loaded afresh, with `network` on image files.

    Args:
        network: what the bundle was exported from, float32; spec: what it says of itself.
        images: files that `read_image` opens.
        record: a reference recorded earlier; its pictures and outputs then take the place of `images` and `network`.
        progress: called with images done and in all.
        limit: take the first so many; by default as many as the target's gate takes (all, or few where it is slow). If
            the reference finds nothing on these, the first of the others where it finds something is taken too.
        reference: answers of `network` that are there already.
        observe: called after each image.

    Raises:
        ContractError: the network is not of the bundle's size, channels or classes.
        ImageError, LoweringError: an image or the artifact cannot be read or run.
        ParityError: there are no images.
    """
    contract = bundle.contract
    preprocessing = contract.preprocessing
    require_same_network(bundle, spec)
    given: Sequence[Any] = images if record is None else record.golden
    if not given:
        raise ParityError(f"parity of {contract.target} was not measured: no images", "Give --images.")
    answers = reference or Reference(network, preprocessing)
    runner = open_runner(bundle, threads)
    measured: list[ImageParity] = []
    wanted = len(target_of(bundle).take_for_gate(given, limit))

    def reference_of(item: Any) -> tuple[str, NDArray[np.uint8], NDArray[np.float32]]:
        """Name, fitted picture and probabilities of an image file, or of an entry of the record."""
        if record is not None:
            return item.name, item.image, probabilities(item.logits)
        fitted = read_input(item, preprocessing)
        return item.name, fitted, probabilities(answers.logits(fitted))

    for index, item in enumerate(given):
        beyond = index >= wanted
        if beyond and any(image.shows_object for image in measured):
            break
        progress(min(index, wanted), wanted)
        name, fitted, expected = reference_of(item)
        if beyond and not mask_from_probabilities(expected, contract.threshold).any():
            continue
        began = time.perf_counter()
        edge = shaped_answer(runner.predict, fitted, expected.shape)
        milliseconds = (time.perf_counter() - began) * 1e3
        measured.append(compare(name, expected, edge, contract.threshold, milliseconds))
        observe(fitted, edge, measured[-1])
    progress(wanted, wanted)
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
            "weights": contract.weights_sha256,
            **contract.files,
        },
        observations=runner.observations(),
        images_given=len(given),
        remark=runner.remark,
    )


def require_same_network(bundle: Bundle, spec: NetworkSpec) -> None:
    """Raise ContractError unless a network's specification is of the bundle's size, channels and classes."""
    contract = bundle.contract
    if [spec.preprocessing, [1, *spec.output_shape]] != [contract.preprocessing, contract.values["output"]["shape"]]:
        raise ContractError(f"the checkpoint is not of the network in {bundle.folder}", "Give the one it came from.")
