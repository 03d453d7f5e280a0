"""Pictures of discs and squares, for the programs that train on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def draw(folder: Path, count: int) -> None:
    """Draw `count` pictures each of discs and squares, in a folder for each class."""
    random = np.random.default_rng(0)
    for shape in ("disc", "square"):
        (folder / shape).mkdir()
        for number in range(count):
            image = Image.new("RGB", (48, 48), tuple(random.integers(0, 80, 3)))
            left, top, side = *random.integers(2, 20, 2), random.integers(12, 26)
            outline = (left, top, left + side, top + side)
            colour = tuple(random.integers(140, 256, 3))
            pen = ImageDraw.Draw(image)
            pen.ellipse(outline, fill=colour) if shape == "disc" else pen.rectangle(outline, fill=colour)
            image.save(folder / shape / f"{number}.jpg")
