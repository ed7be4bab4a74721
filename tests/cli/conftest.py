"""What the tests of the commands share: running one in this process, and a bundle."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from s2m_edge.cli.main import main


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return int(caught.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def onnx_bundle(small_checkpoint: Path, polyp_images: list[Path], tmp_path_factory) -> Path:
    """A bundle exported through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    pictures = folder / "pictures"
    pictures.mkdir()
    for path in polyp_images[:2]:
        (pictures / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SystemExit) as caught:
        main(
            [
                "export",
                "--target",
                "onnx",
                "--checkpoint",
                str(small_checkpoint),
                "--images",
                str(pictures),
                "--out",
                str(folder / "exports"),
            ]
        )
    assert not caught.value.code
    return folder / "exports" / "small-onnx-float32"
