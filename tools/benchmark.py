"""`python tools/benchmark.py BUNDLE...`: latency of bundles beside PyTorch eager, interleaved in one process.

Every round runs each contender once on the same picture, so that noise meets all alike; medians and ratios to eager.
The evaluator of Core ML packages is no runtime and is left out, which is printed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS, WARM_UP = 15, 3


def main(folders: list[Path], threads: int = 2) -> int:
    import torch

    from s2m_edge.checkpoint import load_model
    from s2m_edge.imaging.preprocess import fit_to_network, normalise
    from s2m_edge.imaging.read import read_image
    from s2m_edge.samples import sample_images
    from s2m_edge.targets.bundle import open_bundle

    torch.set_num_threads(threads)
    picture = read_image(sample_images("polyp")[0])
    bundles = [open_bundle(folder) for folder in folders]
    preprocessing = bundles[0].contract.preprocessing
    fitted = fit_to_network(picture, preprocessing)
    model = load_model(size=preprocessing.size)
    image = torch.from_numpy(normalise(fitted, preprocessing))

    def eager() -> None:
        with torch.inference_mode():
            model(image)

    contenders: dict[str, Callable[[], object]] = {"PyTorch eager float32": eager}
    for bundle in bundles:
        contract = bundle.contract
        name = f"{contract.target} {contract.precision} {contract.spectral}"
        runner = bundle.open_runner(threads)
        if runner.verdict != "executed":
            print(f"{name}: left out, {runner.device} is no runtime")
            continue
        contenders[name] = lambda runner=runner, fitted=fitted: runner.predict(fitted)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(WARM_UP + ROUNDS):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if index >= WARM_UP:
                times[name].append((time.perf_counter() - began) * 1e3)
    base = statistics.median(times["PyTorch eager float32"])
    print(f"{preprocessing.size} x {preprocessing.size}, batch 1, {threads} threads, {ROUNDS} interleaved rounds")
    for name, values in times.items():
        ordered = sorted(values)
        spread = f"{ordered[len(ordered) // 10]:.0f} to {ordered[-1 - len(ordered) // 10]:.0f}"
        median = statistics.median(values)
        print(f"{name:32} {median:7.1f} ms ({spread}), {base / median:.2f} x eager's speed")
    return 0


if __name__ == "__main__":
    from s2m_edge.errors import S2MEdgeError

    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python tools/benchmark.py BUNDLE...")
    try:
        sys.exit(main([Path(text) for text in sys.argv[1:]]))
    except S2MEdgeError as error:
        sys.exit(f"error: {error}")
