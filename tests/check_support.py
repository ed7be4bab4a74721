"""A network in a repository of its own, and as much of GitHub's runner as composite actions need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file

from networks import plain_u_net
from once import once
from pages import ROOT
from reader import NETWORKS
from s2m_edge.samples import sample_images, sample_mask
from support import write_image_folder

ACTIONS = ROOT / ".github" / "actions"
CLASS = 'a "polyp" <b>|`*_[x](y) @octocat'
SPEC = f"""
spec_version: 1
name: plain-u-net
input: {{height: 64, width: 96, channels: 3}}
classes: ['{CLASS}']
provenance: {{domain: polyp}}
"""
CONFIG = """
check_version: 1
network: my_networks.py:unet
weights: unet.safetensors
spec: spec.yaml
targets:
  onnx: [float32, float16]
"""
NAME = "plain-u-net-onnx-float32"


def write_network(folder: Path) -> None:
    """What a repository that holds a network has: `check.yaml`, and `whole.yaml` that measures accuracy too."""
    network, _ = plain_u_net(64, 96)
    save_file(network.state_dict(), folder / "unet.safetensors")
    (folder / "my_networks.py").write_text(NETWORKS, encoding="utf-8")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    write_image_folder(folder / "labelled", [(path, sample_mask(path), "test") for path in sample_images()[:2]])
    for name, more in (("check.yaml", ""), ("whole.yaml", "data: labelled\nlimit: 3\n")):
        (folder / name).write_text(CONFIG + more, encoding="utf-8")


def write_program(path: Path, text: str) -> None:
    """A program of bash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
    path.chmod(0o755)


STUB_PYTHON = f"""case "$1 $2 $3" in
  "-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    ln -s "{Path(sys.executable).parent}/s2m-edge" "$3/bin/"
    ;;
  "-m pip cache") echo /pips/cache ;;
  "-m pip install") printf '%s\\n' "$@" > "$RUNNER_TEMP/installed" ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
"""Python, but for what would fetch packages: that is written down."""


@dataclass
class Runner:
    """One job on a runner.

    Attributes:
        place: the workspace; `temporary` beside it holds what the runner keeps for itself.
        programs: folder of programs that come before the system's.
        github: of the context that expressions read.
        outputs: of steps by their id; used: what `uses:` steps were given; log: what was printed.
    """

    place: Path
    temporary: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    github: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""

    @property
    def programs(self) -> Path:
        return self.temporary / "programs"

    @property
    def summary(self) -> str:
        path = self.temporary / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run_action(self, name: str, /, **inputs: str) -> int:
        """Run the steps of a composite action in order; the code of the first that fails, after which only those with
        `if: always()` run."""
        action = yaml.safe_load((ACTIONS / name / "action.yml").read_text(encoding="utf-8"))
        given = {key: str(entry.get("default", "")) for key, entry in action["inputs"].items()}
        given |= {key.replace("_", "-"): value for key, value in inputs.items()}
        assert set(given) == set(action["inputs"]), "an input that the action does not have"
        code = 0
        for step in action["runs"]["steps"]:
            if code and step.get("if") != "always()":
                continue
            if "uses" in step:
                self.used[step["uses"].partition("@")[0]] = {
                    key: self._evaluated(str(value), given) for key, value in step.get("with", {}).items()
                }
            else:
                assert step["shell"] == "bash"
                code = self._run_step(step, name, given) or code
        return code

    def _run_step(self, step: Mapping[str, Any], action: str, given: Mapping[str, str]) -> int:
        self.temporary.mkdir(parents=True, exist_ok=True)
        output, script = self.temporary / "output", self.temporary / "step.sh"
        output.write_text("")
        script.write_text(step["run"], encoding="utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
            "PATH": os.pathsep.join((str(self.programs), os.environ["PATH"])),
            "GITHUB_ACTION_PATH": str(ACTIONS / action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary"),
            "GITHUB_REPOSITORY": "owner/networks",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "77",
            "GITHUB_WORKFLOW_REF": "owner/networks/.github/workflows/networks.yml@refs/pull/5/merge",
            "RUNNER_TEMP": str(self.temporary),
            **self.environment,
            **{key: self._evaluated(str(value), given) for key, value in step.get("env", {}).items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=580,
        )
        self.log += done.stdout + done.stderr
        if "id" in step:
            lines = [line.partition("=") for line in output.read_text().splitlines()]
            self.outputs[step["id"]] = {key: value for key, _, value in lines}
        return done.returncode

    def _evaluated(self, text: str, given: Mapping[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            first, *rest = found[1].split(".")
            if first == "inputs":
                return self._evaluated(given[rest[0]], given)
            if first == "steps":
                return self.outputs[rest[0]].get(rest[2], "")
            return {"github": self.github, "runner": {"os": "Linux", "arch": "X64"}}[first].get(".".join(rest), "")

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)


@dataclass(frozen=True)
class Checked:
    """A check by the action's own steps, of the base branch, which passes; with accuracy and a record of the CPU.

    Attributes:
        place: the repository; results: the folder of results in it.
        code: of the steps; installed: words of pip's; the rest is the runner's.
    """

    place: Path
    results: Path
    code: int
    installed: tuple[str, ...]
    outputs: Mapping[str, Mapping[str, str]]
    used: Mapping[str, Mapping[str, str]]
    summary: str
    log: str


def checked_base(factory: pytest.TempPathFactory) -> Checked:
    """Made once for all that look at it."""

    def make(place: Path) -> Checked:
        (place / "repository").mkdir(parents=True)
        write_network(place / "repository")
        runner = Runner(place / "repository", place / "runner", {"GITHUB_BASE_REF": "main"})
        write_program(runner.programs / "python", STUB_PYTHON)
        write_program(runner.programs / "gh", "exit 0\n")  # no run of the base branch
        code = runner.run_action("check", config="whole.yaml", targets="onnx", label="linux-x64", record="cpu")
        installed = (runner.temporary / "installed").read_text().split("\n")
        results = runner.place / "s2m-edge-check-results"
        return Checked(
            runner.place, results, code, tuple(installed), runner.outputs, runner.used, runner.summary, runner.log
        )

    return once(factory, "check-of-a-network", make)
