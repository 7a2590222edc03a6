"""Whose turn is not finished: what is written is recalled, and trouble costs a hint, no more."""

import logging
from pathlib import Path

import pytest

from nexus_tray.store.unfinished import MOST_BYTES, UnfinishedFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "unfinished.json"


def test_what_was_kept_is_recalled_by_the_next_life(file: Path) -> None:
    assert UnfinishedFile(file).recall() == frozenset()
    life = UnfinishedFile(file)
    life.keep(frozenset({"ses_b", "ses_a"}))
    assert file.stat().st_mode & 0o777 == 0o600
    assert UnfinishedFile(file).recall() == {"ses_a", "ses_b"}
    life.keep(frozenset())
    assert UnfinishedFile(file).recall() == frozenset()


def test_only_a_change_is_written(file: Path) -> None:
    UnfinishedFile(file).keep(frozenset({"ses_a"}))
    life = UnfinishedFile(file)
    assert life.recall() == {"ses_a"}
    before = file.stat().st_ino
    life.keep(frozenset({"ses_a"}))
    assert file.stat().st_ino == before
    life.keep(frozenset({"ses_b"}))
    assert file.stat().st_ino != before


@pytest.mark.parametrize(
    "content", [b"", b"{", b'["ses_a", 7]', b'"ses_a"', b"\xff", b"[" + b'"x",' * MOST_BYTES]
)
def test_a_damaged_file_is_said_and_written_anew(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir(mode=0o700)
    file.touch(mode=0o600)
    file.write_bytes(content)
    life = UnfinishedFile(file)
    with caplog.at_level(logging.WARNING):
        assert life.recall() == frozenset()
    assert str(file) in caplog.text
    life.keep(frozenset())
    assert UnfinishedFile(file).recall() == frozenset()
    assert file.read_bytes() == b"[]"


def test_what_cannot_be_written_is_said_and_tried_again(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life = UnfinishedFile(file)
    file.parent.mkdir(mode=0o777)
    file.parent.chmod(0o777)  # what lies in such a folder cannot be trusted
    with caplog.at_level(logging.WARNING):
        life.keep(frozenset({"ses_a"}))
    assert "was not written" in caplog.text
    assert not file.exists()
    file.parent.chmod(0o700)
    life.keep(frozenset({"ses_a"}))
    assert UnfinishedFile(file).recall() == {"ses_a"}
