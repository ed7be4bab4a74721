"""The page that lies in every bundle, made of what its export has measured: nothing runs for it a second time."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import Golden
from s2m_edge.targets.measure.page.facts import BundleFacts, ShownInput, worst_first
from s2m_edge.targets.measure.page.spectrum import StageSpectrum, stage_spectra
from s2m_edge.targets.measure.page.write import PageContent, page_html
from s2m_edge.targets.measure.parity.compare import ImageParity
from s2m_edge.targets.measure.parity.report import ParityReport

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

REPORT_FILE = "report.html"


class EdgeAnswers:
    """What an artifact answered to the recorded inputs while parity was measured.

    It is given to `measure_parity` as `observe`; of other pictures nothing is kept.
    """

    def __init__(self, golden: Sequence[Golden]) -> None:
        self._golden = golden
        self._found: dict[int, tuple[NDArray[np.float32], ImageParity]] = {}

    def __call__(self, fitted: NDArray[np.uint8], edge: NDArray[np.float32], measured: ImageParity) -> None:
        for index, entry in enumerate(self._golden):
            if index not in self._found and np.array_equal(entry.image, fitted):
                self._found[index] = edge, measured
                return

    def shown(self, bundle: Bundle) -> tuple[ShownInput, ...]:
        """The recorded inputs with both answers; those that the gate did not take have the reference's alone."""
        inputs = []
        for index, entry in enumerate(self._golden):
            edge, measured = self._found.get(index, (None, None))
            guard = None if bundle.guard is None else bundle.guard.judge(entry.image)
            inputs.append(ShownInput(entry, probabilities(entry.logits), edge, measured, guard))
        return worst_first(inputs)


class ExportPages:
    """The pages of the bundles that one network is exported to: its spectra are measured for the first, and serve all.

    Args:
        network: float32 or quantized, gives logits; spec: what it says of itself.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        self._network, self._spec = network, spec if spec.parameters else spec.of(network)
        self._inputs: Sequence[Golden] = ()

    @cached_property
    def _stages(self) -> list[StageSpectrum]:
        import torch

        from s2m_edge.imaging.preprocess import normalise

        given = self._spec.preprocessing
        return stage_spectra(self._network, [torch.from_numpy(normalise(entry.image, given)) for entry in self._inputs])

    def page(
        self, bundle: Bundle, name: str, report: ParityReport, golden: Sequence[Golden], answers: EdgeAnswers
    ) -> str:
        """The page on one bundle.

        Args:
            bundle: where it is put together, with the hashes of all that is in it already.
            name: under which it will be published.
        """
        self._inputs = self._inputs or golden
        facts = BundleFacts(bundle, report, answers.shown(bundle), report.edge_device, "", name=name)
        return page_html(
            PageContent(
                (facts,),
                self._spec,
                self._spec.provenance,
                tuple(self._stages),
                len(self._inputs) if self._stages else 0,
                command=_command(self._spec, report),
            )
        )


def _command(spec: NetworkSpec, report: ParityReport) -> str:
    """The export again, in short: no path of the machine that made it goes with the bundle."""
    words = ["s2m-edge", "export", *(["--checkpoint", spec.file] if spec.file else []), "--target", report.target]
    words += ["--precision", report.precision]
    return shlex.join([*words, *(["--spectral", report.spectral] if report.spectral != "none" else [])])
