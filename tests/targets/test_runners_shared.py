"""What every runner promises to those who share it: each answer is its own picture's, whoever else asks meanwhile."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from networks import plain_u_net
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.devices import usable_cores
from s2m_edge.errors import ImageError, LoweringError
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.targets.base import Runner
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import load_bundle
from s2m_edge.targets.registry import TARGETS, Target, find_target
from shared_runners import answers_of, bound_threads_of, on_threads, remember_gate

THREADS, CALLS = 8, 40
SLOW = {"coreai": (4, 4)}
"""Threads and calls of each, of the target whose interpreter takes a fifth of a second a call."""

PROCESSES = 8
FEWER = dict.fromkeys(("executorch", "coreml", "coreai"), 3)
"""Processes of the targets whose runtimes import PyTorch, which takes seconds in each."""

SAME, OTHER = 1e-5, 1e-1
"""Probability errors: what a runtime's sums differ by on another number of threads; what two pictures' answers do."""

EACH = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
Answers = list[NDArray[np.float32]]


@pytest.fixture(scope="module")
def paths(polyp_images: list[Path]) -> list[Path]:
    return polyp_images[:THREADS]


@pytest.fixture(scope="module")
def pictures(paths: list[Path]) -> list[NDArray[np.uint8]]:
    """Real pictures of the small network's size, one for each thread."""
    preprocessing = plain_u_net(96, 64)[1].preprocessing
    return [fit_to_network(read_image(path), preprocessing) for path in paths]


@pytest.fixture(scope="module")
def folder_of(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Path]:
    """A target's bundle of a small network."""
    out = tmp_path_factory.mktemp("shared")
    network, spec = plain_u_net(96, 64)

    @cache
    def get(target: Target) -> Path:
        folder = out / target.name
        export_bundle(target, network, spec, precision="float32", images=paths[:1], out=folder)
        return folder

    return get


@pytest.fixture(scope="module")
def alone(folder_of, pictures) -> Callable[[Target], Answers]:
    """A target's answers, asked one after the other of a runner that nobody shares."""

    @cache
    def get(target: Target) -> Answers:
        answers = answers_alone(folder_of(target), pictures)
        for number, one in enumerate(answers):
            assert all(np.abs(one - other).max() > OTHER for other in answers[:number]), "nothing would tell them apart"
        return answers

    return get


