"""Who listens on a port: the system's own table, and tables written for the test."""

import os
import socket
import sys
from pathlib import Path

import pytest

from nexus_tray.api.listener import is_foreign, listeners

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
ROW = "   0: {at} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5}  0 1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the table is Linux's")
def test_our_own_listener_is_ours_and_gone_when_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listeners(port) == {os.geteuid()}
        assert not is_foreign(port)
    assert listeners(port) == set()


def test_rows_are_read_by_port_and_state(tmp_path: Path) -> None:
    four, six = tmp_path / "tcp", tmp_path / "tcp6"
    four.write_text(
        HEAD
        + ROW.format(at="0100007F:1F90", state="0A", uid=1000)
        + ROW.format(at="0100007F:1F90", state="01", uid=1001)
        + ROW.format(at="0100007F:1F91", state="0A", uid=1002)
    )
    six.write_text(HEAD + ROW.format(at=f"{'0' * 32}:1F90", state="0A", uid=1003))
    assert listeners(8080, (four, six, tmp_path / "none")) == {1000, 1003}


def test_only_others_are_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    us = os.geteuid()
    for owners, foreign in ((set(), False), ({us}, False), ({us, 1}, False), ({us + 1}, True)):
        monkeypatch.setattr("nexus_tray.api.listener.listeners", lambda _, o=owners: o)
        assert is_foreign(1) is foreign
