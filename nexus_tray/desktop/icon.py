"""The tray icon: which picture says a Snapshot, and its pixels.

Owns the names of the rendered set (icons/rendered, made by icons/render) and reads its
plain PNG files without an image library, which would cost the tray 4 MB. Imports the model
only; pure but for reading files; any thread.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nexus_tray.model import HopState, Snapshot

SIZES = (16, 22, 24, 32, 44, 48, 64)
"""Pixels. 22 is what most panels show, 44 the same on a dense screen."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA = (8, 6, 0, 0, 0)  # depth, colour type, compression, filter method, interlace


class Panel(StrEnum):
    """What the icon stands on. TEMPLATE: macOS colours it itself."""

    LIGHT = "light"
    DARK = "dark"
    TEMPLATE = "template"


@dataclass(frozen=True)
class Picture:
    """What the icon says: the state of the path, by shape and colour; and that OpenCode asks."""

    state: HopState = HopState.UNKNOWN
    asks: bool = False


@dataclass(frozen=True)
class Pixels:
    """A square picture of `size` pixels; four bytes each: red, green, blue, alpha."""

    size: int
    rgba: bytes

    @property
    def argb(self) -> bytes:
        """The same in network byte order, as StatusNotifierItem wants it."""
        swapped = bytearray(len(self.rgba))
        for to, source in enumerate((3, 0, 1, 2)):
            swapped[to::4] = self.rgba[source::4]
        return bytes(swapped)


def picture(snapshot: Snapshot) -> Picture:
    """What the icon has to say of a Snapshot."""
    asks = bool(snapshot.activity and snapshot.activity.questions)
    return Picture(snapshot.state, asks)


def file(folder: Path, shown: Picture, panel: Panel, size: int) -> Path:
    """Where the rendered picture is, below the folder of the icons."""
    name = f"{shown.state}{'-asks' if shown.asks else ''}-{panel}-{size}.png"
    return folder / "rendered" / name


def load(folder: Path, shown: Picture, panel: Panel) -> tuple[Pixels, ...]:
    """The picture in every size. Raises OSError or ValueError: the program is not whole."""
    return tuple(read(file(folder, shown, panel, size)) for size in SIZES)


def read(path: Path) -> Pixels:
    """A PNG file in the plainest form: RGBA, 8 bits, no interlace, no row filters.

    Raises ValueError for any other form (PNG, W3C 2003, sections 5 and 9).
    """
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE):
        raise ValueError(f"{path.name} is no PNG file")
    head, packed, at = b"", b"", len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            head = body
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    width, height, *form = struct.unpack(">IIBBBBB", head)
    if width != height or tuple(form) != _RGBA:
        raise ValueError(f"{path.name} is not square, or not in plain RGBA")
    rows, stride = zlib.decompress(packed), width * 4 + 1
    if len(rows) != stride * height or any(rows[::stride]):
        raise ValueError(f"{path.name} has filtered rows")
    return Pixels(width, b"".join(rows[n + 1 : n + stride] for n in range(0, len(rows), stride)))
