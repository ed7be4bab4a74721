"""What the tests of the commands share: a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2m_edge.cli.main import main


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
