"""JPEGs that PIL cannot write: segments put in and taken out, scans of a few bits that pass over whole frames."""

from __future__ import annotations

import base64
import struct
import zlib
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


def tall(data: bytes, odd: bool = False) -> bytes:
    """A 4:2:2 JPEG read as 4:4:0, which PIL cannot write: its blocks in a grid half as wide and twice as high."""
    (frame,) = (payload for marker, payload in header(data) if marker == SOF0)
    height, width = struct.unpack_from(">HH", frame, 1)
    assert frame[7] == 0x21
    turned = frame[:1] + struct.pack(">HH", 2 * height - odd, -(-width // 2)) + frame[5:7] + b"\x12" + frame[8:]
    return replaced(data, SOF0, turned)


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


def steep(blocks: int) -> bytes:
    """A row of blocks in long codes: levels of 16 bits and 11 for their values, coefficients of 2 bits and 8."""
    levels = segment(DHT, b"\0" + bytes([1] + 14 * [0] + [1]) + bytes([0, 11]))
    others = segment(DHT, b"\x10" + bytes([0, 3] + 14 * [0]) + bytes([0, 8, 1]))
    level = {0: "10000000000", 1: "01111111111"}  # up by 1024, and down again
    codes = _bits("".join("1" + 15 * "0" + level[k % 2] + 3 * "0110000000" + "00" for k in range(blocks)))
    start = b"\xff\xd8" + segment(DQT, b"\0" + bytes(64 * [1])) + _frame(SOF0, 8 * blocks, 8, 1)
    return start + levels + others + _scan([1], 0, 63, 0) + codes + END


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


# 53 x 37 pixels of waves, in the forms that PIL cannot write; deflated.
PACKED = {
    "rows_4:4:0": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvUSkCGMMnJyGsoaftrafkvyYvOWkAz+H2AQ5GBQZTBlZhRiYBJkZBZk/H+EQR7oTlZGMGCAAkYmZhZWNnYOTi5uoIKtAgxM
        jMzMTCzMrKwsLEDZWqA8A4sgq5CioSObcGAiu1KhiFHjxIUcyk4bD4oGXfygYpxU1MTJJSYuISmlqqauoallYmpmbmFp5ezi6ubu4ekVHBIa
        Fh4RGZWckpqWnpGZVVxSWlZeUVnV3NLa1t7R2TVp8pSp06bPmDlr0eIlS5ctX7Fy1abNW7Zu275j565Dh48cPXb8xMlTly5fuXrt+o2btx4+
        evzk6bPnL16++vjp85ev377/+PkL5C9GBmZGGMDqL0Ggv5hYWJhZ2EH+YmQqBykQZGFVNGQTcgxkTywUVjJq5BBxmrhw40FOZeOgD6JJRRe5
        xFRMHqp+BHkN7DPiPNZEls/gHkP46xYDDzMjMPKYBRnsGW55st1a0Vd2aUWyz6Rnjs0h72IeXDe2VgrcPSHlqvV2S9M1TA6beK8GxrxbN2OG
        x71NEwpDdeZ8DDlpFaEinbWEr+yKUfd6hbMh5ZYrhQWVf2ad0rgdcWXHyi3pd44fXG2uZZA9O3iTrszTOzWzNpctVtvanKjWs7X/2WqtxaUl
        x54JZWxOlffanLK4a3lRXq8EUPsZLrMr1lNLnD5+Dot1y8o7ckvJzTpjrZZy30zW0zJS2jMXr1PTvS0zSztCYaJvxLtFu5J6VDJvGj7qWtbp
        doWn7GLARee7fRkrN8z8fxMAev1cRw==
    """,
    "columns_4:1:1": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvUSkCGMMnJyGsoaftrafkvyYvOWkAz+H2AQ5GBQZTBlZnRkYBJkZBZk/H+EQR7oTlZGMGCAAkYmZhZWNnYOTi5uoIKtAgxM
        jMzMTCzMrKwsLEDZWqA8A4sgq5CioSObcGAiu1KhiFHjxIUcyk4bD4oGXfygYpxU1MTJJSYuISmlqqauoallYmpmbmFp5ezi6ubu4ekVHBIa
        Fh4RGZWckpqWnpGZVVxSWlZeUVnV3NLa1t7R2TVp8pSp06bPmDlr0eIlS5ctX7Fy1abNW7Zu275j565Dh48cPXb8xMlTly5fuXrt+o2btx4+
        evzk6bPnL16++vjp85ev377/+PkL5C9GBmZGGMDqL0Ggv5hYWJhZ2EH+YmQqBykQZGFVNGQTcgxkTywUVjJq5BBxmrhw40FOZeOgD6JJRRe5
        xFRMHqp+BHkN7DPiPNZEls/gHkP46xYDDzMjMPKYBRnsGW55st1qeubYHLG9iGfWsk28V+fUd5j8ZyjLvOlhsXaFinTmeYWzolu2K/0SmXju
        1vqi52wb8+48uepavGtT/0du7+9pcyfP085it84899wk7NKdc7c4Jv7ZynqmRuro7v7JoWL2s3Ym/WeoKFn6e7PXKbupW1nqdW0fP+u65R9s
        neHTZXZFXMsgW+ytm29IqPRqjvX3eIEGTp3Up53FKp35bjHQwKiZnzNcesquiOsUANX1+QaHWa/o+vuQ89+by5uSj+Y6HM+1vQE0zjvY+kX9
        /5sAKS1aKg==
    """,
    "restarts_4:2:0": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvUSkCGMMnJyGsoaftrafkvyYvOWkAz+H2AQ5GBQZTBlZlRiYBJkZBZk/H+EQR7oTlZGMGCAAkYmZhZWNnYOTi5uoIKtAgxM
        jMzMTCzMrKwsLEDZWqA8A4sgq5CioSObcGAiu1KhiFHjxIUcyk4bD4oGXfygYpxU1MTJJSYuISmlqqauoallYmpmbmFp5ezi6ubu4ekVHBIa
        Fh4RGZWckpqWnpGZVVxSWlZeUVnV3NLa1t7R2TVp8pSp06bPmDlr0eIlS5ctX7Fy1abNW7Zu275j565Dh48cPXb8xMlTly5fuXrt+o2btx4+
        evzk6bPnL16++vjp85ev377/+PkL5C9GBmZGGMDqL0Ggv5hYWJhZ2EH+YmQqBykQZGFVNGQTcgxkTywUVjJq5BBxmrhw40FOZeOgD6JJRRe5
        xFRMHqp+BHkN7DPiPNZEls/gHkP46y4DCwPT/1sMPMyMwChkFmSwZ7jlyXar6Zljc+DiuVvjnp7jTQ4vWLzR7Z3j5JBrjru6t1uaBsa8W5sp
        GvD/gs4SmbArQrxbz0ZaPtq2oHjblokauz7xXAyVPZexgvn/xQse/6KantnxZij1bmU91SP1dNXd04uu9hW9s/MNifiXdWV34ORQUbdX1yan
        hmT8v7Q6Vd7rVpP9tM1rphRGB2jcdllncpH7+FnR1CtpXd0bdtn/v3zdzTqLe5qFSWDk1agZF28c3Z08OeRq3yuNtZlKr+T/X0mdLKedxWad
        sWjbJMsL35NnaSxadKD+/00AkSdhGA==
    """,
    "progressive_4:2:0": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvUSkCGMMnJyGsoaftrafkvyYvOWkAz+H2IQ5GBQZTBlZlRiYBJkZBZk/H+EQYKBgRnkWCTAzMLECpQRZwQBZAkmBkbm/7cY
        eJgZGZgEmAWAPtxaGTFhonf+9pnZ+kISsRJPdq5aqR2dc21z48KNDS2erFtu8bxgrgfZIoBhCyOTgCDQMA6gMCMr00ufZSVtauUaaxrTuVyV
        WxSVZ7qmcGcAeUDNYoJo7gA6RACsFWimPaPQRV2h+yD3CgLtYEC3A6yOCaRukfsUj0+dciDniAigKWQIgDqFzZ6JH2SWALrfGRkUBWDOtVc0
        vGR6WLN50hxrzScb+yauk/ThaUm44a7SrmpRFnwyHxZGDMxAjQLFi/nSiosb7JlA4SDIiOZIRgYBQUO4ZwQetSorKUz2PMoFVCwJ9jczimpB
        BUVDuJcEvh/avXqt2fItC/tBysFuRnY1I4OgooAh3NUCGhFH1wjsFNGdZ2f8WqfOX75mzuzND35WWrtyS2xtEldq3ex2LDel9+Ti3P83AYTd
        wX0=
    """,
    "arithmetic_4:2:0": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvUSkCGMMnJyGsoaftrafkvyYvOWkAz+n2QQ5GBQZTBlZlRiYBJkZBZk/H+GgYtBQICVUUCQ9f8tBh5mRqAEsyCDPcMlA9UJ
        3Q/uCD5Kfvv45ePG5qV2vnfDH/04NO1BhP+Z8q1/v39g3LuoU/HRAaatZ248ygqOdrt0axtH2XFRF06WvCyRIwfUrv6cw3Rr/+M3v35y8hzn
        sI0tXmAd45flMVlGT3ix8FqbdU17crXCPXQKtm7Z/JCltvqo8d2U3/fWTE6bV5ZQNv1WpV7Qvqst2jpil+cvehxqltpzXCxowoms5shl4Qn/
        bwIAd0Gevg==
    """,
    "ycck_4:2:0": """
        eNr7f+P/OwY+x5T8pFSGFAYgYPp/m8GZQVpIRFxEUFpcTFxORlpBw0lbQ1VVI9DK1sApITQ1JT40NjqrYmZjVuGE4ujY1q1tE+YtXr12dXrD
        npO7lh2fuWL1EpAhjDJychrKGn7a2n5L8mLzlpAM/h9gEOFgUGUwZWFUYmASZGQWZGRRYvh/hEGegYGRlREMGKCAkYmZhZWNnYOTixuoYKsA
        AxMjMzMTCzMrKwsLULYWKM/AIsgqpGjoyCYcmMiuVChi1DhxIYey08aDokEXP6gYJxU1cXKJiUtISqmqqWtoapmYmplbWFo5u7i6uXt4egWH
        hIaFR0RGJaekpqVnZGYVl5SWlVdUVjW3tLa1d3R2TZo8Zeq06TNmzlq0eMnSZctXrFy1afOWrdu279i569DhI0ePHT9x8tSly1euXrt+4+at
        h48eP3n67PmLl68+fvr85eu37z9+/gL5i5GBmREGsPpLEOgvJhYWZhZ2kL8YmcpBCgRZWBUN2YQcA9kTC4WVjBo5RJwmLtx4kFPZOOiDaFLR
        RS4xFZOHqh9BXgP7jDiPNZHlM7jHEP66xcDHwgiMP6A7GRjsGY5WnHs175bxxCAr3qtJN9lcc70T1u7Y7ntt85K8rLNX5mZbeVquvjZxDte2
        i3O3RCkcWN3TnJsaMiu14/asi1vzpvbKzLnWu2auNts347NJ5yXvxuq+4ssWK5FerTHLuOruDtHsctHZ+epMayvnhIr0POra0WHoGsGtXHMl
        tFLl54qFT36uOrplTte5MutVRzfLdL1eMrVntXrxvF222VbOZzPvqkedm2i5ru+SH2t0pl3U6S3JjWE3+26dWuVy2ScnfdalrbbadibPtqwN
        Xhq6d/LapPPqZ6PM11Suibzxbs2iiYt9rmy34do8T2vvrgKta+e0SiZ3aW0yPCpa5pgWNuHPleAl/rO6Jl7JWy12ykhj0Vz1hVtzz7xeKnOt
        pMvYVXRrxmKmtZt6twRGhqZcFjOVXCsdKhPomnZvxbON6YG7urQ1NodlR684sDraTWPRjC5DV5HQO1yfNO66ioT/vwkAWHebmw==
    """,
    "cmyk": """
        eNoBcQOO/P/Y/+4ADkFkb2JlAGQAAAAAAP/bAEMAGxIUFxQRGxcWFx4cGyAoQisoJSUoUTo9MEJgVWVkX1VdW2p4mYFqcZBzW12FtYaQnqOr
        ratngLzJuqbHmairpP/AABQIACUANQRDEQBNEQBZEQBLEQD/xAAfAAABBQEBAQEBAQAAAAAAAAAAAQIDBAUGBwgJCgv/xAC1EAACAQMDAgQD
        BQUEBAAAAX0BAgMABBEFEiExQQYTUWEHInEUMoGRoQgjQrHBFVLR8CQzYnKCCQoWFxgZGiUmJygpKjQ1Njc4OTpDREVGR0hJSlNUVVZXWFla
        Y2RlZmdoaWpzdHV2d3h5eoOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4eLj5OXm5+jp6vHy
        8/T19vf4+fr/2gAOBEMATQBZAEsAAD8A0rOUYFb4cba17lhg0t03WrUso21Su3GDWPdsOazpG5rFvpRzWHdOMms52GaI25rJaUb6rI43VLAw
        zWjat0q/YyjIrTs3HFa9ow4rWt24Fb1vKNtbVu421qRsMVa3cUsso3VI7jNDsM1BI3zVl2bHAqoJDtrOuZODXPXUnWrUrHbVK7kODWPdydaz
        pJOaxb9jzWJdSHJrOeTmiOTmslmO+qySHdU0EnNaNrJ0q/YscitOzkPFa9pJ0rWt5OBW9bsdorat5DtrTjk4q15nFLKxzT3kOaHk5qCST5qL
        OHgUojO2qdxnBrnro9atSw/LVK7jODWPdg81nSHmsW+h61iXUZyaznzmiM81ktD89VUjO6pYM5rStT0rQsYeRWnZxnite0zxWtbngVu28Py1
        tW8Z21qR5xVnPFLLD81SPGc0j5zUEh+amWbjAq4IxtpbiPg1kXSdatSuNtUruMYNY93H1rOkTmsW/cc1iXUYyaznj5ojTmslnG+qyRjdUsEf
        NaVqnStCxcZFadnGOK17SPpWrbpwK3bdxtrZt4xtrUij4q1s4pZXG6pHjGaHj5qCRPmrLs3OBTg3y064AwazrpRzVqVztqldtwax7sDms6RR
        msW+c81iXTcms5wM0sajNZLOd9Vkb5qlgAzWjaqOK0LFzkVp2bdK17QDita3UYFbtu521s27fLWpEBirW0YpZXO6pHbmkcDNV5FG6v/ZGema
        dg==
    """,
    "stored_as_rgb": """
        eNoB7QIS/f/Y/+4ADkFkb2JlAGQAAAAAAP/bAEMAGxIUFxQRGxcWFx4cGyAoQisoJSUoUTo9MEJgVWVkX1VdW2p4mYFqcZBzW12FtYaQnqOr
        ratngLzJuqbHmairpP/AABEIACUANQNSEQBHEQBCEQD/xAAfAAABBQEBAQEBAQAAAAAAAAAAAQIDBAUGBwgJCgv/xAC1EAACAQMDAgQDBQUE
        BAAAAX0BAgMABBEFEiExQQYTUWEHInEUMoGRoQgjQrHBFVLR8CQzYnKCCQoWFxgZGiUmJygpKjQ1Njc4OTpDREVGR0hJSlNUVVZXWFlaY2Rl
        ZmdoaWpzdHV2d3h5eoOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4eLj5OXm5+jp6vHy8/T1
        9vf4+fr/2gAMA1IARwBCAAA/ANKzlGBW+HG2te5YYNWpZRtqlduMGse7Yc1i30o5rDunGTWc7DNZLSjfVZHG6pYGGav2MoyK07NxxWvaMOK3
        reUba2rdxtrUjYYpZZRuqR3GaHYZrLs2OBVQSHbWdcycGrUrHbVK7kODWPdydaxb9jzWJdSHJrOeTmslmO+qySHdU0EnNX7FjkVp2ch4rXtJ
        Olb1ux2itq3kO2tOOTillY5p7yHNDyc0WcPApRGdtU7jODVqWH5apXcZwax7sHmsW+h61iXUZyaznzmslofnqqkZ3VLBnNaFjDyK07OM8Vr2
        meK3beH5a2reM7a1I84pZYfmqR4zmkfOaZZuMCrgjG2luI+DVqVxtqldxjBrHu4+tYt+45rEuoxk1nPHzWSzjfVZIxuqWCPmtCxcZFadnGOK
        17SPpW7buNtbNvGNtakUfFLK43VI8YzQ8fNZdm5wKcG+WnXAGDVqVztqldtwax7sDmsW+c81iXTcms5wM1ks531WRvmqWADNaFi5yK07Nula
        9oBxW7budtbNu3y1qRAYpZXO6pHbmkcDNf/Z3x9Vdg==
    """,
    "grey_progressive": """
        eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjWrW0T5i1evXZ1
        esOek7uWHZ+5YvWS/4cYuDkYVBlMGRkFGf4fYZAAms8IsgIOWJgZGJn+32LgAIsy+rp471+6orP8e4iL8+5ni5TkuwMF+e+DdAqg6wTqExCE
        6mRkZToadbfqaNraxOhnkmFKxx4fUzZM5rpvcGrD2s88q4H6RQRQ9AJBAFQvmz0TP1CBuACG+QyKAjDz7RV7LK2eti5ZOnl6us50mcrdz3vX
        gNnTTkValhWdzIV7QYBHQvz+fqCBkhAXMyIbKKgoYAg3UkBGuflGxkseixm+0ptCLvn4bmc++eXDF1uBgj75xMVLDB49tIk7He6ZfP7/TQAD
        eHfd
    """,
}
FILES = {name: zlib.decompress(base64.b64decode(text)) for name, text in PACKED.items()}
