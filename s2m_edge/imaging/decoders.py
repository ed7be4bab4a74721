"""Which formats of pictures can be read here, and what each needs that does not come with this package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from s2m_edge.errors import ImageError
from s2m_edge.installation import install_command


@dataclass(frozen=True)
class Compression:
    """A way in which DICOM files hold their pixels.

    Attributes:
        name: for people.
        transfer_syntaxes: their UIDs in DICOM.
        install: arguments of `pip install` that get pydicom a decoder; empty where it has one of its own.
    """

    name: str
    transfer_syntaxes: tuple[str, ...]
    install: str = ""


_LIBJPEG = "pylibjpeg pylibjpeg-libjpeg"
_OPENJPEG = "pylibjpeg pylibjpeg-openjpeg"
_JPEG = "1.2.840.10008.1.2.4."

# After pydicom 3.0's table of decoders, each with the one that is easiest to get; gdcm serves all but the last, too.
COMPRESSIONS = (
    Compression("uncompressed", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")),
    Compression("deflated", ("1.2.840.10008.1.2.1.99",)),
    Compression("RLE", ("1.2.840.10008.1.2.5",)),
    Compression("JPEG", (f"{_JPEG}50", f"{_JPEG}51"), _LIBJPEG),
    Compression("lossless JPEG", (f"{_JPEG}57", f"{_JPEG}70"), _LIBJPEG),
    Compression("JPEG-LS", (f"{_JPEG}80", f"{_JPEG}81"), "pyjpegls"),
    Compression("JPEG 2000", (f"{_JPEG}90", f"{_JPEG}91"), _OPENJPEG),
    Compression("High-Throughput JPEG 2000", (f"{_JPEG}201", f"{_JPEG}202", f"{_JPEG}203"), _OPENJPEG),
)


def find_compression(transfer_syntax: str) -> Compression | None:
    """The table's row of a transfer syntax, or None: films, and whatever pydicom has no decoder for at all."""
    return next((row for row in COMPRESSIONS if transfer_syntax in row.transfer_syntaxes), None)


def missing_decoder(transfer_syntax: str, path: Path | None = None) -> ImageError:
    """What to say of a DICOM file whose pixels nothing here can decode.

    Args:
        transfer_syntax: its UID.
        path: of the file.
    """
    named = "the DICOM file" if path is None else str(path)
    row = find_compression(transfer_syntax)
    if row is None or not row.install:
        return ImageError(
            f"{named} holds its pixels in a way that is not supported (transfer syntax {transfer_syntax or 'unknown'})",
            "Save it without compression, or as JPEG 2000.",
        )
    return ImageError(
        f"{named} is compressed as {row.name}, for which no decoder is installed (transfer syntax {transfer_syntax})",
        f"pip install {row.install}, or save it without compression.",
    )


def has_decoder(transfer_syntax: str) -> bool:
    """Whether pydicom finds a decoder for a transfer syntax here."""
    from pydicom.pixels import get_decoder

    try:
        return bool(get_decoder(transfer_syntax).is_available)
    except NotImplementedError:
        return False


@dataclass(frozen=True)
class Format:
    """A row for people: a format, whether it can be read here, and the command that gets what it lacks."""

    name: str
    readable: bool
    remedy: str = ""


def image_formats() -> list[Format]:
    """Every format that is read, in the order of a table."""
    from PIL import features

    rows = [Format("PNG, BMP, GIF, PPM, PGM", bool(features.check("zlib")))]
    for name, feature in (("JPEG", "jpg"), ("TIFF", "libtiff"), ("WebP", "webp")):
        found = bool(features.check(feature))
        rows.append(Format(name, found, "" if found else "pip install --force-reinstall pillow"))
    rows.append(Format("NIfTI", True))
    toolkit = find_spec("SimpleITK") is not None
    rows.append(Format("NRRD, MetaImage", toolkit, "" if toolkit else install_command("dicom")))
    for row in COMPRESSIONS:
        found = all(has_decoder(syntax) for syntax in row.transfer_syntaxes)
        rows.append(Format(f"DICOM ({row.name})", found, "" if found else f"pip install {row.install}"))
    return rows
