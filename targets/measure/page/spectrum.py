"""What the spectral filters see and keep: the spectrum in front of and behind each, on real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from s2m_edge.imaging.preprocess import Preprocessing

SPECTRUM_IMAGES = 4
"""Pictures over which a page's spectra are the mean."""


@dataclass(frozen=True)
class StageSpectrum:
    """One spectral filter over some pictures.

    Attributes:
        name: of its module.
        channels: of the map that it filters.
        before, after: power, the mean over pictures and channels, height x width, frequency 0 in the middle.
        gain: the learned filter, the mean of its magnitude over channels, kept x kept, frequency 0 in the middle.
    """

    name: str
    channels: int
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    gain: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the map."""
        return self.before.shape[0], self.before.shape[1]

    @property
    def kept(self) -> tuple[int, int]:
        """Frequencies that are kept along the height and the width."""
        return self.gain.shape[0], self.gain.shape[1]

    def energy_kept(self, *, varying: bool = False) -> float:
        """The share of the power that lies at kept frequencies, 0 to 1; 1 where there is none.

        Args:
            varying: without frequency 0, the maps' mean, which is most of it.
        """
        top, bottom, left, right = self.box
        height, width = self.size
        mean = self.before[height // 2, width // 2] if varying else 0.0
        whole = float(self.before.sum() - mean)
        return float(self.before[top:bottom, left:right].sum() - mean) / whole if whole > 0 else 1.0

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Where the kept frequencies lie in `before` and `after`: top, bottom, left, right; ends excluded."""
        from s2m_edge.network.spectral.reference import central_span

        height, width = self.size
        return (*central_span(height, self.kept[0]), *central_span(width, self.kept[1]))


def stage_spectra(network: nn.Module, images: Sequence[torch.Tensor]) -> list[StageSpectrum]:
    """The spectra of every spectral filter of a network, in the order of its modules; none of one without.

    Args:
        images: normalised, 1 x channels x height x width each; at least one.
    """
    import torch

    from s2m_edge.network.blocks import SpectralBranch
    from s2m_edge.network.spectral import spectral_filter
    from s2m_edge.network.spectral.reference import crop_filter

    branches = {name: module for name, module in network.named_modules() if isinstance(module, SpectralBranch)}
    sums: dict[str, list[Any]] = {name: [0.0, 0.0] for name in branches}

    def power(x: torch.Tensor) -> NDArray[np.float64]:
        spectrum = torch.fft.fft2(x.double(), norm="ortho").abs().square().mean(dim=(0, 1))
        return torch.fft.fftshift(spectrum).numpy()

    def watch(name: str, branch: SpectralBranch) -> Any:
        def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            sums[name][0] = sums[name][0] + power(inputs[0])
            sums[name][1] = sums[name][1] + power(spectral_filter(inputs[0], branch.filter))

        return branch.register_forward_pre_hook(note)

    hooks = [watch(name, branch) for name, branch in branches.items()]
    try:
        with torch.inference_mode():
            for image in images:
                network(image)
    finally:
        for hook in hooks:
            hook.remove()
    found: list[StageSpectrum] = []
    for name, branch in branches.items():
        before, after = (total / len(images) for total in sums[name])
        height, width = before.shape
        with torch.inference_mode():
            weight = crop_filter(branch.filter, height, width)
            gain = weight.double().abs().mean(dim=0).numpy()
        found.append(StageSpectrum(name, int(weight.shape[0]), before, after, gain))
    return found


def picture_spectra(
    network: nn.Module, preprocessing: Preprocessing, pictures: Sequence[Path]
) -> tuple[list[StageSpectrum], int]:
    """`stage_spectra` over the first `SPECTRUM_IMAGES` of picture files, and how many these were."""
    import torch

    from s2m_edge.imaging.inputs import read_input
    from s2m_edge.imaging.preprocess import normalise

    chosen = pictures[:SPECTRUM_IMAGES]
    tensors = [torch.from_numpy(normalise(read_input(path, preprocessing), preprocessing)) for path in chosen]
    return stage_spectra(network, tensors), len(tensors)
