"""The Metal kernel's body, compiled as C++ through a shim, computes the definition; a GPU is not seen.

Each thread of a threadgroup is a thread of the system here, barriers are barriers, and every index is checked, so that
arithmetic, indexing and synchronisation are those of the source. Metal's compiler and an Apple GPU take no part.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from s2m_edge.native import KERNEL_FOLDER, find_compiler
from s2m_edge.network.spectral import reference_spectral_filter
from s2m_edge.network.spectral.dft import dft_basis
from s2m_edge.network.spectral.reference import crop_filter
from s2m_edge.targets.coreai.metal import THREADS, kernel_body
from s2m_edge.targets.coreai.spectral import filter_by_matrices, half_gains

SHIM = Path(__file__).with_name("metal_shim.cpp")
# Encoder stages of the network at 352: channels, height = width, kept frequencies.
STAGES = [(24, 176, 32), (32, 88, 32), (64, 44, 32), (80, 22, 22), (128, 11, 11)]
ODD_SHAPES = [
    ((1, 1, 1, 1), (1, 1)),
    ((2, 2, 1, 9), (4, 4)),
    ((1, 2, 7, 1), (32, 32)),
    ((2, 2, 3, 5), (8, 2)),
    ((1, 2, 33, 66), (32, 5)),
    ((1, 1, 32, 64), (31, 32)),
    ((1, 1, 17, 15), (32, 32)),
]
Run = Callable[[Tensor, Tensor], Tensor]


def build(folder: Path, storage: str, *options: str) -> Path:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler here")
    body, program = folder / "body.inc", folder / "shim"
    body.write_text(kernel_body())
    command = [compiler, "-std=c++23", "-pthread", f'-DBODY="{body}"', f"-DSTORAGE={storage}", *options]
    command += [f"-DKERNEL_THREADS={THREADS}", f"-I{KERNEL_FOLDER}", str(SHIM), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and any(word in built.stderr for word in ("c++23", "tsan", "sanitize")):
        pytest.skip(f"this compiler cannot build the shim: {built.stderr.strip().splitlines()[0]}")
    assert built.returncode == 0, built.stderr
    return program


def run_shim(program: Path, x: Tensor, weight: Tensor) -> Tensor:
    """The kernel's answer to x, B x C x H x W, and a filter C x K1 x K2."""
    batch, channels, height, width = x.shape
    kept = crop_filter(weight.double(), height, width)
    direct, crossed = half_gains(kept)
    constants = [dft_basis(height, kept.shape[-2]), dft_basis(width, kept.shape[-1]), direct, crossed]
    given, answer = program.with_name("in"), program.with_name("out")
    arrays = [tensor.float().contiguous().numpy().tobytes() for tensor in (x, *constants)]
    given.write_bytes(struct.pack("6i", batch, channels, height, width, *direct.shape[-2:]) + b"".join(arrays))
    done = subprocess.run([program, given, answer], capture_output=True, text=True, check=False, timeout=120)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this system's address-space layout is not one that the thread sanitizer takes")
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.from_numpy(np.fromfile(answer, dtype=np.float32)).view(x.shape)


def worst_error(found: Tensor, x: Tensor, weight: Tensor) -> float:
    expected = reference_spectral_filter(x.double(), weight.double())
    return ((found.double() - expected).abs().max() / expected.abs().max().clamp(min=1)).item()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Run:
    program = build(tmp_path_factory.mktemp("shim"), "float", "-O2")
    return lambda x, weight: run_shim(program, x, weight)


@pytest.mark.parametrize(("channels", "size", "kept"), STAGES)
def test_it_computes_the_definition_at_every_stage(shim: Run, channels: int, size: int, kept: int):
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(1, channels, size, size, generator=generator)
    weight = torch.randn(channels, kept, kept, generator=generator)
    assert worst_error(shim(x, weight), x, weight) < 1e-6


@pytest.mark.parametrize(("shape", "filter_shape"), ODD_SHAPES)
def test_it_computes_the_definition_at_the_edges_of_what_shapes_there_are(shim: Run, shape, filter_shape):
    x, weight = torch.randn(shape), torch.randn(shape[1], *filter_shape)
    assert worst_error(shim(x, weight), x, weight) < 2e-6


def test_half_precision_is_rounded_where_it_is_stored_and_nowhere_else(tmp_path: Path):
    program = build(tmp_path, "half", "-O2")
    x, weight = torch.randn(1, 4, 44, 44).half(), torch.randn(4, 32, 32)
    kept = half_gains(weight.double())
    basis = dft_basis(44, 32)
    # What is stored in half precision: the map, the basis, the gains; and the answer.
    rounded = [tensor.half().double() for tensor in (x, basis, basis, *kept)]
    exact = filter_by_matrices(*rounded)
    found = run_shim(program, x, weight)
    assert (found.double() - exact).abs().max() <= exact.abs().max() * 2**-11 * 1.01


def test_no_thread_reads_what_another_still_writes(tmp_path: Path):
    """Under the thread sanitizer, a barrier too few is a data race."""
    program = build(tmp_path, "float", "-O1", "-g", "-fsanitize=thread")
    for size, kept in [(70, 32), (33, 9)]:  # several tiles of rows and chunks of samples; odd
        x, weight = torch.randn(1, 2, size, size), torch.randn(2, kept, kept)
        assert worst_error(run_shim(program, x, weight), x, weight) < 2e-6
