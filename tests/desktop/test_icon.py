"""The rendered set is whole, sharp enough to tell apart, and read as an image library reads it."""

import itertools
from pathlib import Path

import pytest
from PIL import Image

from nexus_tray.desktop import icon
from nexus_tray.desktop.icon import SIZES, Panel, Picture, Pixels
from nexus_tray.model import Activity, HopState, Question, QuestionKind
from tests.desktop.picture import said

ICONS = Path(__file__).parent.parent.parent / "icons"
PICTURES = [Picture(state, asks) for state in HopState for asks in (False, True)]


@pytest.mark.parametrize("panel", Panel)
@pytest.mark.parametrize("shown", PICTURES, ids=str)
def test_every_picture_is_there_in_every_size(shown: Picture, panel: Panel) -> None:
    pictures = icon.load(ICONS, shown, panel)
    assert [pixels.size for pixels in pictures] == list(SIZES)
    for pixels in pictures:
        with Image.open(icon.file(ICONS, shown, panel, pixels.size)) as image:
            assert pixels.rgba == image.convert("RGBA").tobytes()


def alphas(pixels: Pixels) -> bytes:
    return pixels.rgba[3::4]


PAPER = {Panel.LIGHT: (242, 242, 238), Panel.DARK: (34, 37, 42), Panel.TEMPLATE: (230, 230, 230)}


def greys(shown: Picture, panel: Panel, size: int) -> bytes:
    """What is seen on the panel by who sees no colour."""
    with Image.open(icon.file(ICONS, shown, panel, size)) as image:
        paper = Image.new("RGBA", image.size, (*PAPER[panel], 255))
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("L").tobytes()


@pytest.mark.parametrize("size", [16, 22])
@pytest.mark.parametrize("panel", Panel)
def test_the_shape_alone_tells_the_state(panel: Panel, size: int) -> None:
    """Without colours, a tenth of the picture differs clearly between any two states."""
    shapes = {state: greys(Picture(state), panel, size) for state in HopState}
    for one, other in itertools.combinations(shapes, 2):
        pairs = zip(shapes[one], shapes[other], strict=True)
        differing = sum(abs(a - b) > 40 for a, b in pairs)
        assert differing * 10 >= size * size, f"{one} and {other} look alike"


@pytest.mark.parametrize("shown", PICTURES, ids=str)
def test_nothing_is_cut_off_at_the_edge(shown: Picture) -> None:
    for pixels in icon.load(ICONS, shown, Panel.DARK):
        alpha, size = alphas(pixels), pixels.size
        edges = alpha[:size] + alpha[-size:] + alpha[::size] + alpha[size - 1 :: size]
        assert sum(a > 140 for a in edges) <= 8, "more than the four tips of a diamond"


def test_edges_fall_on_whole_pixels() -> None:
    """The sides of the square are not blurred, at any size."""
    for size in SIZES:
        pixels = icon.read(icon.file(ICONS, Picture(HopState.DOWN), Panel.DARK, size))
        middle = alphas(pixels)[size * (size // 2) : size * (size // 2 + 1)]
        assert set(middle) == {0, 255}


def test_what_a_template_shows_is_only_opacity() -> None:
    for shown in PICTURES:
        for pixels in icon.load(ICONS, shown, Panel.TEMPLATE):
            assert not any(pixels.rgba[channel::4] != bytes(pixels.size**2) for channel in range(3))


def test_the_order_of_bytes_is_the_protocols() -> None:
    assert Pixels(1, bytes([1, 2, 3, 4])).argb == bytes([4, 1, 2, 3])


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"],
)
def test_what_is_no_plain_png_is_refused(tmp_path: Path, spoilt: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(spoilt)
    with pytest.raises(Exception, match=r"no PNG|requires a buffer"):
        icon.read(path)


def test_a_filtered_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    gradient = Image.new("RGBA", (64, 64))
    gradient.putdata([(x, x, x, 255) for _ in range(64) for x in range(64)])
    gradient.save(path)
    with pytest.raises(ValueError, match="filtered"):
        icon.read(path)


def test_the_picture_says_state_and_question() -> None:
    question = Question(
        id="q", kind=QuestionKind.PERMISSION, session_id="s", directory="/d", title="bash"
    )
    assert icon.picture(said()) == Picture(HopState.UP, asks=False)
    asking = said(state=HopState.DOWN, activity=Activity(questions=(question,)))
    assert icon.picture(asking) == Picture(HopState.DOWN, asks=True)
