"""Two bundles of one checkpoint against each other, picture by picture: two independent witnesses of one network.

python tools/compare_bundles.py exports/...-coreai-float32 exports/...-coreml-float32 [--images FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import ContractError, S2MEdgeError
from s2m_edge.imaging.folders import list_images
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.opening import open_runner


def main(first: Path, second: Path, images: list[Path]) -> int:
    """Print one line per picture; exit code 2 where the bundles are of different networks."""
    bundles = [open_bundle(first), open_bundle(second)]
    if len({bundle.contract.weights_sha256 for bundle in bundles}) > 1:
        raise ContractError("the bundles are of different checkpoints", "Export both from one.")
    runners = [open_runner(bundle) for bundle in bundles]
    for bundle, runner in zip(bundles, runners, strict=True):
        contract = bundle.contract
        print(f"{contract.target} {contract.precision} {contract.spectral}: {runner.device} ({runner.verdict})")
    for path in images:
        answers = []
        for bundle, runner in zip(bundles, runners, strict=True):
            preprocessing = bundle.contract.preprocessing
            fitted = fit_to_network(read_image(path, intensity=preprocessing.intensity), preprocessing)
            began = time.perf_counter()
            answers.append((runner.predict(fitted), time.perf_counter() - began))
        found = compare(path.name, answers[0][0], answers[1][0], bundles[0].contract.threshold, 0.0)
        seconds = " and ".join(f"{answer[1]:.1f}" for answer in answers)
        print(
            f"{path.name}: largest difference {found.max_probability_error:.2e}, mask agreement "
            f"{found.mask_agreement:.6f}, Dice {found.mask_dice:.5f}; {seconds} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("first", type=Path, help="a bundle")
    parser.add_argument("second", type=Path, help="another bundle of the same checkpoint")
    parser.add_argument("--images", type=Path, help="a folder; the bundled polyp samples by default")
    given = parser.parse_args()
    try:
        sys.exit(main(given.first, given.second, list_images(given.images) if given.images else sample_images("polyp")))
    except S2MEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
