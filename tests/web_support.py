"""What the tests of the web app share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def change_contract(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write a bundle's contract again after `change` was made to its values."""
    contract = bundle / "contract.json"
    values = json.loads(contract.read_text(encoding="utf-8"))
    change(values)
    contract.write_text(json.dumps(values), encoding="utf-8")
