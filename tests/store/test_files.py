"""Files are ours alone and whole: planted links, foreign owners, open modes are refused."""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.store import files

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners are POSIX")

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def code(action: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        action()
    assert caught.value.reason.cure, "every refusal says what to do"
    return caught.value.reason.code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a" / "b"
    files.ensure_private_dir(made)
    return made


@pytest.fixture
def loose_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
def test_all_is_private_from_creation_whatever_the_umask(tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    files.ensure_private_dir(made)
    assert mode(made) == mode(made.parent) == 0o700
    files.write_atomic(made / "written", b"x")
    os.close(files.open_private(made / "opened", os.O_RDWR | os.O_CREAT))
    assert mode(made / "written") == mode(made / "opened") == 0o600


def test_what_is_written_is_read_and_nothing_else_is_left(folder: Path) -> None:
    file = folder / "x"
    for data in (b"", b"one", b"z" * 3_000_000):
        files.write_atomic(file, data)
        assert files.read_private(file, len(data)) == data
    assert list(folder.iterdir()) == [file]


def test_longer_than_the_limit_is_refused(folder: Path) -> None:
    files.write_atomic(folder / "x", b"12345")
    assert code(lambda: files.read_private(folder / "x", 4)) == "file-odd"


def test_missing_is_told_apart_from_refused(folder: Path) -> None:
    for action in (files.check_private, files.open_private):
        with pytest.raises(FileNotFoundError):
            action(folder / "none")
    with pytest.raises(FileNotFoundError):
        files.read_private(folder / "none", 10)


USES: dict[str, Callable[[Path], object]] = {
    "check": files.check_private,
    "open": files.open_private,
    "create": lambda path: files.open_private(path, os.O_RDWR | os.O_CREAT),
    "read": lambda path: files.read_private(path, 100),
    "write": lambda path: files.write_atomic(path, b"new"),
}


@pytest.mark.parametrize("use", USES)
def test_a_planted_link_is_refused_and_its_target_untouched(folder: Path, use: str) -> None:
    target = folder / "target"
    files.write_atomic(target, b"precious")
    good, dangling = folder / "good", folder / "dangling"
    good.symlink_to(target)
    dangling.symlink_to(folder / "none")
    assert code(lambda: USES[use](good)) == code(lambda: USES[use](dangling)) == "file-link"
    assert target.read_bytes() == b"precious"
    assert not (folder / "none").exists()


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("bits", [0o666, 0o660, 0o640, 0o604, 0o610, 0o602])
def test_a_file_open_to_others_is_refused(folder: Path, use: str, bits: int) -> None:
    file = folder / "x"
    files.write_atomic(file, b"old")
    file.chmod(bits)
    assert code(lambda: USES[use](file)) == "file-open-to-others"
    assert file.read_bytes() == b"old"


@as_root
@pytest.mark.parametrize("use", USES)
def test_a_file_of_another_user_is_refused(folder: Path, use: str) -> None:
    file = folder / "x"
    files.write_atomic(file, b"old")
    os.chown(file, 65534, 65534)
    assert code(lambda: USES[use](file)) == "file-owner"
    assert file.read_bytes() == b"old"


@pytest.mark.parametrize("use", ["open", "read"])
def test_a_fifo_or_folder_is_refused_at_once(folder: Path, use: str) -> None:
    os.mkfifo(folder / "fifo", 0o600)
    (folder / "folder").mkdir(0o700)
    assert code(lambda: USES[use](folder / "fifo")) == "file-odd"
    assert code(lambda: USES[use](folder / "folder")) == "file-odd"


def test_a_socket_may_be_checked(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        path.chmod(0o666)
        assert code(lambda: files.check_private(path)) == "file-open-to-others"
        path.chmod(0o600)
        files.check_private(path)


class TestFolders:
    def test_a_folder_others_may_read_is_closed(self, folder: Path) -> None:
        folder.chmod(0o755)
        files.ensure_private_dir(folder)
        assert mode(folder) == 0o700

    @pytest.mark.parametrize("bits", [0o777, 0o770, 0o722, 0o1777])
    def test_a_folder_others_may_write_is_refused(self, folder: Path, bits: int) -> None:
        folder.chmod(bits)
        assert code(lambda: files.ensure_private_dir(folder)) == "file-open-to-others"
        assert mode(folder) == bits

    def test_a_link_to_a_folder_is_refused(self, folder: Path) -> None:
        link = folder / "link"
        link.symlink_to(folder)
        assert code(lambda: files.ensure_private_dir(link)) == "file-link"

    def test_a_file_in_its_place_is_refused(self, folder: Path) -> None:
        (folder / "x").touch(0o600)
        assert code(lambda: files.ensure_private_dir(folder / "x")) == "file-odd"
        assert code(lambda: files.ensure_private_dir(folder / "x" / "y")) == "file-failed"

    @as_root
    def test_another_users_folder_is_refused(self, folder: Path) -> None:
        os.chown(folder, 65534, 65534)
        assert code(lambda: files.ensure_private_dir(folder)) == "file-owner"


def test_set_aside_overwrites_nothing(folder: Path) -> None:
    kept = []
    for content in (b"1", b"2", b"3"):
        files.write_atomic(folder / "x", content)
        kept.append(files.set_aside(folder / "x", now=0.0))
    assert [path.read_bytes() for path in kept] == [b"1", b"2", b"3"]
    assert kept[0].name == "x.damaged-19700101T000000Z"
    assert not (folder / "x").exists()


def test_what_a_killed_write_left_is_swept_but_not_a_write_under_way(folder: Path) -> None:
    old, fresh = folder / ".x.dead.new", folder / ".x.alive.new"
    old.touch(0o600)
    fresh.touch(0o600)
    before = fresh.stat().st_mtime - 3600
    os.utime(old, (before, before))
    files.write_atomic(folder / "x", b"1")
    assert sorted(path.name for path in folder.iterdir()) == [".x.alive.new", "x"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EFBIG, "disk-full"),
        (errno.EIO, "file-failed"),
        (errno.EROFS, "file-failed"),
    ],
)
def test_a_failing_disk_is_said_and_leaves_the_old_content(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    files.write_atomic(folder / "x", b"old")

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    for call in ("write", "fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            assert code(lambda: files.write_atomic(folder / "x", b"new")) == expected
        if call == "replace":
            assert (folder / "x").read_bytes() == b"old"
    assert list(folder.iterdir()) == [folder / "x"]


def test_what_is_renamed_is_on_the_disk_before_and_the_name_after(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill cannot show a missing sync, only power loss could; so its place is looked at."""
    calls: list[str] = []
    synced: list[bool] = []

    def record(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def recorded(*arguments: object, **options: object) -> object:
            calls.append(name)
            if name == "fsync":
                assert isinstance(arguments[0], int)
                synced.append(stat.S_ISDIR(os.fstat(arguments[0]).st_mode))
            return call(*arguments, **options)

        return recorded

    for name in ("write", "fsync", "replace"):
        monkeypatch.setattr(os, name, record(name, getattr(os, name)))
    files.write_atomic(folder / "x", b"1")
    assert calls == ["write", "fsync", "replace", "fsync"]
    assert synced == [False, True]
