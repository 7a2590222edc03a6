"""Which pages are open is known after a crash, under the same guard, and never else."""

import errno
import os
import stat

import pytest

from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.system.open_pages import OpenPages

TWO = (b"\x01" * 32, b"\xff" * 32)


def test_the_same_guards_next_program_knows_them(paths: Paths) -> None:
    OpenPages(paths, "life").keep(TWO)
    assert OpenPages(paths, "life").recall() == TWO
    assert OpenPages(paths, "life").recall() == TWO  # and a second crash changes nothing
    assert stat.S_IMODE(paths.pages_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("life", ["another", "", None])
def test_another_guards_program_does_not_and_removes_them(paths: Paths, life: str | None) -> None:
    OpenPages(paths, "life").keep(TWO)
    assert OpenPages(paths, life).recall() == ()
    assert OpenPages(paths, "life").recall() == ()


def test_without_a_guard_nothing_is_kept(paths: Paths) -> None:
    pages = OpenPages(paths, None)
    pages.keep(TWO)
    assert not paths.pages_file.exists()
    assert pages.recall() == ()


def test_an_end_in_order_forgets_them(paths: Paths) -> None:
    pages = OpenPages(paths, "life")
    pages.keep(TWO)
    pages.forget()
    pages.forget()
    assert OpenPages(paths, "life").recall() == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"life":"life"}', b'{"life":"life","hashes":["zz"]}', b"[]", b"x" * 70_000],
)
def test_what_cannot_be_read_admits_nobody(paths: Paths, content: bytes) -> None:
    pages = OpenPages(paths, "life")
    pages.keep(())
    paths.pages_file.write_bytes(content)
    assert pages.recall() == ()
    assert not paths.pages_file.exists()


def test_what_others_could_have_written_admits_nobody(paths: Paths) -> None:
    pages = OpenPages(paths, "life")
    pages.keep(TWO)
    paths.pages_file.chmod(0o666)
    assert pages.recall() == ()


def test_a_link_is_not_followed(paths: Paths) -> None:
    pages = OpenPages(paths, "life")
    pages.keep(TWO)
    elsewhere = paths.run / "elsewhere"
    paths.pages_file.rename(elsewhere)
    paths.pages_file.symlink_to(elsewhere)
    with pytest.raises(Problem):
        pages.keep(())
    assert pages.recall() == ()
    assert elsewhere.exists()


def test_on_a_full_disk_nobody_is_remembered(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = OpenPages(paths, "life")
    pages.keep(TWO)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        pages.keep(TWO[:1])
    assert OpenPages(paths, "life").recall() == ()
