"""Every verb against a real local API: what it asks, what it says, how it exits."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from nexus_tray.commands import (
    ClearPassword,
    DeleteSecret,
    OpenDashboard,
    OpenDoor,
    Outcome,
    RestartService,
    SetPassword,
    SetSecret,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
    UnlockSecrets,
)
from nexus_tray.model import Batch, Hop, LogLine, Problem, Reason, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import AuditEntry
from nexus_tray.settings import Configuration
from tests.api.doubles import ACCESS, House, until
from tests.api.doubles import house as build
from tests.cli.desk import Desk, instance

PASSWORD = "correct horse battery staple"


@pytest.fixture
def house() -> House[Any]:
    return build()


@pytest.fixture
def desk(paths: Paths, house: House[Any]) -> Iterator[Desk]:
    with instance(paths, house):
        yield Desk(paths)


def test_run_is_handed_on_and_its_exit_code_back(paths: Paths) -> None:
    desk = Desk(paths)
    assert desk("run", "--headless", "--directory", "/srv/x").code == 7
    assert [(o.headless, o.directory) for o in desk.runs] == [(True, "/srv/x")]


def test_status_shows_five_hops_and_the_address(desk: Desk) -> None:
    said = desk("status")
    assert said.code == 0
    for hop in ("device", "edge", "cloudflared", "gateway", "opencode"):
        assert f"● {hop}" in said.out
    assert "Address   https://calm-river.trycloudflare.com" in said.out
    assert "\x1b" not in said.out


def test_status_in_json_is_the_snapshot(desk: Desk, house: House[Any]) -> None:
    said = desk("status", "--json")
    assert msgspec.json.decode(said.out, type=Snapshot) == house.journal.latest()


def test_colour_only_on_a_terminal_that_wants_it(desk: Desk) -> None:
    assert "\x1b[32m" in desk("status", terminal=True).out
    assert "\x1b" not in desk("status", terminal=True, NO_COLOR="1").out
    assert "\x1b" not in desk("status", terminal=True, TERM="dumb").out
    assert "\x1b[32m" in desk("status", terminal=True, NO_COLOR="").out


@pytest.mark.parametrize(
    ("argv", "came"),
    [
        (["start"], [StartService(name=n) for n in ("opencode", "gateway", "quick")]),
        (["stop"], [StopService(name=n) for n in ("quick", "opencode")]),
        (["start", "quick"], [StartService(name="quick")]),
        (["stop", "gateway", "quick"], [StopService(name=n) for n in ("gateway", "quick")]),
        (["restart", "opencode"], [RestartService(name="opencode")]),
        (["password", "clear"], [ClearPassword()]),
        (["secret", "unset", "OPENAI_API_KEY"], [DeleteSecret(name="OPENAI_API_KEY")]),
        (["open", "/a/session/1", "--print"], [OpenDoor(path="/a/session/1")]),
        (["dashboard", "--print"], [OpenDashboard()]),
        (["dashboard", "/logs"], [ShowWindow(page="/logs")]),
        (["quit", "--no-wait"], [Shutdown()]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_a_verb_is_its_command(
    desk: Desk, house: House[Any], argv: list[str], came: list[object]
) -> None:
    assert desk(*argv).code == 0
    assert house.came == came


def test_one_refusal_among_several_decides_the_exit_code(desk: Desk, house: House[Any]) -> None:
    said = desk("restart", "quick", "nothing", "opencode")
    assert said.code == 4
    assert "There is no such service." in said.err
    assert house.came == [RestartService(name="quick"), RestartService(name="opencode")]
    both = desk("restart", "quick", "nothing", "--json")
    assert both.code == 4
    outcomes = msgspec.json.decode(both.out, type=dict[str, Outcome])
    assert [outcomes[name].ok for name in ("quick", "nothing")] == [True, False]


# -- secrets: never in the arguments -----------------------------------------------------


def test_a_first_password_is_asked_for_twice_on_a_terminal(paths: Paths, house: House[Any]) -> None:
    none_yet = msgspec.structs.replace(ACCESS, password=False)
    house.reports = replace(house.reports, access=lambda: none_yet)
    desk = Desk(paths, answers=[PASSWORD, PASSWORD])
    with instance(paths, house):
        said = desk("password", "set")
    assert said.code == 0
    assert desk.asked == ["New password: ", "New password, again: "]
    assert house.came == [SetPassword(password=PASSWORD)]
    assert PASSWORD not in said.out + said.err


def test_another_password_asks_for_the_present_one_too(desk: Desk, house: House[Any]) -> None:
    desk.answers = ["the one before", PASSWORD, PASSWORD]
    assert desk("password", "set").code == 0
    assert desk.asked[0] == "Present password: "
    assert house.came == [SetPassword(password=PASSWORD, current="the one before")]


def test_two_different_passwords_change_nothing(desk: Desk, house: House[Any]) -> None:
    desk.answers = ["the one before", PASSWORD, PASSWORD + "x"]
    said = desk("password", "set")
    assert said.code == 1
    assert "not the same" in said.err
    assert house.came == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_a_password_comes_from_a_pipe(desk: Desk, house: House[Any], end: str) -> None:
    assert desk("password", "set", source=f"the one before\n {PASSWORD} {end}").code == 0
    assert house.came == [SetPassword(password=f" {PASSWORD} ", current="the one before")]
    assert desk.asked == []


@pytest.mark.parametrize("source", ["", "\n", "bad\udcff", "the one before\n"])
def test_no_password_is_no_change(desk: Desk, house: House[Any], source: str) -> None:
    assert desk("password", "set", source=source).code == 1
    assert house.came == []


@pytest.mark.parametrize(
    "argv", [["password", "set", PASSWORD], ["secret", "set", "A", "sk-1"],
             ["secret", "unlock", "phrase"], ["password", "set", "--password", PASSWORD]],
)  # fmt: skip
def test_no_secret_is_taken_from_the_arguments(
    desk: Desk, house: House[Any], argv: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        desk(*argv)
    assert ended.value.code == 2
    assert house.came == []


def test_provider_keys_and_the_passphrase_are_read_the_same_way(
    desk: Desk, house: House[Any]
) -> None:
    assert desk("secret", "set", "OPENAI_API_KEY", source="sk-1\n").code == 0
    desk.answers = ["open sesame"]
    assert desk("secret", "unlock").code == 0
    assert house.came == [
        SetSecret(name="OPENAI_API_KEY", secret="sk-1"),
        UnlockSecrets(passphrase="open sesame"),
    ]


# -- open, quit --------------------------------------------------------------------------


def test_open_gives_the_link_to_the_browser_or_prints_it(desk: Desk) -> None:
    link = "http://127.0.0.1:1/ticket/"
    assert desk("open").out == ""
    assert desk.browsed == [link]
    assert desk("open", "--print").out == f"{link}\n"
    assert desk.browsed == [link]
    desk.has_browser = False
    assert desk("open").out == f"{link}\n"
    assert desk("open", "--json").json == {"ok": True, "reason": None, "value": link}


def test_quit_waits_until_nobody_answers(paths: Paths, house: House[Any]) -> None:
    desk, said = Desk(paths), []
    with instance(paths, house):
        quitter = threading.Thread(target=lambda: said.append(desk("quit")))
        quitter.start()
        until(lambda: bool(house.came))
        assert said == []
    quitter.join(20)
    assert [(each.code, each.out) for each in said] == [(0, "Nexus Tray has ended.\n")]


def test_quit_takes_an_answer_cut_short_for_what_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end itself can cut the waiting request's answer: that is no "still answers"."""
    troubles = ["api-unreadable", "api-internal", "not-running"]

    def events(*_: object) -> Batch:
        raise Problem(Reason(code=troubles.pop(0), hop=Hop.GATEWAY, what="Cut short."))

    monkeypatch.setattr("nexus_tray.api.client.HttpBackend.events", events)
    said = desk("quit")
    assert (said.code, said.out) == (0, "Nexus Tray has ended.\n")
    assert troubles == []


