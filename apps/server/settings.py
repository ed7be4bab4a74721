"""What a study server is told when it starts, and the words of DICOM's network that a user gives."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from s2m_edge.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
PORT = 11112
"""DICOM's registered port that needs no rights of its own (IANA: dicom)."""

AE_TITLE = "S2MEDGE"
_AE_LENGTH = 16
_MEBIBYTE, _GIGABYTE = 2**20, 10**9

Status = int
SUCCESS, OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
"""Answers to C-STORE (PS3.7 annex C, PS3.4 table B.2-1)."""


@dataclass(frozen=True)
class Destination:
    """Another DICOM node, which results are sent to."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """Of one server; every number is a bound.

    Attributes:
        host: address of this machine that it listens on.
        port: 0 lets the system choose.
        ae_title: its own; every peer must call it so.
        allow: calling AE titles that may send; empty: any.
        quiet_seconds: a study is complete when nothing of it came for so long.
        queue: studies that may wait, incomplete ones and the one at work included.
        largest_instance: bytes of one instance, which is held in memory while it arrives.
        room: bytes of the inbox.
        reserve: bytes that stay free on the inbox's disk, for results and the ledger.
        associations: at a time.
        largest_pdu: bytes, what peers are told.
        network_timeout: seconds without a word of a peer, and for each message of the lower layer.
        attempts: how often a study is begun that ends the process.
        send_to: where DICOM results go, besides the folder.
        send_attempts, send_pause: how often one is tried, and seconds before the second time; they double.
    """

    host: str = LOOPBACK
    port: int = PORT
    ae_title: str = AE_TITLE
    allow: tuple[str, ...] = ()
    quiet_seconds: float = 10.0
    queue: int = 50
    largest_instance: int = 512 * _MEBIBYTE
    room: int = 20 * _GIGABYTE
    reserve: int = 64 * _MEBIBYTE
    associations: int = 4
    largest_pdu: int = 128 * 1024
    network_timeout: float = 30.0
    attempts: int = 3
    send_to: Destination | None = None
    send_attempts: int = 4
    send_pause: float = 5.0

    @property
    def is_local(self) -> bool:
        """Whether no other machine can connect."""
        return ipaddress.ip_address(self.host).is_loopback


def require_ae_title(text: str) -> str:
    """An AE title without the spaces around it (PS3.5 table 6.2-1).

    Raises:
        ConfigurationError: it is none.
    """
    title = text.strip(" ")
    if not 1 <= len(title) <= _AE_LENGTH or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ConfigurationError(
            f"{text!r} is no AE title", f"Give 1 to {_AE_LENGTH} ASCII characters without a backslash."
        )
    return title


def require_address(text: str) -> str:
    """An IP address of this machine; `localhost` stands for 127.0.0.1.

    Raises:
        ConfigurationError: it is none.
    """
    if text == "localhost":
        return LOOPBACK
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigurationError(
            f"--host {text} is no IP address", f"Give {LOOPBACK}, or an address of this machine."
        ) from None


def parse_destination(text: str) -> Destination:
    """AETITLE@HOST:PORT, an address of IPv6 in brackets.

    Raises:
        ConfigurationError: it is something else.
    """
    found = re.fullmatch(
        r"(?P<title>[^@]+)@(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:@\[\]\s]+)):(?P<port>[0-9]{1,5})", text
    )
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise ConfigurationError(
            f"--send-to {text} is no destination", "Write AETITLE@HOST:PORT, for instance ORTHANC@127.0.0.1:4242."
        )
    return Destination(require_ae_title(found["title"]), found["six"] or found["host"], int(found["port"]))
