"""The driver on the real OpenCode: ready by proof, ended completely, failures named."""

import os
import socket
import stat
import threading
import time
from pathlib import Path

import psutil
import pytest

from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed
from nexus_tray.model import Level
from nexus_tray.services import opencode_run
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell
from nexus_tray.services.opencode_versions import V1, detect
from nexus_tray.services.ports import free_port
from tests.opencode_lab.harness import Home, Keeper, Talk, until


def number_in(file: Path) -> int:
    """The number a shell wrote there; 0: not yet."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return int(text) if text.endswith("\n") else 0


def runs(pid: int) -> bool:
    """Whether it still is a process, and not only the entry init has yet to clear."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def failure(end: Exited) -> Failure:
    assert end.failure is not None
    return end.failure


def test_ready_only_when_it_really_answers_and_says_what_it_is(opencode: Keeper) -> None:
    probes = opencode.of(Probed)
    assert probes[0].reason is not None, "the first probe came before it listened"
    assert probes[0].reason.code == "opencode-starting"
    assert opencode.probe().reason is None
    facts = opencode.facts
    assert facts.version is not None
    assert facts.version.startswith("1.")
    assert facts.pid == opencode.pid
    assert facts.directory == str(opencode.home.project)
    assert facts.memory_bytes is not None
    assert facts.memory_bytes > 50_000_000


def test_it_asks_for_the_password_of_this_start(opencode: Keeper) -> None:
    assert opencode.upstream is not None
    assert len(opencode.upstream.authorization) > 40
    stranger = type(opencode.upstream)("127.0.0.1", opencode.upstream.port, b"Basic eDp5")
    with pytest.raises(Unwell) as caught:
        detect(OpenCodeClient(stranger), V1)
    assert caught.value.trouble is Trouble.STATUS
    assert caught.value.status == 401
    assert opencode.upstream.authorization.decode() not in Path(
        f"/proc/{opencode.pid}/cmdline"
    ).read_text(encoding="utf-8"), "never in argv"


def test_its_log_arrives_with_levels(opencode: Keeper) -> None:
    assert (Level.INFO, "init") in opencode.log


def test_the_password_is_kept_out_of_the_log(opencode_home: Home) -> None:
    tell = '#!/bin/sh\necho "server password $OPENCODE_SERVER_PASSWORD"\nexit 1\n'
    with Keeper(opencode_home, script(opencode_home.root / "tells", tell)) as keeper:
        keeper.begin()
        end = failure(keeper.exited(5))
        assert (Level.INFO, "server password •••") in keeper.log
        assert end.reason.meaning == "Its last words: server password •••"


def test_a_stop_ends_tools_in_sessions_of_their_own_and_reports_it(opencode_home: Home) -> None:
    with Keeper(opencode_home) as keeper:
        upstream = keeper.start()
        talk = Talk(upstream, opencode_home.project)
        mark = opencode_home.project / "tool.pid"
        talk.say(f"RUNTOOL: echo $$ > {mark}; trap '' TERM; sleep 300")
        asked = until("the permission", lambda: talk.pending("permission"))[0]
        talk.reply(asked["id"])
        tool = until("the tool", lambda: number_in(mark))
        assert os.getsid(tool) != os.getsid(keeper.pid), "a session of its own, as measured"

        began = time.monotonic()
        assert keeper.stop().failure is None
        assert time.monotonic() - began < 12
        assert not runs(tool)
        assert any("disposing" in text for _, text in keeper.log), "asked in order before TERM"
        assert keeper.upstreams == [upstream, None]
        keeper.driver.stop(keeper.run)  # a run that is over: nothing happens
        keeper.driver.kill(keeper.run)
        keeper.driver.probe(keeper.run)
        assert len(keeper.of(Exited)) == 1

        # a stop in the middle of the next start, before there is anything to ask
        keeper.begin()
        assert keeper.stop().failure is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken", "{ broken", "line 1"),
        ("wrong-type", '{"model": 7}', "model"),
    ],
)
def test_a_corrupt_configuration_is_named_within_5_s(
    opencode_home: Home, name: str, content: str, said: str
) -> None:
    opencode_home.config.write_text(content, encoding="utf-8")
    with Keeper(opencode_home) as keeper:
        keeper.begin()
        # how long OpenCode itself takes to start is the machine's matter (here 1.3 s, idle)
        until("listening", lambda: any("listening" in text for _, text in keeper.log), 60)
        named = keeper.probe(5)
        end = failure(keeper.exited(5))
        assert named.reason == end.reason
        assert end.cause is Cause.FATAL
        assert end.reason.code == "opencode-bad-config"
        assert str(opencode_home.config) in end.reason.what
        assert said in end.reason.what
        assert end.reason.cure
        assert keeper.upstreams == [], "it never was offered to anybody"


