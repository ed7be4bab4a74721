"""`python -m s2m_edge.train`: the same as `s2m-edge train`, for launchers such as torchrun."""

from __future__ import annotations

import sys

from s2m_edge.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
