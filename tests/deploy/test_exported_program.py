"""A .pt2 file is loaded only where nothing in it can run code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from networks import plain_u_net
from s2m_edge.deploy.exported_program import load_program
from s2m_edge.errors import CheckpointError

Edit = Callable[[str, bytes], bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    network, _ = plain_u_net(32, 32)
    torch.export.save(torch.export.export(network, (torch.rand(1, 3, 32, 32),)), path)
    return path


def edited(program: Path, path: Path, edit: Edit, more: dict[str, bytes] | None = None) -> Path:
    """A copy of an archive, each file passed through `edit`, with further files."""
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, edit(entry.filename, source.read(entry)))
        root = source.infolist()[0].filename.split("/")[0]
        for name, content in (more or {}).items():
            target.writestr(f"{root}/{name}", content)
    return path


def untouched(name: str, content: bytes) -> bytes:
    return content


def replaced(old: str, new: str) -> Edit:
    def edit(name: str, content: bytes) -> bytes:
        if not name.endswith(".json"):
            return content
        text = content.decode().replace(old, new)
        json.loads(text)
        return text.encode()

    return edit


@pytest.mark.parametrize(
    ("edit", "more", "words"),
    [
        (replaced("torch.ops.aten.relu.default", "torch.serialization.os.system"), None, "calls torch.serialization"),
        (replaced("torch.ops.aten.relu.default", "_operator.methodcaller"), None, "no plain operator"),
        (replaced('"use_pickle": false', '"use_pickle": true'), None, "pickled tensors"),
        (untouched, {"data/constants/custom_obj_0": b"x"}, "custom_obj_0"),
        (untouched, {"data/aotinductor/model.so": b"x"}, "model.so"),
        (untouched, {"models/extra.json": b'{"expr_str": "__import__(1)"}'}, "symbolic sizes"),
        (untouched, {"models/extra.json": b"{}"}, "holds 2 programs"),
        (untouched, {"models/extra.json": b"{"}, "no readable .pt2"),
    ],
)
def test_what_would_run_code_is_refused_before_anything_is_loaded(program, tmp_path, edit, more, words, monkeypatch):
    path = edited(program, tmp_path / "edited.pt2", edit, more)
    monkeypatch.setattr(torch.export, "load", lambda *arguments, **options: pytest.fail("it was loaded"))
    with pytest.raises(CheckpointError, match=words):
        load_program(path)


def test_a_copy_that_nobody_changed_is_loaded(program, tmp_path):
    network = load_program(edited(program, tmp_path / "copy.pt2", untouched))
    assert not network.training
    assert network.train() is network


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "no.pt2"
    with pytest.raises(CheckpointError, match="there is no program"):
        load_program(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(CheckpointError, match="no readable"):
        load_program(path)
