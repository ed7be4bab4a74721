"""The checkpoints that come with the package, by name. A leaf: the help of every command names them."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
QUANTIZED_SUFFIX = "-int8"
BUNDLED_CHECKPOINTS = {
    "polyp": ASSETS / "checkpoints" / "s2mnet-polyp-352.safetensors",
    "vessel": ASSETS / "checkpoints" / "s2mnet-vessel-256.safetensors",
    "left-ventricle": ASSETS / "checkpoints" / "s2mnet-left-ventricle-256.safetensors",
}
FLOAT_NAMES = tuple(BUNDLED_CHECKPOINTS)
"""Those in float32; the first is the default everywhere."""
BUNDLED_CHECKPOINTS |= {
    f"{name}{QUANTIZED_SUFFIX}": path.with_stem(f"{path.stem}{QUANTIZED_SUFFIX}")
    for name, path in BUNDLED_CHECKPOINTS.items()
}
"""Every command takes these names in place of a file."""
