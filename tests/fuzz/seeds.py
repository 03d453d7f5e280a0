"""The first inputs of the fuzz targets: small JPEGs of every kind, plans to go with them, metadata, pictures."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))

import jpegs

PLAN_BYTES = 48  # the header of image.c
WINDOW_BYTES = 4  # that of exact.c


def jpeg(width: int, height: int, mode: str, **options: object) -> bytes:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5 + c) * 60 + np.cos(y / 7) * 50 + 128 for c in range(len(mode))], -1)
    out = io.BytesIO()
    pixels = np.squeeze(waves.clip(0, 255).astype(np.uint8), axis=2) if len(mode) == 1 else waves.astype(np.uint8)
    Image.fromarray(pixels, mode).save(out, "JPEG", **options)
    return out.getvalue()


def images() -> Iterator[bytes]:
    for width, height in ((8, 8), (37, 29), (131, 67)):
        yield jpeg(width, height, "L", quality=80)
        for subsampling in (0, 1, 2):
            for options in ({}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 2}):
                yield jpeg(width, height, "RGB", quality=75, subsampling=subsampling, **options)
    yield jpeg(37, 29, "CMYK", quality=80)
    plain = jpeg(61, 45, "RGB", quality=80)
    yield jpegs.without(plain, jpegs.DHT)
    yield jpegs.without(plain, jpegs.DQT)
    yield jpegs.before_restarts(jpeg(61, 45, "RGB", restart_marker_blocks=1), b"\0\0")
    yield plain[:-2] + b"\xff\xd2" + b"\x12" * 9 + jpegs.END
    yield plain[: len(plain) // 2] + jpegs.END
    yield jpegs.all_ones(plain)
    yield jpegs.steep(12)
    yield jpegs.bomb(200, 200, 1, 3)
    yield jpegs.bomb(60, 60, 3, 3, levels=True)
    yield jpegs.flat(70, 50, 3)
    yield jpegs.flat(70, 50, 1, jpegs.SOF9, b"\x7f" * 8)


def metadata() -> Iterator[bytes]:
    for order in (b"II*\0", b"MM\0*"):
        for orientation in (0, 1, 6, 8, 9):
            exif = Image.Exif()
            exif.endian = "<" if order[:1] == b"I" else ">"
            exif[0x010F] = "maker"
            exif[0x0112] = orientation
            yield exif.tobytes()
    yield jpeg(8, 8, "L", exif=exif.tobytes())


def write(target: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    if target == "image":
        inputs = [draw.randbytes(PLAN_BYTES) + data for data in images() for _ in range(2)]
    elif target == "exact":
        inputs = [draw.randbytes(WINDOW_BYTES) + data for data in images() for _ in range(3)]
    elif target == "reduced":
        inputs = list(images())
    elif target == "exif":
        inputs = list(metadata())
    else:
        inputs = [draw.randbytes(draw.choice([8, 60, 600])) for _ in range(50)]
    for number, data in enumerate(inputs):
        (folder / f"seed{number:03d}").write_bytes(data)
