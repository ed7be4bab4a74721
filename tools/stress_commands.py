"""Ends commands by SIGKILL, SIGINT and SIGTERM at moments spread over their run, and looks at what they leave.

    python tools/stress_commands.py [--moments 9] [--command export --command predict]

`export` writes a bundle, `quantize` and `average` a checkpoint, `predict` masks and overlays, of a small network at
96 x 96. Every file under its name has to be whole (a bundle that opens, a checkpoint that loads, a picture that
decodes), the exit code has to be the signal's, no traceback may be printed, and hidden files that killed processes
leave are gone after the next run. Exits with 1 otherwise. Prints one line of figures for each command.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from command_line import heed_interrupts
from s2m_edge.checkpoint import load_model, save_checkpoint
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.read import read_image
from s2m_edge.leftovers import FILE_MOMENT
from s2m_edge.quantize.images import MINIMUM_COUNT
from s2m_edge.samples import sample_images
from support import decided, lively_network, write_sample_folder

COMMAND = [sys.executable, "-m", "s2m_edge.cli.main"]
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}


def is_whole(path: Path) -> bool:
    """Whether a bundle, a checkpoint or a picture can be read to its end."""
    try:
        if path.is_dir():
            open_bundle(path)
        elif path.suffix == ".safetensors":
            load_model(path)
        else:
            read_image(path)
    except S2MEdgeError as error:
        print(error)
        return False
    return True


def run(words: list[str], after: float | None = None, sign: signal.Signals = signal.SIGKILL) -> bool:
    """Run a command, and send it a signal after so many seconds if it still runs. Whether it was ended by it."""
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    try:
        _, said = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(sign)
        _, said = process.communicate()
    ended = process.returncode == CODES[sign] and after is not None
    if "Traceback" in said or (process.returncode and not ended):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{said}")
    return ended


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands, each with a folder of its own for what it writes, which is called like it."""
    checkpoint = folder / "small.safetensors"
    save_checkpoint(checkpoint, decided(lively_network()), {"dataset": "none", "domain": "polyp"})
    data = write_sample_folder(folder / "data", ("train",) * MINIMUM_COUNT + ("val",))
    export = ["export", "--target", "onnx", "--checkpoint", str(checkpoint), "--out"]
    run([*export, str(folder / "exports")])
    bundle = folder / "exports" / "small-onnx-float32"
    options = ["--data", str(data), "--method", "ptq", "--images", str(MINIMUM_COUNT)]
    return {
        "export": [*export, str(folder / "export")],
        "quantize": ["quantize", str(checkpoint), *options, "--out", str(folder / "quantize" / "x.safetensors")],
        "predict": ["predict", str(bundle), *map(str, sample_images(None)), "--out", str(folder / "predict")],
        "average": ["average", str(checkpoint), str(checkpoint), "--out", str(folder / "average" / "x.safetensors")],
    }


def stress(name: str, words: list[str], out: Path, moments: int) -> bool:
    """End a command at that many moments, see that it leaves what is whole, and print its line. Whether it did."""
    began = time.monotonic()
    run(words)
    lasts = time.monotonic() - began
    names = {path.name for path in out.iterdir()}
    ended = looked_at = halves = 0
    for moment in range(moments):
        ended += run(words, (moment + 0.5) / moments * lasts, SIGNALS[moment % len(SIGNALS)])
        found = [path for path in out.iterdir() if path.name in names]
        looked_at += len(found)
        halves += sum(not is_whole(path) for path in found)
    time.sleep(FILE_MOMENT + 1)  # a younger file may be one that has no lock yet
    run(words)
    left_over = sorted(path.name for path in out.iterdir() if path.name not in names)
    lost = names - {path.name for path in out.iterdir()}
    print(f"{name}: {ended} of {moments} ended by a signal, {looked_at} files and bundles looked at, ", end="")
    print(f"{halves} not whole, {len(lost)} lost, {len(left_over)} left over", flush=True)
    return not (halves or lost or left_over)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=9, help="of each command; the signals take turns")
    parser.add_argument("--command", action="append", help="one alone; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        known = commands(Path(name))
        chosen = options.command or list(known)
        sound = [stress(command, known[command], Path(name) / command, options.moments) for command in chosen]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
