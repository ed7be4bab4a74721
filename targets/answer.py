"""What an artifact answers, checked before anything is made of it: no number, no mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import AnswerError, S2MEdgeError, in_one_line

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def shaped_answer(predict: Predict, fitted: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Run a prediction and check the shape of what comes back. Its values may be no numbers: for measuring parity only.

    Raises:
        AnswerError: the runtime failed, or gave another shape.
    """
    try:
        result = predict(fitted)
    except S2MEdgeError:
        raise
    except Exception as error:  # runtimes raise anything
        raise AnswerError(f"the artifact failed while running ({in_one_line(error)})", "Export it again.") from error
    if tuple(result.shape) != tuple(shape):
        raise AnswerError(f"the artifact gives {tuple(result.shape)} where {tuple(shape)} was due", "Export it again.")
    return result


def checked(predict: Predict, shape: tuple[int, ...], picture: str) -> Predict:
    """`predict` that raises where its answer could not become a mask.

    Args:
        shape: outputs, height and width that are due.
        picture: its name, for the message.
    """

    def run(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            found = shaped_answer(predict, fitted, shape)
        except AnswerError as error:
            raise AnswerError(f"{picture}: {error.cause}", error.remedy) from error
        if not np.isfinite(found).all():  # it would pass for an empty mask
            raise AnswerError(
                f"{picture}: the artifact's answer is not a number; no mask is made of it",
                "Export the bundle again, in float32 where it was not.",
            )
        return found

    return run
