"""Lowering the reference's network again, whole or cut at a block's border, through the same exporter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.errors import AnswerError, LoweringError
from s2m_edge.targets.base import LoweringRequest, Runner
from s2m_edge.targets.measure.locate.blocks import Border
from s2m_edge.targets.measure.locate.cut import CutNetwork
from s2m_edge.targets.opening import target_of
from s2m_edge.targets.quiet import quiet_copies

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec


class Again:
    """A bundle's network, to be lowered as the bundle's artifact was.

    Args:
        folder: where the artifacts are written; the caller removes it.
    """

    def __init__(
        self, bundle: Bundle, network: nn.Module, spec: NetworkSpec, folder: Path, threads: int | None
    ) -> None:
        self.bundle, self.network, self.spec, self.folder, self.threads = bundle, network, spec, folder, threads
        self.target = target_of(bundle)
        self._count = 0

    def lower(self, network: nn.Module) -> Path:
        """The artifact of a network, in a folder of its own.

        Raises:
            LoweringError, MissingBackendError, CapabilityError: it cannot be lowered here.
        """
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        contract = self.bundle.contract
        form = contract.spectral
        lowering: SpectralLowering = self.target.default_lowering if form == "none" else form
        request = LoweringRequest(network, self.spec, contract.precision, lowering)
        with quiet_copies():
            return self.target.make_exporter().export(request, folder)

    def whole(self) -> Path:
        """The artifact of the whole network."""
        return self.lower(self.network)

    def run(self, artifact: Path, fitted: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """What an artifact gives for a fitted picture, without the batch; None where it fails on it."""
        contract = self.bundle.contract
        kind: type[Runner] = self.target.runner_class()
        runner = kind(artifact, self.bundle.interface, contract.preprocessing, contract.precision, self.threads)
        try:
            return runner.predict(fitted)
        except (AnswerError, LoweringError):
            return None

    def at(self, border: Border, fitted: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """What the network cut at a border gives, lowered and run, with the batch; None where it fails on it."""
        found = self.run(self.lower(CutNetwork(self.network, border)), fitted)
        return None if found is None else found[None]
