"""A disk that is full while an artifact is written is named as that, whatever the backend makes of it."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from networks import plain_u_net
from s2m_edge.deploy.bundle_files import BUNDLE
from s2m_edge.errors import LoweringError, OutputError
from s2m_edge.files import staged_folder
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.registry import TARGETS, Target

NATIVE = [target for target in TARGETS if target.name in ("openvino", "coreml", "onnx")]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: a refusal to write that needs no disk of its own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lowered(target: Target, final: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    """Lower a small network into a staged folder, the limit in force while the artifact is saved."""
    target.require_backend()
    exporter = target.make_exporter()
    if limit is not None:
        honest = exporter.save

        def limited(*arguments: object) -> None:
            with largest_file(limit):
                honest(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(exporter, "save", limited)
        monkeypatch.setattr("s2m_edge.targets.base.writing_failure", within(limit))
    network, spec = plain_u_net(64, 64)
    with staged_folder(final, BUNDLE) as stage:
        exporter.export(LoweringRequest(network, spec), stage)


def within(limit: int):
    """`writing_failure` under the limit that the artifact met: a disk does not become empty in between either."""
    from s2m_edge.files import writing_failure

    def limited(*arguments: object):
        with largest_file(limit):
            return writing_failure(*arguments)  # type: ignore[arg-type]

    return limited


@pytest.mark.parametrize("target", NATIVE, ids=lambda target: target.name)
def test_a_refusal_to_write_is_told_from_a_failure_to_lower(target: Target, tmp_path: Path, monkeypatch):
    with pytest.raises(OutputError, match=r"bundle cannot be written \(File too large\)\. Choose another place"):
        lowered(target, tmp_path / "bundle", monkeypatch, 2**14)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", NATIVE, ids=lambda target: target.name)
def test_a_full_disk_is_told_from_a_failure_to_lower(target: Target, tmp_path: Path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own takes Linux and the right to mount one")
    try:
        with pytest.raises(OutputError, match=r"^the disk is full while writing \S+bundle\. Make room"):
            lowered(target, disk / "bundle", monkeypatch, None)
        assert list(disk.iterdir()) == []
    finally:
        # Lazily: a process that another test started at this moment may hold what was open here.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_network_that_cannot_be_lowered_is_still_that(tmp_path: Path, monkeypatch):
    target = NATIVE[0]
    exporter = type(target.make_exporter())
    monkeypatch.setattr(exporter, "lower", lambda *arguments: (_ for _ in ()).throw(OSError("libmissing.so: no file")))
    with pytest.raises(LoweringError, match=r"could not lower the network \(OSError: libmissing\.so"):
        lowered(target, tmp_path / "bundle", monkeypatch, None)
