"""`python -m s2m_edge.train.gpu_day --minutes 28 --data DIR --out DIR`: all that only a GPU gives (docs/gpu.md).

Exit codes: 0 done, or in good order and to be gone on with; 1 a step failed; 2 a wrong request; 130, 143 interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from s2m_edge import interrupts
from s2m_edge.console import print_error
from s2m_edge.devices import DEVICES
from s2m_edge.errors import ConfigurationError, S2MEdgeError


def minutes(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError("more than 0 are needed")
    return value


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m s2m_edge.train.gpu_day", description="Half an hour with a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; call again to go on")
    parser.add_argument("--data", type=Path, help="image folder (images/, masks/, split.csv) of polyps")
    parser.add_argument("--bundles", type=Path, help="folder under which bundles lie, for their parity")
    parser.add_argument("--minutes", type=minutes, default=28.0, help="of the whole, over all calls")
    parser.add_argument("--call-minutes", type=minutes, default=9.0, help="after which this call ends")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--rehearse", action="store_true", help="everything once, at tiny sizes")
    parser.add_argument("--unpack", type=Path, metavar="DIR", help="only put the trained networks together, in DIR")
    options = parser.parse_args(arguments)
    with interrupts.listening():
        try:
            return _run(options)
        except S2MEdgeError as error:
            print_error(error)
            return error.exit_code
        except KeyboardInterrupt as signal:
            return getattr(signal, "code", None) or interrupts.exit_code()


def _run(options: argparse.Namespace) -> int:
    from s2m_edge.devices import choose_device
    from s2m_edge.files import alone, require_writable
    from s2m_edge.train.gpu_day.ledger import Ledger
    from s2m_edge.train.gpu_day.parts import unpack
    from s2m_edge.train.gpu_day.plan import REHEARSAL, Plan

    if options.unpack is not None:
        found = [unpack(options.out / "training" / name, options.unpack / name) for name in ("teacher", "student")]
        if not any(found):
            raise ConfigurationError(f"{options.out} holds no training", "Check --out.")
        return 0
    if options.data is None:
        raise ConfigurationError("no data was given", "Give --data an image folder.")
    device = choose_device(options.device)
    from s2m_edge.train.gpu_day.day import run_day

    require_writable(options.out)
    with alone(options.out):
        kind = {"device": device, "rehearsal": options.rehearse}
        ledger = Ledger(options.out, kind, options.minutes, options.call_minutes)
        return run_day(ledger, options.data, options.bundles, REHEARSAL if options.rehearse else Plan())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
