"""`python tools/guard_rates.py DATA`: how often the bundled networks' guards warn, of what they know and of what not.

DATA holds the folders kvasir_seg, chase_db1, sunnybrook_lv, acdc and isic2017_cc0_sample. Prints docs/guard.md's table.
Of a network's own data the split `test` is taken, which neither its statistics nor its threshold have seen; of what is
foreign to it, everything that is called by the split.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2m_edge.checkpoint import guard_beside, network_spec, read_header
from s2m_edge.deploy.guard import Guard, read_guard
from s2m_edge.imaging.folders import list_images
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.train.data.folders import list_samples

Picture = NDArray[np.uint8]
Pictures = Iterable[Picture]

NETWORKS = {"polyp": "kvasir_seg", "vessel": "chase_db1", "left-ventricle": "sunnybrook_lv"}
PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "page.png", "rocket.jpg", "text.png"),
)
SAMPLES = 50


def split(data: Path, name: str, *splits: str) -> Iterator[Picture]:
    for part in splits:
        for sample in list_samples(data / name, part):
            yield read_image(sample.image)


def photographs(*names: str) -> Iterator[Picture]:
    """What scikit-image's package holds."""
    import skimage

    for name in names:
        yield read_image(Path(skimage.__file__).parent / "data" / name)


def compressed(picture: Picture, quality: int) -> Picture:
    """As JPEG leaves it, in the same shape."""
    packed = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed)).reshape(picture.shape)


def shrunk(picture: Picture, small: Preprocessing, given: Preprocessing) -> Picture:
    """Through a smaller size and back."""
    for step in (small, given):
        picture = np.broadcast_to(picture, (*picture.shape[:2], 3))
        picture = fit_to_network(picture, step)
    return picture


def kinds(data: Path, own: str, given: Preprocessing) -> Iterator[tuple[str, Pictures]]:
    """Fitted pictures by kind, the network's own test pictures first."""

    def fitted(pictures: Pictures) -> list[Picture]:
        return [fit_to_network(picture, given) for picture in pictures]

    test = fitted(split(data, own, "test"))
    yield "its own test pictures", test
    foreign: dict[str, tuple[str, Callable[[], Pictures]]] = {
        "kvasir_seg": ("colonoscopy, polyps (HyperKvasir)", lambda: split(data, "kvasir_seg", "test")),
        "chase_db1": ("fundus photographs (CHASE_DB1)", lambda: split(data, "chase_db1", "train", "test")),
        "sunnybrook_lv": ("cardiac MRI (Sunnybrook)", lambda: split(data, "sunnybrook_lv", "test")),
        "acdc": ("cardiac MRI, another hospital (ACDC)", lambda: split(data, "acdc", "test")),
        "retina": ("fundus photograph, another camera", lambda: photographs("retina.jpg")),
        "skin": ("skin lesions (ISIC)", lambda: map(read_image, list_images(data / "isic2017_cc0_sample" / "images"))),
        "ihc": ("stained tissue under a microscope", lambda: photographs("ihc.png")),
        "everyday": ("photographs and pages of text", lambda: photographs(*PHOTOGRAPHS)),
    }
    for name, (title, read) in foreign.items():
        yield title, [] if name == own else fitted(read())
    shape, random = given.fitted_shape, np.random.default_rng(0)
    yield "black", [np.zeros(shape, np.uint8)]
    yield (
        "black with a sensor's noise",
        [np.clip(random.normal(6, 3, shape), 0, 255).astype(np.uint8) for _ in range(SAMPLES)],
    )
    yield "white", [np.full(shape, 255, np.uint8)]
    yield "flat grey, every fifth level", [np.full(shape, level, np.uint8) for level in range(5, 255, 5)]
    colours = random.integers(0, 256, (SAMPLES, shape[2]), dtype=np.uint8)
    yield "a flat colour, drawn at random", [np.zeros(shape, np.uint8) + colour for colour in colours]
    yield "uniform noise", [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(SAMPLES)]
    yield "own test pictures: upside down", [picture[::-1] for picture in test]
    yield "own test pictures: turned by 90 degrees", [np.rot90(picture) for picture in test]
    yield "own test pictures: left and right exchanged", [picture[:, ::-1] for picture in test]
    yield "own test pictures: JPEG of quality 30", [compressed(picture, 30) for picture in test]
    coarse = Preprocessing(given.height // 3, given.width // 3, given.channels)
    yield "own test pictures: a third of the pixels a side", [shrunk(picture, coarse, given) for picture in test]
    yield "own test pictures: negative", [255 - picture for picture in test]
    if given.channels == 3:
        yield "own test pictures: red and blue exchanged", [picture[..., ::-1] for picture in test]
        grey = [picture.mean(axis=2, keepdims=True).astype(np.uint8) for picture in test]
        yield "own test pictures: without colour", [np.repeat(picture, 3, axis=2) for picture in grey]
    yield "own test pictures: a quarter as bright", [picture // 4 for picture in test]
    half = given.height // 2
    yield (
        "own test pictures: lower half black",
        [np.concatenate([picture[:half], np.zeros_like(picture[half:])]) for picture in test],
    )


def rate(guard: Guard, pictures: Pictures) -> str:
    """The share that is unusual, of how many, and the median score; empty of no pictures."""
    scores = np.array([guard.score(picture) for picture in pictures])
    if len(scores) == 0:
        return ""
    unusual = int((scores > guard.threshold).sum())
    return f"{unusual / len(scores):.1%} of {len(scores)} ({np.median(scores):.0f})".replace("%", " %")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    data = parser.parse_args().data
    columns: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for name, own in NETWORKS.items():
        header = read_header(name)
        path = guard_beside(header)
        if path is None:
            parser.error(f"{header.path} has no guard beside it")
        guard = read_guard(path)
        heads.append(f"{name}, usual up to {guard.threshold:.1f}")
        columns[name] = {
            title: rate(guard, pictures) for title, pictures in kinds(data, own, network_spec(header).preprocessing)
        }
    titles = list(dict.fromkeys(title for column in columns.values() for title in column))
    print(f"| pictures | {' | '.join(heads)} |")
    print("|---|" + "---|" * len(heads))
    for title in titles:
        print(f"| {title} | {' | '.join(column.get(title, '') for column in columns.values())} |")


if __name__ == "__main__":
    main()
