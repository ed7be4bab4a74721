"""What several tests need: a network that hides no mistake, and a case made of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.deploy.bundle import Bundle, seal_contract
from s2m_edge.deploy.contract import CONTRACT_FILE, read_contract
from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.files import write_json
from s2m_edge.imaging.classes import SegmentClass, default_classes
from s2m_edge.imaging.preprocess import Preprocessing, normalise
from s2m_edge.network.blocks import ChannelLayerNorm
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.processor import processor_flags
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.base import LoweringRequest


def reseal(folder: Path) -> None:
    """Give a bundle that a test changed the hashes of its files as they are now."""
    bundle = Bundle(folder, read_contract(folder))
    write_json(folder / CONTRACT_FILE, seal_contract(bundle.contract, folder, bundle.contract.values["parity"]).values)


def remarks(recwarn: pytest.WarningsRecorder) -> list[str]:
    """What was warned of, but for JAX's word on every process that is started once another test has loaded it."""
    return [str(entry.message) for entry in recwarn if "os.fork() was called" not in str(entry.message)]


STAGE_CHANNELS = (24, 32, 64)
ENCODER_STAGES = len(STAGE_CHANNELS)
"""Of `lively_network`."""

QUANTIZED_CONVOLUTIONS = 12 * ENCODER_STAGES - 4
"""Of `lively_network` in int8, by default."""

SPECTRAL_STAGES = (1, 3)
"""Of `lively_network`, 1-based."""

WHOLE: dict[str, Any] = {
    "encoder_channels": (24, 32, 64, 80, 128),
    "mixer_stages": (1, 2, 3, 4, 5),
    "spatial_stages": (1, 2, 3, 4, 5),
}
"""`lively_network` with all blocks of the published one."""


NARROW: dict[str, Any] = {
    "encoder_channels": (8,) * 3,
    "stem_channels": 8,
    "head_channels": (8, 8),
    "expansion": 2,
}
"""`lively_network` with a few channels, which an adapter made of software runs within seconds."""


