"""What a file claims is compared with what it holds: a small one cannot take the memory."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.deploy.claims import require_held
from s2m_edge.deploy.exported_program import load_program
from s2m_edge.deploy.factory import read_tensors
from s2m_edge.errors import CheckpointError, ConfigurationError


def changed(source: Path, target: Path, part: str, **changes: Any) -> Path:
    """A copy of a checkpoint with other values in one of its JSON texts."""
    with safe_open(source, "pt") as file:
        metadata = dict(file.metadata())
    metadata[part] = json.dumps(json.loads(metadata[part]) | changes)
    save_file(load_file(source), target, metadata=metadata)
    return target


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"expansion": 1_000_000}, "a layer of 64000000 channels"),
        ({"expansion": 10**30}, "channels"),
        ({"size": 3_200_000}, r"96\.\.8192"),
        ({"classes": 10**9}, "up to 256"),
        ({"head_channels": [16]}, "head_channels"),
        ({"head_channels": [0, 16]}, "head_channels"),
        ({"stem_channels": -1}, "a layer of -1 channels"),
        ({"size": 96.0}, r"size is 96\.0"),
        ({"size": [96]}, "size is"),
        ({"mixer_stages": [[1]]}, "mixer_stages is"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon is nan"),
    ],
)
def test_a_configuration_out_of_its_range_is_refused_with_the_header(small_checkpoint, tmp_path, changes, cause):
    with pytest.raises(ConfigurationError, match=cause):
        read_header(changed(small_checkpoint, tmp_path / "x.safetensors", "config", **changes))


@pytest.mark.parametrize("changes", [{"expansion": 1000}, {"encoder_channels": [24, 32, 10_000]}])
def test_a_network_that_the_file_does_not_hold_is_never_made(small_checkpoint, tmp_path, monkeypatch, changes):
    """Tens of gigabytes of weights; each of the values is within its range."""
    path = changed(small_checkpoint, tmp_path / "x.safetensors", "config", **changes)
    made: list[torch.device] = []
    original = nn.Conv2d.__init__

    def watched(self: nn.Conv2d, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        made.append(self.weight.device)

    monkeypatch.setattr(nn.Conv2d, "__init__", watched)
    with pytest.raises(CheckpointError, match=r"describes a network of \d{11} values and holds \d{6}\. Copy"):
        load_model(path)
    assert {device.type for device in made} == {"meta"}


def test_a_configuration_that_makes_no_network_is_named(tmp_path: Path):
    def build() -> nn.Module:
        return nn.Conv2d(2**40, 2**40, 3)

    with pytest.raises(CheckpointError, match="has a configuration that makes no network"):
        require_held(build, 1, tmp_path / "x")


@pytest.mark.parametrize(
    "entry",
    [
        {"class_names": 5},
        {"class_names": [5]},
        {"domain": ["polyp"]},
        {"float": 5},
        {"phases": "none"},
        {"fit": "window", "window": [1]},
        {"fit": "window", "window": {"overlap": "half"}},
        {"fit": "window", "window": {"overlap": 0.999999}},
        {"fit": "window", "window": {"sigma": float("nan")}},
        {"intensity": [1]},
    ],
    ids=str,
)
def test_what_a_provenance_says_is_of_its_kind(small_checkpoint, tmp_path, entry):
    with pytest.raises((CheckpointError, ConfigurationError), match=r"damaged metadata|the window|the intensity"):
        network_spec(read_header(changed(small_checkpoint, tmp_path / "x.safetensors", "provenance", **entry)))


def compressed(source: Path, target: Path) -> Path:
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in given.infolist():
            made.writestr(entry.filename, given.read(entry))
    return target


def saved_weights(path: Path) -> None:
    torch.save({"weight": torch.zeros(10_000)}, path)


def saved_program(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Conv2d(100, 100, 1).eval(), (torch.zeros(1, 100, 8, 8),)), path)


@pytest.mark.parametrize(
    ("save", "read", "suffix"), [(saved_weights, read_tensors, ".pt"), (saved_program, load_program, ".pt2")]
)
def test_an_archive_holds_no_more_than_its_size(
    tmp_path: Path, save: Callable[[Path], None], read: Callable[[Path], Any], suffix: str
):
    save(tmp_path / f"whole{suffix}")
    read(tmp_path / f"whole{suffix}")
    packed = compressed(tmp_path / f"whole{suffix}", tmp_path / f"packed{suffix}")
    with pytest.raises(CheckpointError, match=r"unpacks to \d+ bytes, more than it has"):
        read(packed)


def test_an_archive_in_parts_is_damaged(tmp_path: Path):
    saved_weights(tmp_path / "x.pt")
    content = bytearray((tmp_path / "x.pt").read_bytes())
    locator = content.rfind(b"PK\x06\x07")
    content[locator + 16] = 2  # disks
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged archive.*multiple disks"):
        read_tensors(tmp_path / "x.pt")


@pytest.mark.parametrize("claim", [10**6, 10**15])
def test_a_tensor_that_is_longer_than_its_file_is_refused(small_checkpoint: Path, tmp_path: Path, claim: int):
    content = small_checkpoint.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    entry = header[last]
    begin = entry["data_offsets"][0]
    entry["shape"], entry["data_offsets"] = [claim], [begin, begin + claim * (2 if entry["dtype"] == "F16" else 4)]
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[start:])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_header(path)