@pytest.fixture(scope="module")
def processes() -> Iterator[Callable[[int], Pool]]:
    """So many processes, which import a runtime once for all tests."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as pools:
        yield cache(lambda count: pools.enter_context(context.Pool(count, remember_gate, (context.Barrier(count),))))


def answers_alone(folder: Path, pictures: list[NDArray[np.uint8]]) -> Answers:
    runner = open_runner(open_bundle(folder))
    return [runner.predict(picture) for picture in pictures]


def assert_each_has_its_own(
    runner: Runner, pictures: list[NDArray[np.uint8]], expected: Answers, threads: int = THREADS, calls: int = CALLS
) -> None:
    """Every thread asks in an order of its own, and keeps the answers until all are done."""
    orders = [np.random.default_rng(number).permutation(calls) % len(pictures) for number in range(threads)]
    kept = on_threads(threads, lambda number: [runner.predict(pictures[index]) for index in orders[number]])
    wrong = sum(
        not np.abs(answer - expected[index]).max() <= SAME
        for order, answers in zip(orders, kept, strict=True)
        for index, answer in zip(order, answers, strict=True)
    )
    assert wrong == 0, f"{wrong} of {threads * calls} answers are not their own picture's"


@pytest.mark.parametrize(
    ("target", "threads"),
    [
        pytest.param(target, threads, id=f"{target.name}-{'default' if threads is None else threads}")
        for target in TARGETS
        for threads in (None, 1)
        # ExecuTorch's number is the process's, and other tests may hold a runner; Core AI takes no number.
        if threads is None or target.name not in ("executorch", "coreai")
    ],
)
def test_threads_that_share_a_runner_get_their_own_pictures_answers(target, threads, folder_of, pictures, alone):
    runner = open_runner(open_bundle(folder_of(target)), threads)
    assert_each_has_its_own(runner, pictures, alone(target), *SLOW.get(target.name, (THREADS, CALLS)))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say which cores a thread is on")
@pytest.mark.skipif(usable_cores() < 2, reason="there is one core")
@EACH
def test_a_runner_of_some_threads_is_bound_to_no_core(target: Target, folder_of, pictures, processes):
    """Processes that each have a share of the cores would be bound to the same ones.

    In a process that opens such runners alone: in this one other tests' runners have bound threads of their own.
    """
    assert processes(1).apply(bound_threads_of, (folder_of(target), pictures[0])) == set()


@pytest.mark.skipif(find_compiler() is None or find_cmake() is None, reason="no compiler or no CMake for the kernels")
@pytest.mark.parametrize("name", ["executorch", "openvino", "onnx"])
def test_the_native_kernels_keep_pictures_apart_too(name, exported, polyp_images, monkeypatch):
    monkeypatch.setenv("S2M_EDGE_ONNX_KERNEL", "1")
    bundle = open_bundle(exported(find_target(name), "float32", "custom").folder)
    preprocessing = bundle.contract.preprocessing
    pictures = [fit_to_network(read_image(path), preprocessing) for path in polyp_images[:3]]
    assert_each_has_its_own(open_runner(bundle), pictures, answers_alone(bundle.folder, pictures))


@EACH
def test_an_answer_is_its_owners(target, folder_of, pictures, alone):
    runner, expected = open_runner(open_bundle(folder_of(target))), alone(target)
    first = runner.predict(pictures[0])
    kept = first.copy()
    second = runner.predict(pictures[1])
    assert np.array_equal(first, kept), "a later call changed it"
    assert not np.shares_memory(first, second)
    assert (first.dtype, first.flags.c_contiguous, first.flags.writeable) == (np.float32, True, True)
    first[:] = second[:] = np.nan
    np.testing.assert_allclose(runner.predict(pictures[0]), expected[0], rtol=0, atol=SAME)


@EACH
def test_a_call_that_fails_in_the_runtime_leaves_the_others_right(target, folder_of, pictures, alone, monkeypatch):
    runner, expected = open_runner(open_bundle(folder_of(target))), alone(target)
    honest, poison = runner._predict, np.full_like(pictures[0], 255)

    def sometimes(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        return honest(fitted[:40] if fitted.min() == 255 else fitted)

    monkeypatch.setattr(runner, "_predict", sometimes)

    threads, calls = SLOW.get(target.name, (THREADS, 10))

    def work(number: int) -> None:
        for index in range(calls):
            if (number + index) % 2:
                with pytest.raises((LoweringError, ImageError)) as caught:
                    runner.predict(poison)
                assert "\n" not in str(caught.value)
            chosen = (number + index) % len(pictures)
            np.testing.assert_allclose(runner.predict(pictures[chosen]), expected[chosen], rtol=0, atol=SAME)

    on_threads(threads, work)


@EACH
def test_another_kind_of_picture_is_refused_in_one_line_and_another_layout_is_not(
    target, folder_of, pictures, alone, recwarn
):
    runner, fitted, expected = open_runner(open_bundle(folder_of(target))), pictures[0], alone(target)[0]
    wrong = (
        fitted[:64],
        fitted[..., :1],
        fitted[..., 0],
        fitted[None],
        fitted.transpose(2, 0, 1),
        fitted.transpose(1, 0, 2),
        fitted.astype(np.float32),
        fitted.astype(np.int8),
        fitted > 128,
    )
    for picture in wrong:
        with pytest.raises(ImageError, match=r"^the picture is .*, not uint8 \(96, 64, 3\)\. [^\n]*$"):
            runner.predict(picture)
    for stranger in (fitted.tolist(), None):
        with pytest.raises(ImageError, match=r"^the picture is a \w+, not a numpy array\. [^\n]*$"):
            runner.predict(stranger)  # type: ignore[arg-type]
    fixed = fitted.copy()
    fixed.setflags(write=False)
    wide = np.zeros((192, 64, 6), np.uint8)
    wide[::2, :, ::2] = fitted
    layouts = (fixed, np.asfortranarray(fitted), fitted[:, ::-1].copy()[:, ::-1], wide[::2, :, ::2])
    for picture in layouts:
        np.testing.assert_allclose(runner.predict(picture), expected, rtol=0, atol=SAME)
        assert np.array_equal(picture, fitted), "it was written to"
    assert [str(warning.message) for warning in recwarn if "writable" in str(warning.message)] == []


@EACH
def test_processes_that_open_the_same_bundle_are_each_right(target, folder_of, pictures, alone, processes):
    expected, folder = alone(target), folder_of(target)
    count = FEWER.get(target.name, PROCESSES)
    asked = [[number, (number + 1) % len(pictures)] for number in range(count)]
    found = processes(count).starmap(
        answers_of, [(folder, [pictures[index] for index in indices]) for indices in asked], chunksize=1
    )
    for indices, answers in zip(asked, found, strict=True):
        for index, answer in zip(indices, answers, strict=True):
            np.testing.assert_allclose(answer, expected[index], rtol=0, atol=SAME)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_is_told_to_open_its_own(folder_of, pictures):
    runner = open_runner(open_bundle(folder_of(find_target("onnx"))))
    runner.predict(pictures[0])
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # it must not wait for threads that it does not have
        try:
            runner.predict(pictures[0])
        except LoweringError as error:
            os._exit(0 if "another process" in str(error) else 1)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@EACH
def test_a_loaded_bundle_may_be_shared_by_threads(target, folder_of, paths):
    loaded, paths = load_bundle(folder_of(target)), paths[: SLOW.get(target.name, (THREADS,))[0]]
    expected = [loaded.predict(path) for path in paths]
    assert len({found.labels.tobytes() for found in expected}) == len(paths)
    filters = list(warnings.filters)

    def work(number: int) -> None:
        for image in (paths[number], expected[number].image):
            found = loaded.predict(image)
            assert np.array_equal(found.labels, expected[number].labels)
            assert found.areas == expected[number].areas

    on_threads(len(paths), work)
    assert warnings.filters == filters, "reading pictures silenced the process's warnings"


def test_threads_may_open_bundles_at_once_and_leave_the_process_as_it_was(folder_of, pictures, alone):
    def state() -> tuple[object, ...]:
        error = os.fstat(2)
        return error.st_dev, error.st_ino, sys.stdout, sys.stderr, logging.root.manager.disable, list(warnings.filters)

    for target in TARGETS:
        alone(target)  # exported, and its runtime imported
    before = state()

    def work(number: int) -> None:
        for step in range(len(TARGETS)):
            target = TARGETS[(number + step) % len(TARGETS)]
            found = open_runner(open_bundle(folder_of(target))).predict(pictures[number])
            np.testing.assert_allclose(found, alone(target)[number], rtol=0, atol=SAME)

    on_threads(len(TARGETS), work)
    assert state() == before
