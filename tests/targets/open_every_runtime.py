"""A program for tests that look at it from outside: exports a small network to every target here, opens and runs each
bundle, and imports what training needs. Prints the targets."""

from __future__ import annotations

import sys
from pathlib import Path

from networks import plain_u_net
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.predict import load_bundle
from s2m_edge.targets.registry import TARGETS


def main(out: Path, picture: Path) -> None:
    import s2m_edge.train.fit  # noqa: F401 - Lightning and MONAI

    network, spec = plain_u_net(32, 32)
    for target in TARGETS:
        if target.exists_here() and target.version() is not None:
            made = export_bundle(target, network, spec, images=[picture], out=out / target.name)
            load_bundle(made.folder).predict(picture)
            print(target.name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
