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


def all_ones(data: bytes) -> bytes:
    """With a code of 16 ones more in each table of coefficients, as no JPEG may have it."""

    def more(payload: bytes) -> bytes:
        out = b""
        while payload:
            lengths, count = bytearray(payload[1:17]), sum(payload[1:17])
            values, rest = payload[17 : 17 + count], payload[17 + count :]
            if payload[0] == 0x10:
                lengths[15] += 1
                values += b"\x01"
            out, payload = out + payload[:1] + bytes(lengths) + values, rest
        return out

    segments = [(marker, more(payload) if marker == DHT else payload) for marker, payload in header(data)]
    return joined(segments, scan(data))


# ---- scans of a few bits ----

_QUANTISERS = segment(DQT, b"\0" + b"\x10" * 64)
# The level 0 is the bit 0; among the other coefficients, 0 is a run of 16384 empty blocks and more, 10 one empty block.
_CODES = segment(DHT, b"\0" + bytes([1] + 15 * [0]) + b"\0") + segment(
    DHT, b"\x10" + bytes([1, 1] + 14 * [0]) + b"\xe0\0"
)


def _bits(text: str) -> bytes:
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0") if text else b""


def _blocks(width: int, height: int) -> int:
    return -(-width // 8) * -(-height // 8)


def _frame(marker: int, width: int, height: int, components: int) -> bytes:
    each = b"".join(bytes([number + 1, 0x11, 0]) for number in range(components))
    return segment(marker, struct.pack(">BHHB", 8, height, width, components) + each)


def _scan(components: Sequence[int], first: int, last: int, steps: int) -> bytes:
    names = b"".join(bytes([number, 0]) for number in components)
    return segment(SOS, bytes([len(components)]) + names + bytes([first, last, steps]))


def flat(width: int, height: int, components: int = 1, marker: int = SOF0, codes: bytes | None = None) -> bytes:
    """Grey all over, in one scan."""
    if codes is None:
        codes = _bits("010" * _blocks(width, height) * components)
    every = range(1, components + 1)
    start = b"\xff\xd8" + _QUANTISERS + _CODES + _frame(marker, width, height, components)
    return start + _scan(every, 0, 63, 0) + codes + END


def bomb(width: int, height: int, components: int, refinements: int, *, levels: bool = False) -> bytes:
    """A progressive JPEG of valid scans, some dozens of bytes each: one that begins, and those that refine it.

    With `levels` the first scan gives every block its level, a bit each.
    """
    run = _bits(("0" + "1" * 14) * (_blocks(width, height) // 32767 + 1))
    data = b"\xff\xd8" + _QUANTISERS + _CODES + _frame(SOF2, width, height, components)
    if levels:
        data += _scan(range(1, components + 1), 0, 0, 0) + _bits("0" * _blocks(width, height) * components)
    for number in range(1, components + 1):
        data += _scan([number], 1, 63, 1) + run
    for number in range(refinements):
        data += _scan([1 + number % components], 1, 63, 0x10) + run
    return data + END
