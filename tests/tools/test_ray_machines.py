"""An archive on two machines of a cluster, one of which is lost in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

import ray_machines
from networks import plain_u_net
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


def _archive(folder: Path, images: list[Path], count: int) -> Path:
    """A list of so many copies of real pictures."""
    (folder / "pictures").mkdir(parents=True)
    names = [f"pictures/{index}{images[index % len(images)].suffix}" for index in range(count)]
    for index, name in enumerate(names):
        (folder / name).write_bytes(images[index % len(images)].read_bytes())
    listed = folder / "list.csv"
    listed.write_text("path\n" + "".join(f"{name}\n" for name in names))
    return listed


@pytest.mark.slow
def test_what_a_lost_machine_was_given_is_done_by_the_other_and_every_byte_is_the_same(
    polyp_images: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("ray", reason="Ray Data is not installed: pip install s2m-edge[archive]")
    why_not = ray_machines.why_not()
    if why_not:
        pytest.skip(f"no machines with a network of their own: {why_not}")
    network, spec = plain_u_net(96, 64)
    bundle = tmp_path / "bundle"
    export_bundle(find_target("onnx"), network, spec, precision="float32", images=polyp_images[:1], out=bundle)
    listed = _archive(tmp_path / "archive", polyp_images[:4], 240)
    out = tmp_path / "out"
    assert ray_machines.main([str(bundle), str(listed), str(out), "--lose"]) == 0
    printed = capfd.readouterr().out
    assert "240 done, 0 skipped (done before), 0 failed" in printed
    assert "0 files differ" in printed
    done = ray_machines.shares(out / "ray")
    assert done.total() == 240
    assert min(done["machine-1"], done["machine-2"]) > 0
    assert len(list((out / "ray").rglob("*-mask.png"))) == 240


def test_a_file_that_differs_and_one_that_is_missing_are_named(tmp_path: Path):
    for name, texts in (("one", {"a": "1", "b": "2", "ledger.jsonl": "3"}), ("other", {"a": "1", "c": "2", "b": "4"})):
        (tmp_path / name).mkdir()
        for file, text in texts.items():
            (tmp_path / name / file).write_text(text)
    assert ray_machines.differing(tmp_path / "one", tmp_path / "other") == ["b", "c"]


def test_items_are_counted_by_the_machine_that_did_them(tmp_path: Path):
    lines = ['{"status":"done","machine":"a"}', '{"status":"failed","machine":"a"}', '{"status":"done","machine":"b"}']
    (tmp_path / "ledger.jsonl").write_text("\n".join([*lines, '{"status":"done","mach']))
    assert ray_machines.shares(tmp_path) == {"a": 1, "b": 1}
