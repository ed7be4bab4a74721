"""Native libraries are built once, kept by what they depend on, and their lack is said in one line with a way out."""

from __future__ import annotations

import ctypes
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from s2m_edge import native
from s2m_edge.errors import NativeBuildError
from s2m_edge.native import NativeLibrary, build_library, find_library, library_key, require_buildable

needs_compiler = pytest.mark.skipif(
    native.find_compiler() is None or native.find_cmake() is None, reason="no C++ compiler or no CMake here"
)

CMAKE = """cmake_minimum_required(VERSION 3.18)
project(answer LANGUAGES CXX)
add_library(answer SHARED answer.cpp)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NativeLibrary:
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("S2M_EDGE_PREBUILT", raising=False)
    source = tmp_path / "source"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(CMAKE)
    (source / "answer.cpp").write_text('extern "C" int answer() { return 42; }\n')
    return NativeLibrary("answer", source, {"torch": "1"})


@needs_compiler
def test_a_library_is_built_once_and_found_again(library: NativeLibrary, monkeypatch: pytest.MonkeyPatch):
    assert find_library(library) is None
    built = build_library(library)
    assert ctypes.CDLL(str(built)).answer() == 42
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    assert build_library(library) == built == find_library(library)
    left = [path.name for path in built.parent.parent.iterdir()]
    assert left == [built.parent.name], "the build's own files stay behind"


@needs_compiler
def test_a_prebuilt_library_is_taken_without_a_compiler(
    library: NativeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built = build_library(library)
    prebuilt = tmp_path / "prebuilt"
    prebuilt.mkdir()
    built.parent.rename(prebuilt / built.parent.name)
    monkeypatch.setenv("S2M_EDGE_PREBUILT", str(prebuilt))
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    assert build_library(library) == prebuilt / built.parent.name / library.file_name


def test_whatever_a_library_depends_on_changes_its_key(library: NativeLibrary, tmp_path: Path):
    key = library_key(library)
    assert library_key(replace(library, versions={"torch": "2"})) != key
    more = tmp_path / "more"
    more.mkdir()
    (more / "extra.hpp").write_text("// more\n")
    assert library_key(replace(library, includes=(more,))) != key
    (library.source / "answer.cpp").write_text('extern "C" int answer() { return 43; }\n')
    assert library_key(library) != key


@pytest.mark.parametrize("lacking", ["find_compiler", "find_cmake"])
def test_without_tools_the_way_out_is_named(library: NativeLibrary, lacking: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, lacking, lambda: None)
    with pytest.raises(NativeBuildError, match=r"there is no .* here\. .*--spectral matmul") as caught:
        build_library(library)
    assert "\n" not in str(caught.value)


@needs_compiler
def test_a_failing_build_names_its_first_error_and_leaves_nothing(library: NativeLibrary):
    (library.source / "answer.cpp").write_text("int answer() { return nothing_of_that_name; }\n")
    with pytest.raises(NativeBuildError, match="nothing_of_that_name") as caught:
        build_library(library)
    assert "\n" not in str(caught.value)
    assert not list((native.cache_folder() / "native").iterdir())


@needs_compiler
def test_a_cache_that_cannot_be_written_is_named_and_no_compiler_asked_for(
    library: NativeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "file" / "cache"))
    for refused in (require_buildable, build_library):
        with pytest.raises(NativeBuildError, match=r"cannot be written.*S2M_EDGE_CACHE") as caught:
            refused(library)
        assert "compiler" not in str(caught.value)
        assert "--out" not in str(caught.value)


@needs_compiler
def test_a_full_cache_is_named_and_no_compiler_asked_for(library: NativeLibrary):
    """A limit on the size of files stands for a full disk: the compiler's own words are of another kind each time."""
    native.cache_folder().mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        for refused in (require_buildable, build_library):
            with pytest.raises(NativeBuildError, match=r"takes no more \(File too large\).*S2M_EDGE_CACHE") as caught:
                refused(library)
            assert "compiler" not in caught.value.remedy
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@needs_compiler
def test_training_goes_on_without_its_kernel_where_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from s2m_edge.train.kernels import lacking, native

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("S2M_EDGE_PREBUILT", raising=False)
    monkeypatch.delenv(native.SWITCH, raising=False)
    monkeypatch.setattr(native, "_loaded", native._Loaded())
    assert "S2M_EDGE_CACHE" in lacking()
    with pytest.raises(NativeBuildError):  # what `run_trainer` passes over
        native.enable()