def test_quit_says_when_it_does_not_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_tray.cli.actions.END_SECONDS", 0.2)
    said = desk("quit")
    assert said.code == 1
    assert "still answers" in said.err


# -- settings ----------------------------------------------------------------------------


def test_settings_are_listed_read_and_changed(desk: Desk, house: House[Any]) -> None:
    listed = desk("config", "list").out.splitlines()
    assert "opencode.enabled = true" in listed
    assert "tunnels.quick.transport = auto" in listed
    assert desk("config", "get", "logs.max_megabytes").out == "256\n"
    assert desk("config", "get", "logs").out == '{"max_megabytes": 256}\n'
    assert desk("config", "set", "opencode.directory", "007").out == "opencode.directory = 007\n"
    assert desk("config", "set", "tunnels.quick.enabled", "false").code == 0
    assert desk("config", "set", "opencode.environment", '["A"]').code == 0
    settings = house.settings.read().settings
    assert settings.opencode.directory == "007"
    assert settings.opencode.environment == ("A",)
    assert [(t.name, t.kind, t.enabled) for t in settings.tunnels] == [("quick", "quick", False)]


def test_settings_in_json_are_the_configuration(desk: Desk, house: House[Any]) -> None:
    listed = desk("config", "list", "--json").out
    assert msgspec.json.decode(listed, type=Configuration) == house.settings.read()
    assert desk("config", "get", "opencode.enabled", "--json").json is True
    changed = desk("config", "set", "gateway.local_port", "8080", "--json").out
    assert msgspec.json.decode(changed, type=Configuration).settings.gateway.local_port == 8080


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["config", "get", "nothing"], 1),
        (["config", "get", "opencode.enabled.more"], 1),
        (["config", "set", "opencode.enabled", "yes"], 1),
        (["config", "set", "gateway.local_port", "70000"], 4),
        (["config", "set", "tunnels.quick.transport", "carrier pigeon"], 4),
        (["config", "set", "tunnels.nothing.enabled", "true"], 1),
    ],
)
def test_a_wrong_setting_is_refused_in_words(
    desk: Desk, house: House[Any], argv: list[str], code: int
) -> None:
    before = house.settings.read()
    said = desk(*argv)
    assert (said.code, said.out) == (code, "")
    assert said.err
    assert house.settings.read() == before


