"""A contact sheet: pictures side by side, each over its caption."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed import options
from fastfeed.errors import ConfigError
from fastfeed.image.decode import INSTALL_PIL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# In pixels of the sheet.
_LEAST, _MOST = 96, 256  # the longer side of a picture: small ones are magnified, large ones reduced
_GAP = 8
_LINE = 14
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


class Sheet:
    """Pictures side by side; made by `fastfeed.show`.  A notebook shows it.

    Attributes
    ----------
    image : PIL.Image.Image
        The sheet, RGB.
    captions : list of list of str
        What is written under each picture, line by line.
    """

    def __init__(self, image: Any, captions: list[list[str]]) -> None:
        self.image = image
        self.captions = captions

    def __repr__(self) -> str:
        count, (width, height) = len(self.captions), self.image.size
        return f"<Sheet of {count} {'sample' if count == 1 else 'samples'}, {width}x{height} pixels>"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        out = io.BytesIO()
        self.image.save(out, "PNG")
        return out.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the sheet to a file, in the format that its name ends with.

        Raises
        ------
        ConfigError
            A name that ends in no format of PIL's, a folder that is not there, a file that cannot be written.
        """
        check_path(path)
        try:
            self.image.save(path)
        except OSError as error:
            remedy = f"pass a file that can be written: {error.strerror or error}"
            raise options.wrong("path", str(path), remedy) from error


def require_pil() -> None:
    """Raise ConfigError where there is no PIL: before a batch is made, not after."""
    try:
        from PIL import Image  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"show() needs PIL, which is not installed: {INSTALL_PIL}") from error


def check_path(path: str | Path) -> None:
    """Raise ConfigError where no sheet can be written to a file of this name."""
    from PIL import Image

    if not isinstance(path, str | Path):
        raise options.wrong("path", path, "pass the name of a file, such as 'sheet.png'")
    file = Path(path)
    kind = Image.registered_extensions().get(file.suffix.lower())
    if kind not in Image.SAVE:
        raise options.wrong("path", str(path), "pass a name that ends in .png, or in another format that PIL writes")
    if not file.absolute().parent.is_dir():
        raise options.wrong("path", str(path), f"make the folder {file.absolute().parent} first: it is not there")


def drawn(pixels: NDArray[np.uint8], captions: list[list[str]]) -> Sheet:
    """Draw pictures, uint8 of shape (n, height, width, 3), over their captions, in rows from left to right."""
    from PIL import Image, ImageDraw, ImageFont

    count, height, width, _ = pixels.shape
    height, width, filter = _size_on_paper(height, width)
    columns = math.ceil(math.sqrt(count))
    step_x = width + _GAP
    step_y = height + _GAP + _LINE * max(map(len, captions))
    sheet = Image.new("RGB", (_GAP + columns * step_x, _GAP + -(-count // columns) * step_y), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (picture, lines) in enumerate(zip(pixels, captions, strict=True)):
        x, y = _GAP + number % columns * step_x, _GAP + number // columns * step_y
        sheet.paste(Image.fromarray(picture.copy()).resize((width, height), filter), (x, y))
        for line, text in enumerate(lines):
            draw.text((x, y + height + line * _LINE), _fitting(text, font, width), _INK, font)
    return Sheet(sheet, captions)


def _size_on_paper(height: int, width: int) -> tuple[int, int, Any]:
    """Return height, width and filter: small pictures are magnified by a whole number, so that pixels can be seen."""
    from PIL import Image

    longer = max(height, width)
    if longer <= _MOST:
        times = -(-_LEAST // longer)
        return height * times, width * times, Image.Resampling.NEAREST
    scale = _MOST / longer
    return max(1, round(height * scale)), max(1, round(width * scale)), Image.Resampling.BOX


def _fitting(text: str, font: Any, width: int) -> str:
    """Return what fits of a line, in ASCII: PIL's own font has next to nothing else."""
    text = " ".join(text.split()).encode("ascii", "replace").decode("ascii")
    if font.getlength(text) <= width:
        return text
    kept: Sequence[str] = text
    while kept and font.getlength(f"{kept}...") > width:
        kept = kept[:-1]
    return f"{kept}..."
