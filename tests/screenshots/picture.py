"""Pictures as small files: a palette of their own colours, which flat pages hardly exceed."""

import io
from pathlib import Path

from PIL import Image

COLOURS = 128


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG with an adaptive palette, without dithering: text stays sharp."""
    plain = picture.convert("RGB")
    small = plain.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def pack(data: bytes, path: Path, tallest: int = 1 << 16) -> None:
    """The same from a PNG in memory, cut at `tallest` pixels."""
    with Image.open(io.BytesIO(data)) as picture:
        save(picture.crop((0, 0, picture.width, min(picture.height, tallest))), path)