# -- logs --------------------------------------------------------------------------------


def test_log_lines_are_inert_and_one_line_each(desk: Desk, house: House[Any]) -> None:
    house.logs.add("\x1b]0;title\x07 \r\n \x9b31m done")
    house.logs.add("other", source="quick")
    said = desk("logs", terminal=True, NO_COLOR="1")
    assert len(said.out.splitlines()) == 2
    assert "\\x1b]0;title\\x07 \\r\\n \\x9b31m done" in said.out
    only = desk("logs", "--json", "--source", "opencode")
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in only.out)
    line = msgspec.json.decode(only.out, type=LogLine)
    assert line.text == "\x1b]0;title\x07 \r\n \x9b31m done"


def test_log_filters_reach_the_store(desk: Desk, house: House[Any]) -> None:
    for number in range(5):
        house.logs.add(f"line {number}", at=house.journal.latest().taken_at + number * 20)
    assert [row["text"] for row in map(json.loads, desk("logs", "-n", "2", "--json").out
            .splitlines())] == ["line 3", "line 4"]  # fmt: skip
    assert "line 3" in desk("logs", "line", "3").out
    assert "line 2" not in desk("logs", "--pattern", "[34]$").out
    recent = desk("logs", "--since", "40s", "--json").out.splitlines()
    assert len(recent) == 2  # the desk's clock stands at 90 s
    assert desk("logs", "--pattern", "(").code == 4
    assert desk("logs", "--since", "yesterday").code == 1


