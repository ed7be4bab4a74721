"""A colour profile whose red, green and blue are not sRGB's: what applies it shows other values."""

from __future__ import annotations

import struct

# Linear, with the primaries of Rec. 2020 for D50: whoever converts from it changes nearly every value.
PRIMARIES = {
    b"rXYZ": (0.673459, 0.279033, -0.001953),
    b"gXYZ": (0.165665, 0.675339, 0.029984),
    b"bXYZ": (0.125107, 0.045613, 0.796860),
}
WHITE = (0.964203, 1.0, 0.824905)


def wide_profile() -> bytes:
    """An ICC profile of version 2, matrix and curves, of a display."""
    tags = {
        b"desc": _description(b"wide"),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(WHITE),
        **{name: _xyz(values) for name, values in PRIMARIES.items()},
        **{name: b"curv\0\0\0\0" + struct.pack(">I", 0) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s4sI4s4sQI", 2026, 1, 1, 0, 0, 0, b"acsp", b"\0" * 4, 0, b"\0" * 4, b"\0" * 4, 0, 0)
    header += b"".join(struct.pack(">i", round(value * 65536)) for value in WHITE)
    return header.ljust(128, b"\0") + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _description(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * (4 + 4 + 2 + 1 + 67)
