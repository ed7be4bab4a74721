"""Checkpoints carry weights, layout and provenance, and are never misread."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from s2m_edge import load_model
from s2m_edge.checkpoint import (
    BUNDLED_CHECKPOINTS,
    ResampledFilterWarning,
    bundled_with_weights,
    locate_checkpoint,
    network_spec,
    quantized_counterpart,
    read_header,
    save_checkpoint,
)
from s2m_edge.errors import CheckpointError, OutputError


def test_a_checkpoint_returns_with_its_configuration_and_provenance(small_checkpoint: Path, small_model):
    header = read_header(small_checkpoint)
    assert header.config == small_model.config
    assert header.provenance["domain"] == "polyp"
    assert len(header.sha256) == 64
    assert not small_model.training
    again = load_model(small_checkpoint)
    image = torch.rand(1, 3, 96, 96)
    assert torch.equal(again(image), small_model(image))


@pytest.mark.parametrize(
    ("name", "size", "channels"), [("polyp", 352, 3), ("vessel", 256, 3), ("left-ventricle", 256, 1)]
)
def test_a_bundled_checkpoint_is_found_by_name_small_and_honest_about_itself(name: str, size: int, channels: int):
    model, header = load_model(name), read_header(name)
    assert header.path == BUNDLED_CHECKPOINTS[name]
    assert header.path.stat().st_size < 12_000_000
    config = model.config
    assert (config.size, config.in_channels, config.layout, config.classes) == (size, channels, "paper", 1)
    assert 0 < header.provenance["test_dice_window" if name == "vessel" else "test_dice"] < 1
    assert header.provenance["device"] in {"cpu", "cuda"}


def test_a_bundled_checkpoint_is_recognised_by_its_hash_and_no_other_is(small_checkpoint: Path):
    assert bundled_with_weights(read_header("polyp").weights_sha256) == BUNDLED_CHECKPOINTS["polyp"]
    assert bundled_with_weights(read_header(small_checkpoint).weights_sha256) is None


def test_polyps_are_the_default_and_a_file_comes_before_a_name(
    tmp_path: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    assert locate_checkpoint() == BUNDLED_CHECKPOINTS["polyp"] == locate_checkpoint("polyp")
    (tmp_path / "polyp").write_bytes(small_checkpoint.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert read_header("polyp").config.size == 96


def test_a_folder_that_is_called_like_a_bundled_checkpoint_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "vessel").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate_checkpoint("vessel") == BUNDLED_CHECKPOINTS["vessel"]


def test_matrices_are_stored_in_half_precision_and_vectors_in_full(small_checkpoint: Path):
    for name, tensor in load_file(small_checkpoint).items():
        assert tensor.dtype == (torch.float16 if tensor.dim() > 1 else torch.float32), name


def test_another_resolution_resamples_the_filters_and_says_so(small_checkpoint: Path):
    with pytest.warns(ResampledFilterWarning, match="resampled"):
        model = load_model(small_checkpoint, size=160)
    assert model.encoder[2].mixer.spectral.filter.shape == (64, 20, 20)  # type: ignore[union-attr]
    assert torch.isfinite(model(torch.rand(1, 3, 160, 160))).all()


def test_the_own_resolution_warns_of_nothing(small_checkpoint: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(small_checkpoint, size=96)


def test_a_missing_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*absent"):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, 100_000])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, small_checkpoint: Path, keep: int):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(small_checkpoint.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="truncated"):
        load_model(path)


def test_a_pickle_is_refused_unread(tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_model(path)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="not an s2m-edge checkpoint"):
        load_model(path)


def _rewrite(source: Path, target: Path, change) -> None:
    tensors = load_file(source)
    header = read_header(source)
    metadata = {
        "format": "s2m-edge-checkpoint",
        "format_version": "1",
        "config": json.dumps(header.config.to_dict()),
        "provenance": "{}",
    }
    change(tensors, metadata)
    save_file(tensors, target, metadata=metadata)


def test_missing_extra_and_misshapen_tensors_and_newer_formats_are_refused(tmp_path: Path, small_checkpoint: Path):
    path = tmp_path / "changed.safetensors"
    _rewrite(small_checkpoint, path, lambda tensors, metadata: tensors.pop("stem.0.bias"))
    with pytest.raises(CheckpointError, match="1 tensors missing"):
        load_model(path)
    _rewrite(small_checkpoint, path, lambda tensors, metadata: tensors.update(extra=torch.ones(1)))
    with pytest.raises(CheckpointError, match="1 too many"):
        load_model(path)
    _rewrite(small_checkpoint, path, lambda tensors, metadata: tensors.update({"stem.0.bias": torch.ones(5)}))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(path)
    _rewrite(small_checkpoint, path, lambda tensors, metadata: metadata.update(format_version="99"))
    with pytest.raises(CheckpointError, match="newer"):
        load_model(path)


def test_weights_that_half_precision_cannot_hold_are_not_saved(tmp_path: Path, small_model):
    from copy import deepcopy

    model = deepcopy(small_model)
    with torch.no_grad():
        model.stem[0].weight[0, 0, 0, 0] = 1e6
    with pytest.raises(CheckpointError, match="not finite"):
        save_checkpoint(tmp_path / "x.safetensors", model, {})
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_leaves_nothing(tmp_path: Path, small_model):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError):
        save_checkpoint(blocked / "x.safetensors", small_model, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["polyp", "vessel", "left-ventricle"])
def test_every_bundled_network_has_an_int8_form_that_knows_where_it_comes_from(name: str):
    header, whole = read_header(f"{name}-int8"), read_header(name)
    assert header.quantization is not None
    assert header.path.stat().st_size < 6_000_000
    assert quantized_counterpart(whole) == header.path
    assert header.provenance["float"]["weights_sha256"] == whole.weights_sha256
    assert header.provenance["calibration"]["count"] >= 8
    assert all(entry["images"] for entry in header.provenance["calibration"]["coverage"])
    assert header.config == whole.config


def test_a_file_whose_name_is_no_text_is_refused_with_its_remedy(small_checkpoint: Path, tmp_path: Path):
    """safetensors opens no such path."""
    path = tmp_path / os.fsdecode(b"x\xff.safetensors")
    path.write_bytes(small_checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match=r"x\\udcff.safetensors has a name that is no UTF-8.*Rename"):
        read_header(path)


def test_what_a_file_is_called_moves_no_terminal(small_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "x\x1b[2J.safetensors"
    path.write_bytes(small_checkpoint.read_bytes())
    assert network_spec(read_header(path)).file == r"x\x1b[2J.safetensors"
