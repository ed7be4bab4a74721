"""Damages files at random and reads them in Python: contracts, golden inputs, guards, checkpoints, archives, pictures.

    python tools/stress_readers.py --files 20000 [--seed 0]

Each has to be read, or refused by an error of ours, in 6 GB of memory. What else happens is printed, and the exit code
is 1 then. Prints one line of figures for each kind.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.checkpoint import load_network, network_spec, read_header, save_checkpoint
from s2m_edge.deploy.contract import read_contract
from s2m_edge.deploy.factory import read_tensors
from s2m_edge.deploy.golden import GOLDEN_FILE, require_golden_of
from s2m_edge.deploy.guard import read_guard
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.read import read_image

MOST_MEMORY = 6 * 2**30
VALUES = ["0", "-1", "1e999", "1e38", "99999999999", "0.5", "null", "[]", "{}", '"x"', "true", "[[[[0]]]]", "NaN"]
VALUE = re.compile(rb'(?<=: )("[^"]*"|-?[0-9.]+|true|false|null)|(?<=":)("[^"]*"|-?[0-9.]+|true|false|null)')


@dataclass(frozen=True)
class Kind:
    """A kind of file: its contents, what it is called, and what reads it."""

    name: str
    contents: list[bytes]
    file: str
    read: Callable[[Path], object]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A file with a few bytes changed, cut or doubled, headers mostly, or a JSON value by another."""
    values = list(VALUE.finditer(content[:20_000])) if chance.random() < 0.5 else []
    if values:
        found, value = chance.choice(values), chance.choice(VALUES).encode()
        changed = content[: found.start()] + value + content[found.end() :]
        if content[8:9] != b"{":
            return changed
        length = int.from_bytes(content[:8], "little") + len(changed) - len(content)  # of a safetensors header
        return length.to_bytes(8, "little") + changed[8:]
    file = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        reach = len(file) if chance.random() < 0.3 else min(len(file), 700)
        at, kind = chance.randrange(max(reach, 1)), chance.randrange(5)
        if kind == 0:
            del file[at : at + chance.randint(1, 16)]
        elif kind == 1:
            file[at:at] = file[at : at + chance.randint(1, 64)]
        elif kind == 2:
            del file[at + chance.randrange(1000) :]
        elif at < len(file):
            file[at] = chance.choice((0, 255, file[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
    return bytes(file)


def kinds(folder: Path) -> Iterator[Kind]:
    """The kinds, made of files of the repository."""
    import torch
    from torch import nn

    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet

    bundle = VECTORS / EXAMPLE_BUNDLE
    contract = read_contract(bundle)
    contracts = [
        path.read_bytes() for path in (bundle, VECTORS / REFUSALS / "sound") for path in [path / "contract.json"]
    ]
    yield Kind("contracts", contracts, "contract.json", lambda path: read_contract(path.parent))
    golden = (bundle / GOLDEN_FILE).read_bytes()
    yield Kind("golden inputs", [golden], GOLDEN_FILE, lambda path: require_golden_of(path, contract))
    guards = [path.read_bytes() for path in sorted(VECTORS.glob("guard-*.safetensors"))]
    yield Kind("guards", guards, "guard.safetensors", read_guard)
    small = S2MNetConfig(size=96, encoder_channels=(4, 4, 4, 4, 4), stem_channels=4, head_channels=(4, 4), expansion=1)
    save_checkpoint(folder / "small", S2MNet(small), {"domain": "polyp", "class_names": ["polyp"], "fit": "stretch"})
    checkpoint = (folder / "small").read_bytes()

    def read_checkpoint(path: Path) -> None:
        header = read_header(path)
        network_spec(header)
        load_network(header)

    yield Kind("checkpoints", [checkpoint], "x.safetensors", read_checkpoint)
    torch.save(nn.Conv2d(3, 3, 3).state_dict(), folder / "weights")
    yield Kind("archives of weights", [(folder / "weights").read_bytes()], "x.pt", read_tensors)
    pictures = [path.read_bytes() for path in sorted((VECTORS / "pictures").iterdir()) if path.suffix != ".json"]
    yield Kind("pictures", pictures, "x.bin", read_image)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=3000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    chance, faults = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds(Path(name)):
            read = refused = 0
            path = Path(name) / kind.file
            for number in range(options.files):
                path.write_bytes(damaged(chance.choice(kind.contents), chance))
                try:
                    kind.read(path)
                    read += 1
                except S2MEdgeError:
                    refused += 1
                except BaseException as error:
                    faults += 1
                    print(f"{kind.name}, file {number}: {type(error).__name__}: {str(error)[:200]}")
                    if isinstance(error, KeyboardInterrupt):
                        return 130
            print(f"{kind.name}: {read} read, {refused} refused", flush=True)
            path.unlink(missing_ok=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
