"""The files that pages speak of as their reader's own: pictures, labelled data, a network. Made of bundled ones.

python tests/reader.py FOLDER             makes them there
python tests/reader.py --fill-in SPEC     writes the reader's network into a new specification
"""

from __future__ import annotations

import shutil
import sys
from inspect import getsource
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from safetensors.torch import save_file

from dicom_files import write_dicom, write_series
from networks import PlainUNet, plain_u_net
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask
from support import write_image_folder

HEIGHT, WIDTH = 320, 256
NETWORKS = f"""from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional


{getsource(PlainUNet)}

def unet() -> nn.Module:
    network = PlainUNet().eval()
    network.load_state_dict(load_file(Path(__file__).with_name("unet.safetensors")))
    return network
"""


def labelled_parts(folder: Path) -> list[tuple[Path, Path, str]]:
    """Image, mask and split of parts of the bundled pictures, as many as a guard wants."""
    rows = []
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index, split in enumerate(["train"] * 9 + ["val"] * 2 + ["test"] * 2):
        picture = sample_images("polyp")[index % 3]
        files = [folder / name / f"part-{index}.png" for name in ("images", "masks")]
        for source, file in zip((picture, sample_mask(picture)), files, strict=True):
            opened = Image.open(source)
            opened.crop((7 * index, 5 * index, opened.width - 9, opened.height - 4)).save(file)
        rows.append((files[0], files[1], split))
    return rows


def name_patients(table: Path) -> None:
    """Give every image of a split.csv a patient of its own."""
    head, *rows = table.read_text().splitlines()
    named = [f"{head},patient", *(f"{row},P{number}" for number, row in enumerate(rows))]
    table.write_text("\n".join(named) + "\n")


def write_readers_files(folder: Path) -> None:
    """Into an existing folder that holds none of them yet."""
    pictures = sample_images("polyp")
    for name in ("my/images", "pictures"):
        (folder / name).mkdir(parents=True)
        for path in pictures[:2]:
            shutil.copy(path, folder / name)
    Image.open(pictures[0]).save(folder / "colon.png")
    Image.open(sample_images("vessel")[0]).convert("RGB").save(folder / "fundus.jpg")
    write_dicom(folder / "scan.dcm", read_image(pictures[1]))
    write_image_folder(folder / "DATA", labelled_parts(folder / "parts"))
    name_patients(folder / "DATA" / "split.csv")
    (folder / "studies.csv").write_text("path\n" + "".join(f"my/images/{path.name}\n" for path in pictures[:2]))
    grey = read_image(pictures[1])[:96, :128, 0]
    write_series(folder / "SERIES_FOLDER", np.stack([grey] * 3))
    write_series(folder / "heart", np.stack([read_image(path)[..., 0] for path in sample_images("cardiac")]))
    volume = nibabel.Nifti1Image(np.repeat(grey.T[:, :, None], 40, axis=2), np.diag([0.7, 0.7, 3.0, 1.0]))  # type: ignore[attr-defined]
    nibabel.save(volume, folder / "ct.nii.gz")  # type: ignore[attr-defined]
    (folder / "my_networks.py").write_text(NETWORKS)
    save_file(plain_u_net(HEIGHT, WIDTH)[0].state_dict(), folder / "unet.safetensors")


def fill_in(spec: Path) -> None:
    """What the reader writes into the file that `s2m-edge spec new` made."""
    own = {"height: 352": f"height: {HEIGHT}", "width: 352": f"width: {WIDTH}", "name: my-network": "name: my-unet"}
    text = spec.read_text()
    for made, filled in own.items():
        text = text.replace(made, filled)
    spec.write_text(text)


if __name__ == "__main__":
    fill_in(Path(sys.argv[2])) if sys.argv[1] == "--fill-in" else write_readers_files(Path(sys.argv[1]))
