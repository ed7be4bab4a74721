"""The cases: shapes and settings that an implementation of the contract is likely to get wrong."""

from __future__ import annotations

from dataclasses import dataclass

from s2m_edge.imaging.preprocess import Preprocessing

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """One picture with everything that happens to it.

    Attributes:
        name: of the case; begins its tensors' names.
        why: what it is there to catch.
        height, width: of the picture.
        preprocessing: the contract's; small sizes keep the file small.
        classes: output channels of the network, background included where there are several.
        threshold: for one class.
        exact: values that lie exactly between two levels, on the threshold, or alike in two classes are wanted here.
            Elsewhere there are none, so that rounding errors cannot change an integer.
    """

    name: str
    why: str
    height: int
    width: int
    preprocessing: Preprocessing
    classes: int = 1
    threshold: float = 0.5
    exact: bool = False


def _rgb(size: int = 32) -> Preprocessing:
    return Preprocessing(size, size)


def _imagenet(size: int = 32) -> Preprocessing:
    return Preprocessing(size, size, mean=IMAGENET_MEAN, standard_deviation=IMAGENET_DEVIATION)


def _grey(mean: float = 0.0, deviation: float = 1.0, size: int = 32) -> Preprocessing:
    return Preprocessing(size, size, channels=1, mean=(mean,), standard_deviation=(deviation,))


CASES: tuple[Case, ...] = (
    Case("same", "nothing to resize; probabilities on the threshold belong to the mask", 32, 32, _rgb(), exact=True),
    Case(
        "same-threshold",
        "the threshold is rounded to float32 before it is compared: 0.7 is below it, and must not be",
        32,
        32,
        _imagenet(),
        threshold=0.7,
        exact=True,
    ),
    Case("same-classes", "of classes that are equally likely the first one wins", 32, 32, _rgb(), 3, exact=True),
    Case(
        "halved", "weights of 1/8 and 3/8: values exactly between two levels are rounded up", 64, 64, _rgb(), exact=True
    ),
    Case("smallest", "the smallest size that a network takes, mean and deviation of ImageNet", 70, 110, _imagenet(96)),
    Case("large", "shrinking averages; a long way in both axes", 151, 113, _rgb(), threshold=0.47),
    Case("small", "enlarging is plain bilinear", 9, 8, _imagenet(), threshold=0.35),
    Case("odd", "odd sides, different in the two axes", 33, 47, _rgb(), threshold=0.62),
    Case("mixed", "one axis shrinks, the other grows", 19, 90, _rgb(), 4),
    Case("one-axis", "one axis keeps its length", 32, 77, _imagenet(), threshold=0.41),
    Case("one-row", "one pixel high", 1, 57, _rgb(), threshold=0.45),
    Case("one-column", "one pixel wide", 83, 1, _rgb(), 3),
    Case("one-pixel", "one pixel in all", 1, 1, _rgb(), threshold=0.55),
    Case("grey-same", "the luma of a colour picture, rounded once", 32, 32, _grey(0.5, 0.25)),
    Case("grey", "luma first, unrounded, then the resize, then the rounding", 45, 61, _grey(0.4, 0.9), 3),
    Case(
        "unscaled",
        "scale 1: mean and deviation in levels",
        40,
        21,
        Preprocessing(32, 32, scale=1.0, mean=(123.675, 116.28, 103.53), standard_deviation=(58.395, 57.12, 57.375)),
        4,
    ),
    Case("other-size", "another size of the network, two classes that are not one", 25, 100, _rgb(48), 2),
    Case("rectangle", "a network whose height is not its width", 45, 32, Preprocessing(28, 18), threshold=0.58),
    Case(
        "flat-rectangle",
        "a wide one, grey, of an odd size, mean and deviation of its own, several classes",
        22,
        65,
        Preprocessing(15, 34, channels=1, mean=(0.449,), standard_deviation=(0.226,)),
        3,
    ),
)
