"""NNCF's post-training quantization of an OpenVINO float32 bundle, as a bundle that evaluate and benchmark take.

For comparison only: the toolkit's own int8 is `s2m-edge quantize`, one network for every target. Same IR, same
calibration images. NNCF is no dependency of the toolkit: `pip install nncf==3.4.0` first.

python tools/nncf_bundle.py exports/s2mnet-polyp-352-openvino-float32 --data DATA --out exports/nncf
"""

from __future__ import annotations

import argparse
import importlib
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

from s2m_edge.checkpoint import bundled_with_weights, read_header
from s2m_edge.deploy.bundle import open_bundle, seal_contract
from s2m_edge.deploy.contract import CONTRACT_FILE, Contract
from s2m_edge.errors import ConfigurationError, MissingBackendError, S2MEdgeError
from s2m_edge.files import write_json
from s2m_edge.quantize.images import DEFAULT_COUNT, read_calibration_set
from s2m_edge.quantize.recipe import recipe_of


def main(folder: Path, data: Path, out: Path, preset: str) -> int:
    """Write the bundle `out`, a copy of `folder` with another artifact; preset: of `nncf.QuantizationPreset`."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # both would report by it; now it looks absent
    try:
        nncf: Any = importlib.import_module("nncf")
    except ImportError:
        raise MissingBackendError("nncf is not installed", "pip install nncf==3.4.0") from None
    import openvino

    nncf.set_log_level(logging.ERROR)
    bundle = open_bundle(folder)
    if bundle.contract.target != "openvino" or bundle.contract.precision != "float32":
        raise ConfigurationError(
            f"{folder} is no float32 bundle of OpenVINO", "Export one: s2m-edge export -t openvino"
        )
    checkpoint = bundled_with_weights(bundle.contract.weights_sha256)
    if checkpoint is None:
        raise ConfigurationError(f"the checkpoint of {folder} is not bundled", "Compare a bundled one.")
    if out.exists():
        raise ConfigurationError(f"{out} exists", "Remove it, or choose another --out.")
    header = read_header(checkpoint)
    images = read_calibration_set(data, header.config, count=DEFAULT_COUNT, patches=recipe_of(header).patches).images
    pictures = [(entry.image * 255.0).round().byte().permute(1, 2, 0)[None].numpy() for entry in images]
    model = openvino.Core().read_model(bundle.artifact)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(pictures),
        preset=nncf.QuantizationPreset(preset),
        subset_size=len(pictures),
    )
    shutil.copytree(folder, out)
    openvino.save_model(quantized, out / bundle.artifact.name, compress_to_fp16=False)
    values = {**bundle.contract.values, "precision": "int8"}
    sizes = [(out / name).stat().st_size for name in values["files"] if name.startswith(bundle.artifact.stem)]
    values["artifact"] = {**values["artifact"], "bytes": sum(sizes)}
    not_measured = {**values["parity"], "passed": False, "images": 0, "images_with_foreground": 0}
    write_json(out / CONTRACT_FILE, seal_contract(Contract(values), out, not_measured).values)
    print(
        f"{out}: {values['artifact']['bytes'] / 1e6:.1f} MB, nncf {nncf.__version__}, {len(pictures)} images, {preset}"
    )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path, help="float32, of OpenVINO")
    parser.add_argument("--data", type=Path, required=True, help="image folder; its training images calibrate")
    parser.add_argument("--out", type=Path, required=True, help="the new bundle")
    parser.add_argument("--preset", default="mixed", choices=("mixed", "performance"))
    given = parser.parse_args()
    try:
        sys.exit(main(given.bundle, given.data, given.out, given.preset))
    except S2MEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
