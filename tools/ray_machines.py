"""Works on an archive with Ray on two machines, one of which may be lost meanwhile, and compares with this one alone.

    sudo python tools/ray_machines.py BUNDLE MANIFEST OUT [--lose] [--seconds 300]

The machines are Linux's: each has processes, a network, a host name, shared memory and a temporary folder of Ray of
its own, and a cable to the other one; bundle, pictures and OUT are under the same paths on both, as on a network drive.
With --lose the second is switched off once it has worked on an item and a third of the list is done. Needs root,
`unshare` and `nsenter` (util-linux) and `ip` (iproute2). Prints how many items each machine did; exits with 1 where a
file differs from what the processes of this machine write, or where a machine had no part in it.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"unshare": "util-linux", "nsenter": "util-linux", "mount": "mount", "ip": "iproute2"}
APART = ("--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--propagation", "private", "--kill-child")
PORT = 6379
OBJECT_STORE = 100 * 2**20
LONGEST_WAIT = 300.0
IMPATIENT = {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "1000"}
"""A machine's silence is noticed within seconds; by Ray's own settings it took a minute."""


@dataclass(frozen=True)
class Machine:
    """One of the two.

    Attributes:
        held: the process that ends it, and all that runs on it, when it is killed.
        inside: its first process, by the number that it has outside.
        network: an open file that keeps its network: without one the cable would vanish, the other machine's end too.
    """

    name: str
    address: str
    held: subprocess.Popen[bytes]
    inside: int
    network: int

    @property
    def end(self) -> str:
        """Its end of the cable."""
        return f"s2m{self.inside}"

    def command(self, *command: str | Path) -> list[str]:
        """A command line that runs there."""
        enter = ("--target", str(self.inside), "--net", "--mount", "--uts", "--pid", f"--wd={ROOT}")
        return ["nsenter", *enter, "--", *map(str, command)]

    def run(self, *command: str | Path) -> str:
        """What a command prints there; SystemExit with its last line if it fails."""
        return _run(self.command(*command))

    def switch_off(self) -> None:
        """Every process on it is gone at once, and none has said goodbye to the other machine."""
        if self.held.poll() is None:
            self.run("ip", "link", "set", self.end, "down")
        self.held.send_signal(signal.SIGKILL)
        self.held.wait()


def why_not() -> str:
    """Why no such machines can be had here; empty if they can."""
    missing = [f"{name} (Debian: {package})" for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        return f"missing: {', '.join(missing)}"
    cable = f"s2m{os.getpid()}"
    trials = (
        ["unshare", *APART, "sh", "-c", "hostname trial && mount -t tmpfs tmpfs /dev/shm"],
        ["ip", "link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b"],
        ["ip", "link", "delete", f"{cable}a"],
    )
    for trial in trials:
        tried = subprocess.run(trial, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"the system lets nobody make them here ({_last(tried.stderr)})"
    return ""


@contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines with a cable between them, within. `folder` is where each keeps what is its own."""
    shared = folder / "session"  # one path, another folder on each machine
    shared.mkdir(parents=True)
    with ExitStack() as stack:
        found = []
        for number in (1, 2):
            own = folder / f"machine-{number}"
            own.mkdir()
            machine = _started(f"machine-{number}", f"10.77.0.{number}", own, shared)
            stack.callback(os.close, machine.network)
            stack.callback(machine.switch_off)
            found.append(machine)
        first, second = found
        _run(["ip", "link", "add", first.end, "type", "veth", "peer", "name", second.end])
        for machine in found:
            _run(["ip", "link", "set", machine.end, "netns", str(machine.inside)])
            up = (f"addr add {machine.address}/24 dev {machine.end}", f"link set {machine.end} up", "link set lo up")
            for line in up:
                machine.run("ip", *line.split())
        yield first, second


