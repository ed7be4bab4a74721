"""What a picture needs to be read, named by the package that gets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders import base

from s2m_edge.imaging.decoders import COMPRESSIONS, find_compression, has_decoder, image_formats, missing_decoder


def test_the_table_is_pydicoms():
    ours = {syntax for row in COMPRESSIONS for syntax in row.transfer_syntaxes}
    assert ours == {str(syntax) for syntax in base._PIXEL_DATA_DECODERS}


@pytest.mark.parametrize("row", [row for row in COMPRESSIONS if row.install], ids=lambda row: row.name)
def test_the_package_that_is_named_is_one_that_pydicom_would_use(row):
    for syntax in row.transfer_syntaxes:
        wanted = " ".join(get_decoder(syntax).missing_dependencies)
        assert has_decoder(syntax) or not wanted or all(f"{name}>=" in wanted for name in row.install.split())
        error = missing_decoder(syntax, Path("scan.dcm"))
        assert str(error).startswith(f"scan.dcm is compressed as {row.name}, ")
        assert f"pip install {row.install}" in error.remedy


def test_what_nothing_can_decode_is_said_to_be_so():
    mpeg = "1.2.840.10008.1.2.4.100"
    assert find_compression(mpeg) is None
    assert not has_decoder(mpeg)
    assert mpeg in missing_decoder(mpeg).cause
    assert "without compression" in missing_decoder("").remedy


def test_the_formats_say_what_each_lacks():
    rows = {row.name: row for row in image_formats()}
    assert rows["DICOM (uncompressed)"].readable
    assert {row.readable for row in rows.values() if not row.remedy} == {True}
    lacking = rows["DICOM (JPEG-LS)"]
    assert lacking.readable or lacking.remedy == "pip install pyjpegls"
