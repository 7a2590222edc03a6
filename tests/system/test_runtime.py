"""The running instance is found by a private file, and a stale one is harmless."""

import stat

import pytest

from nexus_tray.api import client
from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.system import runtime


def test_what_is_published_is_what_clients_read(paths: Paths) -> None:
    runtime.publish(paths, "http://127.0.0.1:4711", "first", "counters")
    runtime.publish(paths, "http://127.0.0.1:4712", "second", "counters")
    client.connect(paths)
    assert paths.metrics_token.read_text() == "counters"
    assert paths.metrics_target.read_bytes() == b'[{"targets":["127.0.0.1:4712"]}]'
    assert paths.api_file.read_bytes() == b'{"url":"http://127.0.0.1:4712","token":"second"}'


def test_the_token_is_private(paths: Paths) -> None:
    runtime.publish(paths, "http://127.0.0.1:4711", "token", "counters")
    for file in (paths.api_file, paths.metrics_token, paths.metrics_target):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.run.stat().st_mode) == 0o700


def test_withdrawn_means_not_running(paths: Paths) -> None:
    runtime.publish(paths, "http://127.0.0.1:4711", "token", "counters")
    runtime.withdraw(paths)
    runtime.withdraw(paths)
    assert list(paths.run.iterdir()) == []
    with pytest.raises(Problem) as caught:
        client.connect(paths)
    assert caught.value.reason.code == "not-running"


def test_a_planted_file_is_not_written_through(paths: Paths) -> None:
    paths.run.mkdir(parents=True, mode=0o700)
    paths.api_file.symlink_to(paths.run / "elsewhere")
    with pytest.raises(Problem):
        runtime.publish(paths, "http://127.0.0.1:4711", "token", "counters")
    assert not (paths.run / "elsewhere").exists()
