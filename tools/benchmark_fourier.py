"""`python tools/benchmark_fourier.py`: a filter of the spectrum by torch.fft, as ONNX Runtime computes it.

Once with ONNX's own DFT and complex products, as PyTorch translates them, and once in real numbers, as s2m-edge lowers
it; beside them PyTorch's FFT. Each round runs all three one after the other; medians in milliseconds.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

ERROR_BOUND = 1e-5  # of the largest value: what float32 and another order of summation may differ by
FORMS = ("torch.fft", "ONNX's DFT", "matrices")


def main(arguments: list[str]) -> int:
    """Prints the table; returns 1 where the matrices compute something else."""
    parser = argparse.ArgumentParser(description="A filter of the spectrum on ONNX Runtime, in two forms.")
    parser.add_argument("--size", type=int, nargs="+", default=[32, 96, 176, 352], help="height and width in pixels")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args(arguments)

    import numpy as np
    import torch
    from torch import Tensor, nn

    from s2m_edge.processor import features_text, processor_name
    from s2m_edge.targets.onnx.backend import import_onnxruntime
    from s2m_edge.targets.quiet import quiet_backend
    from s2m_edge.targets.rewrites.complex_numbers import in_real_numbers
    from s2m_edge.train.interleaved import median_milliseconds

    class Filter(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.gains = nn.Parameter(torch.randn(options.channels, side, side // 2 + 1, 2))

        def forward(self, x: Tensor) -> Tensor:
            spectrum = torch.fft.rfft2(x, norm="ortho") * torch.view_as_complex(self.gains)
            return torch.fft.irfft2(spectrum, s=x.shape[-2:], norm="ortho")

    onnxruntime = import_onnxruntime()
    torch.set_num_threads(1)
    print(f"{processor_name()}: {features_text()}")
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, one thread, {options.channels} channels")
    print(f"{'size':12}" + "".join(f"{form:>13}" for form in FORMS) + "   matrices faster  off, of the largest value")
    torch.manual_seed(0)
    for side in options.size:
        network, x = Filter(side).eval(), torch.rand(1, options.channels, side, side)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        sessions = []
        for rewritten in (False, True):
            with quiet_backend(), torch.no_grad():
                form = in_real_numbers(network, x) if rewritten else network
                program = torch.onnx.export(form, (x,), dynamo=True, input_names=["x"], verbose=False)
            assert program is not None
            content = program.model_proto.SerializeToString()
            sessions.append(onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"]))
        with torch.no_grad():
            expected = network(x).numpy()
        feed = {"x": x.numpy()}
        errors = [
            float(np.abs(session.run(None, feed)[0] - expected).max() / np.abs(expected).max()) for session in sessions
        ]
        if errors[1] > ERROR_BOUND:
            print(f"error: the matrices are {errors[1]:.1e} off at {side} x {side}", file=sys.stderr)
            return 1
        with torch.no_grad():
            medians = median_milliseconds(
                {
                    FORMS[0]: partial(network, x),
                    FORMS[1]: partial(sessions[0].run, None, feed),
                    FORMS[2]: partial(sessions[1].run, None, feed),
                },
                rounds=options.rounds,
            )
        ratios = ", ".join(f"{medians[form] / medians[FORMS[2]]:.2f}" for form in FORMS[:2])
        print(
            f"{f'{side} x {side}':12}"
            + "".join(f"{medians[form]:13.3f}" for form in FORMS)
            + f"   {ratios:16}"
            + "  ".join(f"{error:.1e}" for error in errors)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