def _started(name: str, address: str, own: Path, shared: Path) -> Machine:
    prepare = f"hostname {name} && mount -t tmpfs tmpfs /dev/shm && mount --bind '{own}' '{shared}' && echo up"
    script = f"{prepare} && exec sleep infinity"
    held = subprocess.Popen(["unshare", *APART, "sh", "-c", script], stdout=subprocess.PIPE)
    assert held.stdout is not None
    if held.stdout.readline() != b"up\n":
        raise SystemExit(f"error: {name} did not come up")
    inside = int(Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split()[0])
    return Machine(name, address, held, inside, os.open(f"/proc/{inside}/ns/net", os.O_RDONLY))


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """A cluster of Ray on two machines of one processor each, within."""
    ray = Path(sys.executable).parent / "ray"
    plain = ("--num-cpus", "1", "--object-store-memory", str(OBJECT_STORE), "--disable-usage-stats")
    with two_machines(folder) as (first, second):
        head = ("--head", "--port", str(PORT), "--temp-dir", folder / "session", "--include-dashboard", "false")
        first.run(ray, "start", *head, "--node-ip-address", first.address, *plain)
        second.run(ray, "start", "--address", f"{first.address}:{PORT}", "--node-ip-address", second.address, *plain)
        yield first, second


def predict(bundle: Path, manifest: Path, out: Path, *more: str) -> list[str]:
    """The command that works on the archive, two workers of one thread each."""
    start = (sys.executable, "-m", "s2m_edge.cli.main", "predict", str(bundle), "--manifest", str(manifest))
    return [*start, "--out", str(out), "--workers", "2", "--threads", "1", *more]


def on_two_machines(bundle: Path, manifest: Path, out: Path, *, lose: bool, seconds: float = LONGEST_WAIT) -> None:
    """Work on an archive with both; SystemExit if that fails, or has not ended after so many seconds."""
    with tempfile.TemporaryDirectory(prefix="s2m-", ignore_cleanup_errors=True) as place:
        with cluster(Path(place)) as (first, second):
            ray = ("--engine", "ray", "--ray-address", f"{first.address}:{PORT}")
            running = subprocess.Popen(first.command(*predict(bundle, manifest, out, *ray)), env=_environment())
            try:
                if lose:
                    _once_it_has_worked(out, second, running, len(manifest.read_text().splitlines()) // 3, seconds)
                    second.switch_off()
                code = running.wait(seconds)
            except subprocess.TimeoutExpired:
                raise SystemExit(
                    f"error: predict had not ended after {seconds:g} s; give it more (--seconds)"
                ) from None
            finally:
                running.kill()
        if code:
            raise SystemExit(f"error: predict ended with {code}")


def _once_it_has_worked(
    out: Path, machine: Machine, running: subprocess.Popen[bytes], least: int, seconds: float
) -> None:
    end = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < end:
        done = shares(out)
        if done[machine.name] and done.total() >= least:
            return
        time.sleep(0.05)
    if running.poll() is None:
        raise SystemExit(f"error: {machine.name} had done nothing after {seconds:g} s; give it more (--seconds)")
    raise SystemExit(f"error: the list ended before {machine.name} had done anything; give a longer one")


def shares(out: Path) -> collections.Counter[str]:
    """How many items each machine did, by an archive's ledger."""
    ledger = out / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True) if ledger.is_file() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    return collections.Counter(record["machine"] for record in records if record.get("status") == "done")


def differing(one: Path, other: Path) -> list[str]:
    """Files of two archives that are not the same in both; ledgers hold times, and are left out."""
    a, b = _contents(one), _contents(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def _contents(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("ledger.jsonl", ".lock")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _environment() -> dict[str, str]:
    return {**os.environ, **IMPATIENT, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[:6])} ... failed ({_last(done.stderr or done.stdout)})")
    return done.stdout


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["without a word"])[-1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path, help="a new folder; archives come to lie in it")
    parser.add_argument("--lose", action="store_true", help="switch the second machine off in the middle")
    parser.add_argument("--seconds", type=float, default=LONGEST_WAIT, help="for the work on two machines")
    given = parser.parse_args(arguments)
    reason = why_not()
    if reason:
        print(f"not run: {reason}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True)
    bundle, manifest, out = given.bundle.resolve(), given.manifest.resolve(), given.out.resolve()
    _run(predict(bundle, manifest, out / "local"))
    on_two_machines(bundle, manifest, out / "ray", lose=given.lose, seconds=given.seconds)
    found, wrong = shares(out / "ray"), differing(out / "local", out / "ray")
    print(", ".join(f"{name}: {count} items" for name, count in sorted(found.items())), flush=True)
    print(f"{len(wrong)} files differ" + "".join(f"\n{name}" for name in wrong[:10]))
    return int(bool(wrong) or len(found) < 2)


if __name__ == "__main__":
    sys.exit(main())
