"""What the window may load, and where it may stand: the decisions without a window."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.desktop.window_links import Target, origin, target
from nexus_tray.desktop.window_place import (
    HANDLE,
    LEAST_HEIGHT,
    LEAST_WIDTH,
    Place,
    Screen,
    fitted,
    read,
    write,
)

OWN = "http://127.0.0.1:4711"


@pytest.mark.parametrize(
    ("address", "where"),
    [
        (f"{OWN}/", Target.INSIDE),
        (f"{OWN}/#/logs?source=quick", Target.INSIDE),
        ("https://example.com/a?b=c#d", Target.BROWSER),
        ("http://127.0.0.1:4712/", Target.BROWSER),
        (f"{OWN}@evil.example/", Target.BROWSER),
        (f"{OWN}1/", Target.BROWSER),
        (f"{OWN}.evil.example/", Target.BROWSER),
        (OWN, Target.BROWSER),
        ("https://127.0.0.1:4711/", Target.BROWSER),
        ("file:///etc/passwd", Target.NOWHERE),
        ("javascript:alert(1)", Target.NOWHERE),
        ("data:text/html,x", Target.NOWHERE),
        ("about:blank", Target.NOWHERE),
        ("", Target.NOWHERE),
        ("--help", Target.NOWHERE),
        ("http://", Target.NOWHERE),
        ("http:///etc/passwd", Target.NOWHERE),
        ("http://[::1/", Target.NOWHERE),
        ("https://a.example/\nbrowse file:///", Target.NOWHERE),
        ("https://a.example/ --new-window", Target.NOWHERE),
        ("https://a.example/\x7f", Target.NOWHERE),
        ("https://a.example/" + "a" * 9000, Target.NOWHERE),
        ("smb://a.example/x", Target.NOWHERE),
    ],
)
def test_only_the_dashboard_is_inside_and_only_the_web_goes_to_the_browser(
    address: str, where: Target
) -> None:
    assert target(address, OWN) is where


@pytest.mark.parametrize(
    "link",
    ["https://127.0.0.1:1/", "http://localhost:1/", "http://127.0.0.1/", "http://10.0.0.1:1/", ""],
)
def test_a_link_that_is_none_of_ours_opens_no_window(link: str) -> None:
    assert origin(f"{OWN}/#ticket=x&to=/") == OWN
    with pytest.raises(ValueError, match="not a link"):
        origin(link)


screens = st.builds(
    Screen,
    x=st.integers(-4000, 4000),
    y=st.integers(-4000, 4000),
    width=st.integers(640, 5000),
    height=st.integers(480, 3000),
)
places = st.builds(
    Place,
    x=st.none() | st.integers(-9000, 9000),
    y=st.none() | st.integers(-9000, 9000),
    width=st.integers(1, 9000),
    height=st.integers(1, 9000),
)


@given(places, st.lists(screens, min_size=1, max_size=3))
def test_a_window_can_always_be_seen_and_taken_hold_of(place: Place, around: list[Screen]) -> None:
    now = fitted(place, around)
    assert now.width >= LEAST_WIDTH
    assert now.height >= LEAST_HEIGHT
    assert now.width <= max(screen.width for screen in around)
    assert now.height <= max(screen.height for screen in around)
    assert (now.x is None) is (now.y is None)
    if now.x is not None and now.y is not None:
        assert (now.x, now.y) == (place.x, place.y)
        assert any(
            screen.y <= now.y <= screen.y + screen.height - HANDLE
            and screen.x - now.width < now.x < screen.x + screen.width
            for screen in around
        )
    assert fitted(now, around) == now or now.x is not None


@pytest.mark.parametrize(
    ("place", "x"),
    [
        (Place(x=100, y=100), 100),
        (Place(x=2000, y=100), 2000),
        (Place(x=5000, y=100), None),  # the screen that is gone
        (Place(x=3740, y=100), 3740),
        (Place(x=3800, y=100), None),  # less than a handle
        (Place(x=100, y=-30), None),  # the title out of reach
        (Place(x=100, y=None), None),
    ],
)
def test_what_is_out_of_reach_loses_its_position(place: Place, x: int | None) -> None:
    two = [Screen(0, 0, 1920, 1080), Screen(1920, 0, 1920, 1080)]
    assert fitted(place, two).x == x


def test_without_a_known_screen_nothing_is_changed() -> None:
    assert fitted(Place(x=1, y=2), []) == Place(x=1, y=2)


def test_the_place_is_kept_privately_and_what_cannot_be_read_is_as_nothing(tmp_path: Path) -> None:
    file = tmp_path / "data" / "window.json"
    assert read(file) == Place()
    kept = Place(x=-20, y=3, width=700, height=600, maximized=True, zoom=1.5, open_under="ab.cd")
    write(file, kept)
    assert read(file) == kept
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    for spoilt in (b"", b"{", b'{"width": 0}', b'{"x": 1e9}', b"\xff", b"[]", b" " * 5000):
        file.write_bytes(spoilt)
        assert read(file) == Place()
    file.unlink()
    file.symlink_to(os.devnull)
    assert read(file) == Place()
