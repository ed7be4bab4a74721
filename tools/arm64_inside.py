"""Runs in the emulator, by Debian's Python with numpy and one runtime: the toolkit's own runner over fitted pictures.

    python3.11 arm64_inside.py FOLDER

FOLDER holds job.json and pictures.npy (pictures x height x width x channels, uint8), and gets answer.json and
probabilities.npy (pictures x outputs x height x width, float32). Judges nothing.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.errors import S2MEdgeError, causes
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.processor import features_text
from s2m_edge.targets.registry import find_target


def main(folder: Path) -> None:
    """Do the job. What the runtime refuses is an answer too; a package that is lacking is none."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    runner_class = find_target(job["target"]).runner_class()
    runner_class.import_backend()
    answer: dict[str, object] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "c_library": " ".join(platform.libc_ver()),
        "features": features_text(),
        "version": metadata.version(job["distribution"]),
    }
    try:
        runner = runner_class(
            Path(job["artifact"]),
            TensorInterface(**job["interface"]),
            Preprocessing(**job["preprocessing"]),
            job["precision"],
            job["threads"],
        )
        found = np.stack([runner.predict(picture) for picture in np.load(folder / "pictures.npy")])
    except S2MEdgeError as error:
        if any(isinstance(cause, ImportError | MemoryError) for cause in causes(error)):
            raise
        answer["refused"] = error.cause
    else:
        np.save(folder / "probabilities.npy", found)
        answer |= {"device": runner.device, "verdict": runner.verdict, "remark": runner.remark}
        answer["observations"] = runner.observations()
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
