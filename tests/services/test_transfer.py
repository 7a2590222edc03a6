"""Every way in which a download breaks off, and that the next connection or attempt goes on."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_tray.services.progress import Cancelled, Progress, Suspended, silent
from nexus_tray.services.transfer import Limits, NotFetched, fetch
from tests.services.release_server import File, ReleaseServer

BODY = random.Random(7).randbytes(300_000)
SOON = Limits(silence=2.0, whole=20.0, most=1_000_000, tries=2, pause=0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[ReleaseServer]:
    made = ReleaseServer()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def forgotten(server: ReleaseServer) -> None:
    server.asked.clear()


def had(
    server: ReleaseServer, target: Path, file: File, progress: Progress = silent, **limits: float
) -> bool:
    given = {"silence": 2.0, "whole": 20.0, "tries": 2, "pause": 0.01, **limits}
    made = Limits(most=1_000_000, **given)  # type: ignore[arg-type]
    url = server.serve("/file", file)
    return fetch(url, target, trust=server.trust, progress=progress, limits=made)


def test_a_broken_connection_is_gone_on_with_in_the_same_attempt(
    server: ReleaseServer, tmp_path: Path
) -> None:
    target = tmp_path / "part"
    assert not had(server, target, File(BODY, cuts=[100_000, 50_000]))
    assert target.read_bytes() == BODY
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_and_in_the_next_one(server: ReleaseServer, tmp_path: Path) -> None:
    target = tmp_path / "part"
    with pytest.raises(NotFetched, match="at 33 %; the next try goes on from there"):
        had(server, target, File(BODY, cuts=[100_000, 0, 0, 0]))
    server.asked.clear()
    assert had(server, target, File(BODY))
    assert target.read_bytes() == BODY
    assert server.asked == ["bytes=100000-"]


@pytest.mark.parametrize(
    "other",
    [File(BODY, etag='"two"'), File(BODY, ranges=False), File(BODY, etag="")],
    ids=["another file", "no ranges", "no tag"],
)
def test_what_cannot_be_gone_on_with_begins_anew(
    server: ReleaseServer, tmp_path: Path, other: File
) -> None:
    target = tmp_path / "part"
    with pytest.raises(NotFetched):
        had(server, target, File(b"x" * 300_000, cuts=[100_000, 0, 0, 0]))
    had(server, target, other)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("file", [File(BODY, etag=""), File(BODY, etag='W/"weak"')])
def test_without_a_strong_tag_no_part_is_kept(
    server: ReleaseServer, tmp_path: Path, file: File
) -> None:
    file.cuts = [1000] * 9
    with pytest.raises(NotFetched, match=r"broke off$"):
        had(server, tmp_path / "part", file)
    assert set(server.asked) == {""}
    assert not list(tmp_path.iterdir())


def test_a_shorter_file_at_the_same_tag_begins_anew(server: ReleaseServer, tmp_path: Path) -> None:
    target = tmp_path / "part"
    with pytest.raises(NotFetched):
        had(server, target, File(b"x" * 300_000, cuts=[100_000, 0, 0, 0]))
    assert not had(server, target, File(BODY[:90_000])) or target.read_bytes() == BODY[:90_000]
    assert target.read_bytes() == BODY[:90_000]


def test_a_server_that_never_gives_more_is_given_up(server: ReleaseServer, tmp_path: Path) -> None:
    with pytest.raises(NotFetched):
        had(server, tmp_path / "part", File(BODY, ranges=False, cuts=[5000] * 50))
    assert len(server.asked) == 3


def test_silence_and_slowness(server: ReleaseServer, tmp_path: Path) -> None:
    target = tmp_path / "part"
    with pytest.raises(NotFetched, match="too slowly at"):
        had(server, target, File(BODY, slow=1000), whole=0.4)
    first = target.stat().st_size
    assert 0 < first < 100_000
    assert had(server, target, File(BODY))
    assert target.read_bytes() == BODY


def test_one_that_is_cancelled_leaves_nothing_and_one_that_is_suspended_goes_on(
    server: ReleaseServer, tmp_path: Path
) -> None:
    target = tmp_path / "part"

    def ends(how: type[Cancelled]) -> Progress:
        def progress(done: int, _: int | None) -> None:
            if done > 20_000:
                raise how

        return progress

    with pytest.raises(Suspended):
        had(server, target, File(BODY, slow=10_000), ends(Suspended))
    assert target.stat().st_size > 0
    server.asked.clear()
    with pytest.raises(Cancelled):
        had(server, target, File(BODY, slow=10_000), ends(Cancelled))
    assert server.asked != [""]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (File(b"", 302, {"Location": "http://127.0.0.1:1/x"}), "leads away from HTTPS"),
        (File(BODY, 503), "503"),
        (File(BODY * 5), "too large"),
    ],
)
def test_what_no_further_try_would_cure(
    server: ReleaseServer, tmp_path: Path, file: File, why: str
) -> None:
    with pytest.raises(NotFetched, match=why):
        had(server, tmp_path / "part", file)
    assert len(server.asked) == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_note_or_another_address_begins_anew(
    server: ReleaseServer, tmp_path: Path
) -> None:
    target = tmp_path / "part"
    for note in (b"{", b'{"url":"https://elsewhere/","etag":"\\"one\\"","total":300000}'):
        target.write_bytes(b"x" * 1000)
        (tmp_path / "part.json").write_bytes(note)
        assert not had(server, target, File(BODY))
        assert target.read_bytes() == BODY


@given(cuts=st.lists(st.integers(0, 120_000), max_size=6), ranges=st.booleans())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_it_breaks_what_comes_is_the_file_or_nothing(
    server: ReleaseServer, tmp_path: Path, cuts: list[int], ranges: bool
) -> None:
    target = tmp_path / "part"
    file = File(BODY, ranges=ranges, cuts=cuts)
    for _ in range(8):
        try:
            had(server, target, file)
        except NotFetched:
            continue
        break
    assert target.read_bytes() == BODY
    target.unlink()