def test_the_audit_is_one_inert_line_a_row_and_takes_every_filter(desk: Desk) -> None:
    said = desk("audit", "Safari", "--event", "sign-in", "--since", "40s", "-n", "3")
    [line] = said.out.splitlines()
    assert "sign-in           203.0.113.7  Safari on iPhone  =cmd|\\x1b 1790000050.0 None 3" in line
    row = msgspec.json.decode(desk("audit", "--json").out, type=AuditEntry)
    assert (row.id, row.event) == (2, "sign-in")
    assert desk("audit", "--until", "yesterday").code == 1


def test_nothing_in_the_audit_is_said_to_people_and_not_to_programs(desk: Desk) -> None:
    assert desk("audit", "nobody").err == "Nothing in the audit trail matches.\n"
    assert desk("audit", "nobody", "--json").err == ""
    refused = desk("audit", "--event", "no-event")
    assert refused.code == 4
    assert "no event" in refused.err


def test_nothing_found_is_said_to_people_and_not_to_programs(desk: Desk) -> None:
    assert desk("logs", "--source", "nobody").err == "No stored line matches.\n"
    as_json = desk("logs", "--source", "nobody", "--json")
    assert (as_json.code, as_json.out, as_json.err) == (0, "", "")


def test_following_shows_new_lines_and_ends_with_the_program(
    paths: Paths, house: House[Any]
) -> None:
    desk, said = Desk(paths), []
    house.logs.add("old")
    with instance(paths, house):
        follower = threading.Thread(target=lambda: said.append(desk("logs", "-f", "--json")))
        follower.start()
        until(lambda: house.logs.asked >= 2)
        for number in range(3):
            house.logs.add(f"new {number}")
        until(lambda: house.logs.asked >= 3)
    follower.join(20)
    assert said[0].code == 3
    lines = said[0].out.splitlines()
    assert [json.loads(line)["text"] for line in lines[:4]] == ["old", "new 0", "new 1", "new 2"]


# -- exit codes --------------------------------------------------------------------------

SPEAKING = [
    ["status"], ["start"], ["stop", "quick"], ["restart", "quick"], ["logs"], ["open"],
    ["password", "clear"], ["config", "list"], ["config", "get", "version"],
    ["secret", "unset", "A"], ["quit"],
]  # fmt: skip


@pytest.mark.parametrize("argv", SPEAKING, ids="-".join)
def test_every_command_says_that_none_runs(paths: Paths, argv: list[str]) -> None:
    said = Desk(paths)(*argv)
    assert (said.code, said.out) == (3, "")
    assert said.err == "Nexus Tray is not running.\nStart it: nexus-tray run\n"
    as_json = Desk(paths)(*argv, "--json")
    assert (as_json.code, as_json.err) == (3, "")
    outcome = msgspec.json.decode(as_json.out, type=Outcome)
    assert outcome.reason is not None
    assert outcome.reason.code == "not-running"


def test_a_password_is_not_even_asked_for_when_none_runs(paths: Paths) -> None:
    desk = Desk(paths)
    assert desk("password", "set").code == 3
    assert desk.asked == []


@pytest.mark.parametrize(
    "argv",
    [[], ["nothing"], ["status", "--nothing"], ["restart"], ["logs", "-n", "0"], ["password"],
     ["logs", "--level", "loud"], ["config", "set", "a"], ["stat"], ["run", "x"]],
    ids=lambda argv: "-".join(argv) or "none",
)  # fmt: skip
def test_wrong_usage_is_two(paths: Paths, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Desk(paths)(*argv)
    assert ended.value.code == 2


def test_a_wrong_number_is_told_in_words(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Desk(paths)("logs", "-n", "x\x1b[31m")
    said = capsys.readouterr().err
    assert "a number from 1 to 10000, not “x\\x1b[31m”" in said
