"""Nothing half-written stays behind, nothing that was there is lost, and a failure names its own cause."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s2m_edge import files
from s2m_edge.errors import InputError, OutputError
from s2m_edge.files import (
    FolderKind,
    exactly,
    foreign_file,
    output_error,
    publish_folder,
    require_replaceable,
    require_writable,
    staged_folder,
    write_bytes,
    writing_failure,
)

KIND = FolderKind("a test's folder", lambda folder: ["old", "new", "part/*"])


@pytest.fixture(params=["exchange", "two renames"])
def any_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that exchanges two folders in one step, and one that cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(files, "exchange", lambda first, second: False)


def folder_with(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


def publish(final: Path, *names: str) -> None:
    with staged_folder(final, KIND) as stage:
        folder_with(stage, *names)
        publish_folder(stage, final, KIND)


@pytest.mark.usefixtures("any_system")
def test_a_published_folder_replaces_the_old_one(tmp_path: Path):
    final = folder_with(tmp_path / "bundle", "old")
    with staged_folder(final, KIND) as stage:
        (stage / "new").write_text("new")
        assert (final / "old").exists()
        publish_folder(stage, final, KIND)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.usefixtures("any_system")
@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_a_failure_leaves_the_old_folder_and_no_stage(tmp_path: Path, failure):
    final = folder_with(tmp_path / "bundle", "old")
    with pytest.raises(failure), staged_folder(final, KIND) as stage:  # noqa: PT012 - the failure comes in the middle
        (stage / "half").write_text("half")
        raise failure
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (final / "old").exists()


@pytest.mark.parametrize("moment", [1, 2])
def test_an_interrupt_after_either_of_the_two_renames_leaves_a_whole_folder(tmp_path: Path, moment: int, monkeypatch):
    final = folder_with(tmp_path / "bundle", "old")
    monkeypatch.setattr(files, "exchange", lambda first, second: False)
    honest, calls = Path.rename, []

    def interrupted(self: Path, target: Path) -> Path:
        done = honest(self, target)
        calls.append(target)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(final, "new")
    assert [path.name for path in final.iterdir()] == [{1: "old", 2: "new"}[moment]]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path):
    real = folder_with(tmp_path / "disk" / "real", "old")
    link = tmp_path / "bundle"
    link.symlink_to(real)
    publish(link, "new")
    assert link.is_symlink()
    assert [path.name for path in real.iterdir()] == ["new"]
    assert [path.name for path in real.parent.iterdir()] == ["real"]


@pytest.mark.parametrize("foreign", ["notes.txt", "part/../weights.pt", "deep/down/thesis.tex", ".hidden"])
def test_a_folder_with_a_foreign_file_is_refused_and_keeps_it(tmp_path: Path, foreign: str):
    final = folder_with(tmp_path / "bundle", "old", "part/one", foreign)
    name = os.path.normpath(foreign)
    with pytest.raises(OutputError, match=rf"is not a test's folder alone: it holds {name}.*Move that file"):
        publish(final, "new")
    assert (final / "old").is_file()
    assert (final / foreign).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_foreign_file_that_comes_while_the_new_folder_is_made_is_kept(tmp_path: Path):
    final = folder_with(tmp_path / "bundle", "old")
    with pytest.raises(OutputError, match=r"notes\.txt"), staged_folder(final, KIND) as stage:  # noqa: PT012
        folder_with(stage, "new")
        folder_with(final, "notes.txt")
        publish_folder(stage, final, KIND)
    assert sorted(path.name for path in final.iterdir()) == ["notes.txt", "old"]


def test_what_a_file_manager_leaves_and_empty_folders_are_nobodys(tmp_path: Path):
    final = folder_with(tmp_path / "bundle", "old", ".DS_Store", "part/Thumbs.db")
    (final / "empty").mkdir()
    publish(final, "new")
    assert [path.name for path in final.iterdir()] == ["new"]


def test_a_link_in_a_folder_is_a_file_and_a_name_is_no_pattern(tmp_path: Path):
    folder = folder_with(tmp_path / "folder", "a[1].txt", "a1.txt")
    assert foreign_file(folder, FolderKind("one", lambda _: [exactly("a[1].txt")])) == "a1.txt"
    (folder / "data").symlink_to(tmp_path, target_is_directory=True)
    assert foreign_file(folder, FolderKind("two", lambda _: ["a*"])) == "data"


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(OutputError, match="is not a test's folder"):
        require_replaceable(tmp_path / "bundle", KIND)
    require_replaceable(tmp_path / "nothing", KIND)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], ids=oct)
def test_everything_that_is_written_has_the_permissions_that_the_umask_says(tmp_path: Path, umask: int):
    final = tmp_path / "deep" / "bundle"
    before = os.umask(umask)
    try:
        with staged_folder(final, FolderKind("any", lambda _: ["*"])) as stage:
            folder_with(stage, "plain", "package/private", "package/open", "package/program")
            (stage / "package" / "private").chmod(0o600)  # as mkstemp makes them
            (stage / "package" / "open").chmod(0o666)
            (stage / "package" / "program").chmod(0o700)
            (stage / "package").chmod(0o700)
            write_bytes(stage / "written", b"x")
            publish_folder(stage, final, KIND)
        write_bytes(tmp_path / "more" / "file", b"x")
    finally:
        os.umask(before)
    for path in (*final.parent.rglob("*"), final.parent, tmp_path / "more", tmp_path / "more" / "file"):
        base = 0o777 if path.is_dir() or path.name == "program" else 0o666
        assert path.stat().st_mode & 0o777 == base & ~umask, path


def test_a_full_disk_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match="disk is full"), staged_folder(tmp_path / "bundle", KIND):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in str(output_error(tmp_path, OSError(errno.ENOSPC, "x")))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_where_a_whole_folder_is_copied(tmp_path: Path):
    """shutil.copytree gathers its failures in tuples of texts."""
    full = [("source/a", "target/a", f"[Errno {errno.ENOSPC}] No space left on device: 'source/a' -> 'target/a'")]
    with (
        pytest.raises(OutputError, match=r"^the disk is full while writing \S+\. Make room") as caught,
        staged_folder(tmp_path / "bundle", KIND) as stage,
    ):
        raise shutil.Error([(source, str(stage / "a"), reason) for source, _, reason in full])
    assert "\n" not in str(caught.value)


def test_a_full_folder_for_temporary_files_is_not_taken_for_the_output(tmp_path: Path):
    with pytest.raises(OutputError, match=r"full while writing /elsewhere/weights\.bin.*TMPDIR"):  # noqa: SIM117
        with staged_folder(tmp_path / "bundle", KIND):
            raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/weights.bin")


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        require_writable(tmp_path / "file" / "exports")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "x.png", b"x")
    with pytest.raises(OutputError, match="cannot be written"), staged_folder(tmp_path / "file" / "bundle", KIND):
        pass


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copytree, lambda source, _: Path(source).read_bytes()])
def test_a_missing_file_elsewhere_is_named_and_not_the_output(tmp_path: Path, copy):
    missing = tmp_path / "libraries" / "libexecutorch.so"
    with pytest.raises(InputError) as caught, staged_folder(tmp_path / "board" / "out", KIND) as stage:
        copy(missing, stage / "lib")
    assert str(caught.value).startswith(f"{missing} cannot be read (No such file or directory).")
    assert "--out" not in str(caught.value)


def test_a_library_that_the_loader_does_not_find_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"libnothing\.so.*doctor"), staged_folder(tmp_path / "bundle", KIND):
        raise OSError("libnothing.so: cannot open shared object file: No such file or directory")


def test_a_stranger_that_hides_a_refusal_to_write_is_seen_through(tmp_path: Path):
    """Native code says that a stream failed; the system says why. A limit on file sizes stands for a full disk."""
    hidden = RuntimeError("basic_ios::clear: iostream error")
    assert writing_failure(hidden, tmp_path, 1000) is None
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        found = writing_failure(hidden, tmp_path, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found is not None
    assert found.errno == errno.EFBIG
    chained = RuntimeError("could not save")
    chained.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert writing_failure(chained, tmp_path, 1000) is chained.__cause__
    assert writing_failure(OSError(errno.ENOENT, "No such file", "/elsewhere"), tmp_path, 1000) is None


def test_a_file_is_replaced_or_left_as_it_was(tmp_path: Path, monkeypatch):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_of_its_own_is_named(tmp_path: Path):
    """A real one, of one mebibyte, where this process may mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own takes Linux and the right to mount one")
    try:
        final = folder_with(disk / "bundle", "old")
        with pytest.raises(OutputError, match=rf"the disk is full while writing {final}"):  # noqa: SIM117
            with staged_folder(final, KIND) as stage:
                (stage / "new").write_bytes(bytes(2**21))
        assert [path.name for path in disk.iterdir()] == ["bundle"]
        assert (final / "old").read_text() == "old"
        with pytest.raises(OutputError, match="the disk is full"):
            write_bytes(disk / "file", bytes(2**21))
        assert [path.name for path in disk.iterdir()] == ["bundle"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
