"""What packages would report of themselves stays unsaid: their telemetry is off before they are imported.

People who handle medical pictures have not agreed to it. ONNX Runtime (1.32) has it on from its import: it writes a
device number and a database under the user's cache folder and looks for its maker's server; switching it off
afterwards is too late. Nothing else that the toolkit calls asks the network for anything.
"""

from __future__ import annotations

import os

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment variables that ONNX Runtime, the Hugging Face client that some converters bring, and Ray look at."""

STATE = "off (ONNX Runtime, OpenVINO, Hugging Face Hub, Ray); pictures, masks and figures stay on this machine"


def turn_off() -> None:
    """Set the switches, for this process and those that it starts, whatever they were set to."""
    os.environ.update(SWITCHES)
