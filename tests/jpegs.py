"""JPEGs made by hand: segments put in and taken out, scans of a few bits that pass over whole frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

SOF0, SOF2, SOF9, DHT, SOS, DQT, DRI, APP1 = 0xC0, 0xC2, 0xC9, 0xC4, 0xDA, 0xDB, 0xDD, 0xE1
END = b"\xff\xd9"


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def header(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment up to the first scan, that one's included."""
    at = 2
    while True:
        marker, size = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        yield marker, data[at + 4 : at + 2 + size]
        at += 2 + size
        if marker == SOS:
            return


def scan(data: bytes) -> bytes:
    """What follows the header: the codes of the first scan, and everything behind them."""
    return data[2 + sum(4 + len(payload) for _, payload in header(data)) :]


def joined(segments: Sequence[tuple[int, bytes]], rest: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segment(*each) for each in segments) + rest


def without(data: bytes, marker: int) -> bytes:
    return joined([each for each in header(data) if each[0] != marker], scan(data))


def replaced(data: bytes, marker: int, payload: bytes) -> bytes:
    """With one payload for all segments of this marker."""
    return joined([(kind, payload if kind == marker else have) for kind, have in header(data)], scan(data))


def before_restarts(data: bytes, stuffing: bytes) -> bytes:
    """With the same bytes before every restart marker of a file of one scan."""
    codes = scan(data)
    for number in range(0xD0, 0xD8):
        codes = codes.replace(bytes([0xFF, number]), stuffing + bytes([0xFF, number]))
    return data[: len(data) - len(scan(data))] + codes
