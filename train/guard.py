"""The input guard of a network, from the pictures that it was trained on: statistics from train, threshold from val."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.guard import Guard, fit_guard
from s2m_edge.imaging.descriptor import describe
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network
from s2m_edge.train.data.layouts import load_training_data
from s2m_edge.train.data.reading import read_sample_image
from s2m_edge.train.data.sample import Sample

Progress = Callable[[str, int, int], None]


def learn_guard(
    folder: Path,
    preset: str | None,
    preprocessing: Preprocessing,
    domain: str = "",
    progress: Progress = lambda step, done, total: None,
) -> tuple[Guard, str]:
    """A guard, and a remark: empty, or how the validation pictures were chosen.

    Whole pictures are described, stretched to the network's size as an app does it, also where the network was trained
    on windows of them. The split `test` is not read.

    Args:
        folder: an image folder, or with `preset` a published data set.
        domain: what the network is about, for the file's metadata.
        progress: called with the image's name, images done and in all.

    Raises:
        ImageError, ConfigurationError: the data or the preset; too few pictures.
    """
    training, validation, remark = load_training_data(folder, preset)
    total = len(training) + len(validation)
    described = [
        describe_samples(samples, preprocessing, lambda name, done, first=first: progress(name, first + done, total))
        for samples, first in ((training, 0), (validation, len(training)))
    ]
    provenance = {"dataset": preset or folder.resolve().name, "domain": domain}
    return fit_guard(described[0], described[1], preprocessing.channels, provenance), remark


def describe_samples(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    progress: Callable[[str, int], None] = lambda name, done: None,
) -> NDArray[np.float64]:
    """The descriptors of samples, N x D; masks are not read."""
    found: list[NDArray[np.float64]] = []
    for index, sample in enumerate(samples):
        progress(sample.image.name, index)
        found.append(describe(fit_to_network(read_sample_image(sample, preprocessing.intensity), preprocessing)))
    return np.array(found)