def lively_network(size: int = 96, classes: int = 1, in_channels: int = 3, seed: int = 0, **layout: object) -> S2MNet:
    """A random network, eval mode: filters without symmetry, disturbed statistics, logits centred and of unit spread.

    A plainly initialised network answers almost the same everywhere, and would hide any mistake of a lowering. It has
    three stages, two with an SSTM, one of those with the spatial branch: every kind of block is there, and it is
    lowered in a fraction of the time of the whole network, which the bundled checkpoints' tests lower.
    """
    own = {"encoder_channels": STAGE_CHANNELS, "mixer_stages": SPECTRAL_STAGES, "spatial_stages": SPECTRAL_STAGES[:1]}
    layout = own | layout
    generator = torch.Generator().manual_seed(seed)
    model = S2MNet(S2MNetConfig.preset("paper", size=size, classes=classes, in_channels=in_channels, **layout)).eval()

    def normal(tensor: torch.Tensor, mean: float, deviation: float) -> None:
        tensor.copy_(mean + deviation * torch.randn(tensor.shape, generator=generator))

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                normal(module.running_mean, 0.0, 0.2)
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
            if isinstance(module, nn.Conv2d):
                normal(module.weight, 0.0, module.weight[0].numel() ** -0.5)
            if isinstance(module, ChannelLayerNorm | nn.BatchNorm2d):
                normal(module.weight, 1.0, 0.2)
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                normal(bias, 0.0, 0.1)
        for name, parameter in model.named_parameters():
            if name.endswith("spectral.filter"):
                normal(parameter, 0.3, 0.3)
        last = model.head[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        logits = model(torch.rand(1, in_channels, size, size, generator=generator))
        gain = 1.0 / logits.std(dim=(0, 2, 3))
        last.bias.copy_((last.bias - logits.mean(dim=(0, 2, 3))) * gain)
        last.weight.mul_(gain[:, None, None, None])
    return model.requires_grad_(False)


def decided(model: S2MNet) -> S2MNet:
    """The network with its logits moved away from the threshold, as a trained one's are: where every second pixel is
    undecided, the rounding of half precision or of a decoder alone would flip more of them than any gate allows."""
    last = model.head[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.bias += 3.0
    return model


def save_quantized(checkpoint: Path, model: S2MNet, pictures: list[Path], folder: Path) -> Path:
    """The int8 checkpoint of a checkpoint and its network, calibrated on pictures, in a new folder."""
    from s2m_edge.checkpoint import read_header
    from s2m_edge.imaging.preprocess import fit_to_network, normalise
    from s2m_edge.imaging.read import read_image
    from s2m_edge.network.fake_quantized import QuantizationConfig
    from s2m_edge.quantize.images import CalibrationSet, LabelledImage
    from s2m_edge.quantize.quantize import calibrated_network, save_calibrated

    preprocessing, size = network_preprocessing(model), model.config.size
    images = []
    for path in pictures:
        picture = normalise(fit_to_network(read_image(path), preprocessing), preprocessing)[0]
        images.append(
            LabelledImage(path.stem, torch.from_numpy(picture), torch.zeros(1, size, size, dtype=torch.uint8))
        )
    calibration = CalibrationSet(tuple(images), {"count": len(images), "coverage": []})
    network = calibrated_network(model, calibration, QuantizationConfig())
    folder.mkdir()
    path = folder / "small-int8.safetensors"
    save_calibrated(path, network, read_header(checkpoint), calibration, QuantizationConfig())
    return path


def network_preprocessing(model: S2MNet) -> Preprocessing:
    """The preprocessing that S2M-Net's checkpoints have: 0..255 to 0..1."""
    return spec_of(model).preprocessing


def spec_of(
    model: S2MNet, preprocessing: Preprocessing | None = None, classes: tuple[SegmentClass, ...] = ()
) -> NetworkSpec:
    """The specification of an S2M-Net that comes from no checkpoint."""
    config = model.config
    spec = NetworkSpec(
        "test",
        config.size,
        config.size,
        config.in_channels,
        classes or default_classes(config.classes),
        "sigmoid" if config.classes == 1 else "softmax",
    ).of(model)
    return spec if preprocessing is None else spec.with_preprocessing(preprocessing)


def lowering_request(
    model: S2MNet,
    precision: Precision = "float32",
    spectral: SpectralLowering = "matmul",
    preprocessing: Preprocessing | None = None,
    metadata: Mapping[str, str] | None = None,
    classes: tuple[SegmentClass, ...] = (),
) -> LoweringRequest:
    """A request to lower an S2M-Net that comes from no checkpoint."""
    return LoweringRequest(model, spec_of(model, preprocessing, classes), precision, spectral, metadata or {})


@dataclass(frozen=True)
class Case:
    """A lively network, a fitted picture of noise, and what eager says of it."""

    model: S2MNet
    preprocessing: Preprocessing
    fitted: NDArray[np.uint8]
    expected: NDArray[np.float32]


def make_case(classes: int, channels: int, size: int = 96, **layout: object) -> Case:
    """A case with a mean and deviations that are not the identity."""
    model = lively_network(size, classes, channels, seed=classes, **layout)
    mean, deviation = (0.4, 0.5, 0.6)[:channels], (0.9, 1.0, 1.1)[:channels]
    preprocessing = Preprocessing(size, size, channels, mean=mean, standard_deviation=deviation)
    fitted = np.random.default_rng(classes).integers(0, 256, (size, size, channels), dtype=np.uint8)
    with torch.no_grad():
        logits = model(torch.from_numpy(normalise(fitted, preprocessing)))
    expected = probabilities_from_logits(logits)[0].numpy()
    assert expected.std() > 0.1
    return Case(model, preprocessing, fitted, expected)


def assert_one_line_error(code: int, out: str, err: str, *words: str, expected: int = 2) -> None:
    """The command failed with one line on stderr that holds `words`."""
    assert code == expected, err
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0]


def write_image_folder(root: Path, rows: Sequence[tuple[Path, Path, str]]) -> Path:
    """An image folder (images/, masks/, split.csv) of copies of image, mask and split each; the image's stem counts."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    lines = ["stem,split"]
    for image, mask, split in rows:
        (root / "images" / image.name).write_bytes(image.read_bytes())
        (root / "masks" / f"{image.stem}{mask.suffix}").write_bytes(mask.read_bytes())
        lines.append(f"{image.stem},{split}")
    (root / "split.csv").write_text("\n".join(lines) + "\n")
    return root


def write_sample_folder(root: Path, splits: Sequence[str], domain: str | None = None) -> Path:
    """An image folder of the first bundled pictures (of one domain, or of all), one per given split."""
    pictures = zip(sample_images(domain), splits, strict=False)
    return write_image_folder(root, [(image, sample_mask(image), split) for image, split in pictures])


def runs_avx2() -> bool:
    """Whether this processor has AVX2, FMA and F16C, as far as the system tells."""
    return {"avx2", "fma", "f16c"} <= set(processor_flags().split())


def metric_rows(report: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv in the folder of a report."""
    with (report / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


BRIGHT_STACK = np.zeros((5, 24, 30), np.uint16)
"""Slices on which something bright grows."""
for _number in range(5):
    BRIGHT_STACK[_number, 3 : 8 + _number, 4:20] = 4000


class BrightRunner:
    """In place of an artifact: a probability is the mean of a pixel's colours."""

    verdict, remark, device, opened = "executed", "", "none", 0

    def __init__(self, bundle: Any = None, threads: int | None = None) -> None:
        BrightRunner.opened += 1

    def predict(self, fitted: Any) -> Any:
        return (fitted.mean(axis=2)[None] / 255).astype(np.float32)


def bright_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound bundle in that folder, which opens as a `BrightRunner`."""
    shutil.copytree(VECTORS / REFUSALS / "sound", folder)
    monkeypatch.setattr("s2m_edge.targets.opening.open_runner", BrightRunner)
    BrightRunner.opened = 0
    return folder


def write_codes(path: Path, bundle: Path) -> Path:
    """A file of codes for the first class of a bundle, which no bundled domain has."""
    name = json.loads((bundle / "contract.json").read_text())["classes"][0]["name"]
    organ = {"value": "113343008", "scheme": "SCT", "meaning": "Organ"}
    path.write_text(json.dumps({name: {"category": organ, "type": organ}}))
    return path