def script(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_missing_program_is_fatal_with_a_cure(opencode_home: Home) -> None:
    with Keeper(opencode_home, opencode_home.root / "nowhere") as keeper:
        keeper.begin()
        end = failure(keeper.exited(5))
        assert end.cause is Cause.FATAL
        assert end.reason.code == "opencode-missing"
        assert end.reason.cure


def test_what_is_not_a_program_is_fatal(opencode_home: Home) -> None:
    with Keeper(opencode_home, script(opencode_home.root / "junk", "\x00\x01")) as keeper:
        keeper.begin()
        assert failure(keeper.exited(5)).reason.code == "opencode-wrong-kind"


def test_a_missing_folder_is_fatal(opencode_home: Home) -> None:
    opencode_home.project.rmdir()
    with Keeper(opencode_home) as keeper:
        keeper.begin()
        end = failure(keeper.exited(5))
        assert (end.cause, end.reason.code) == (Cause.FATAL, "opencode-no-directory")


@pytest.mark.parametrize(
    ("text", "cause", "code", "said"),
    [
        ("#!/bin/sh\necho 'the reason' >&2\nexit 3\n", Cause.CRASH, "opencode-ended", "the reason"),
        ("#!/bin/sh\nkill -9 $$\n", Cause.CRASH, "opencode-killed", "memory"),
        ("#!/bin/sh\nkill -SEGV $$\n", Cause.CRASH, "opencode-killed", "SIGSEGV"),
        ("#!/bin/sh\nkill -ILL $$\n", Cause.FATAL, "opencode-wrong-cpu", "baseline"),
    ],
)
def test_instant_exits_are_told_apart(
    opencode_home: Home, text: str, cause: Cause, code: str, said: str
) -> None:
    with Keeper(opencode_home, script(opencode_home.root / "dies", text)) as keeper:
        keeper.begin()
        end = failure(keeper.exited(5))
        assert (end.cause, end.reason.code) == (cause, code)
        assert said in str(end.reason)


def test_a_port_taken_meanwhile_gets_a_new_one(
    opencode_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        ports = iter([thief.getsockname()[1], free_port()])
        monkeypatch.setattr(opencode_run, "free_port", lambda: next(ports))
        with Keeper(opencode_home) as keeper:
            upstream = keeper.start()
            assert upstream.port != thief.getsockname()[1]
        thief.settimeout(0)
        seen = b""
        connection, _ = thief.accept()  # our look whether somebody listens, nothing more
        with connection:
            connection.settimeout(1)
            seen = connection.recv(4096)
        assert seen == b"", "no credential goes to whoever took the port"


def test_stop_and_kill_at_any_moment_end_in_exactly_one_exit(opencode_home: Home) -> None:
    slow = script(opencode_home.root / "slow", "#!/bin/sh\nsleep 30\n")
    with Keeper(opencode_home, slow) as keeper:
        for end in (keeper.driver.stop, keeper.driver.kill):
            for delay in (0.0, 0.002, 0.01, 0.05):
                keeper.begin()
                time.sleep(delay)
                calls = [threading.Thread(target=end, args=(keeper.run,)) for _ in range(4)]
                for call in calls:
                    call.start()
                for call in calls:
                    call.join()
                assert keeper.exited(10).failure is None
        assert [item.run for item in keeper.reports if isinstance(item, Exited)] == list(
            range(1, 9)
        )
        assert all(item.facts.pid for item in keeper.reports if isinstance(item, Observed))


def test_a_fault_of_our_own_still_ends_the_run(
    opencode_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def environment() -> dict[str, str]:
        raise RuntimeError("a bug")

    opencode_home.environment = environment  # type: ignore[method-assign]
    with Keeper(opencode_home) as keeper:
        keeper.begin()
        assert failure(keeper.exited(5)).reason.code == "opencode-unforeseen"
        until("the traceback", lambda: raised)
        assert str(raised[0].exc_value) == "a bug"
