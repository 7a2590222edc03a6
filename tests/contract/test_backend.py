"""Both forms of Backend keep one contract: in this process, and over HTTP."""

import threading
from collections.abc import Iterator

import pytest

from nexus_tray.api.client import HttpBackend
from nexus_tray.commands import (
    AbortSession,
    AnswerJob,
    AnswerPermission,
    AnswerQuestion,
    AnyCommand,
    BeginSecondFactor,
    CancelFetch,
    CancelJob,
    ClearPassword,
    ConfirmSecondFactor,
    CreateSession,
    CreateToken,
    CreateTunnel,
    DeleteSecret,
    DeleteTunnel,
    DismissJob,
    EndAllSessions,
    EndPairings,
    EndSession,
    FetchTool,
    ForgetZone,
    GetAutostart,
    ImportTunnel,
    Login,
    NewPairing,
    OpenDashboard,
    OpenDoor,
    Panic,
    PassStep,
    Pause,
    PromptSession,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    Repair,
    RestartService,
    RestoreTool,
    Resume,
    RetryJob,
    RevokePasskey,
    RevokeToken,
    SetAutostart,
    SetPassword,
    SetRoutes,
    SetSecret,
    SetTunnelToken,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
    UnlockSecrets,
)
from nexus_tray.core.backend import Backend
from nexus_tray.model import Cursor, Desired, EventKind, Level, LogQuery, Problem
from nexus_tray.paths import Paths
from nexus_tray.reports import AuditQuery, TrafficQuery
from nexus_tray.settings import RouteSettings
from tests.api.doubles import (
    ACCESS,
    BOOT,
    BUNDLE,
    EXAMINATION,
    IMPORTABLE,
    MEASURED,
    SETUP,
    TOKEN_FACTS,
    TUNNELS,
    House,
    StoredLogs,
    audit,
    first_snapshot,
    stored_house,
    traffic,
    transcript,
)
from tests.api.wires import TOKEN, served


@pytest.fixture
def house(paths: Paths) -> Iterator[House[StoredLogs]]:
    with stored_house(paths) as house:
        yield house


@pytest.fixture(params=["local", "http"])
def backend(request: pytest.FixtureRequest, house: House[StoredLogs]) -> Iterator[Backend]:
    if request.param == "local":
        yield house.backend
        return
    with served(house.backend) as server:
        yield HttpBackend(server.url, TOKEN)


ROUTES = (
    RouteSettings(hostname="code.example.com"),
    RouteSettings(
        hostname="preview.example.com",
        service="https://localhost:5173",
        host_header="localhost",
        verify_tls=False,
        ca_file="/home/ada/ca ☂.pem",
        connect_timeout=7,
        answer_timeout=30,
    ),
)
COMMANDS: list[AnyCommand] = [
    StartService(name="opencode"),
    StopService(name="quick"),
    RestartService(name="gateway"),
    AnswerPermission(question_id="per_1", reply="once"),
    AnswerQuestion(question_id="que_1", answers=(("Blue", "Ré ☂"), ())),
    SetPassword(password='correct horse "battery" ☂ staple'),
    SetPassword(password="another one ☂ altogether", current="the one before"),
    ClearPassword(),
    BeginSecondFactor(current="päss ☂"),
    ConfirmSecondFactor(code="123 456"),
    RemoveSecondFactor(current="päss"),
    RenewRecoveryCodes(current="päss"),
    NewPairing(current="päss"),
    NewPairing(current="päss", address="https://code.example.com", name="Ada’s phone"),
    EndPairings(),
    CreateToken(current="päss", name="laptop"),
    CreateToken(current="päss", name="wall ☂", scope="read", days=365),
    RevokeToken(id="a1b2c3"),
    RevokePasskey(id="a1b2c3"),
    RenameDevice(id="a1b2c3", name="Ada’s phone ☂"),
    CreateSession(text="Write a test\nand run it ☂"),
    CreateSession(text="hi", directory="/home/ada/a b"),
    PromptSession(session_id="ses_1", text="go on ☂"),
    PromptSession(session_id="ses_1"),
    AbortSession(session_id="ses_1"),
    OpenDoor(path="/x/session/1?a=b&c=%2F#d"),
    OpenDashboard(page="/logs?source=quick"),
    SetSecret(name="OPENAI_API_KEY", secret="sk-\n\x00-1"),
    DeleteSecret(name="OPENAI_API_KEY"),
    UnlockSecrets(passphrase=" with spaces "),
    GetAutostart(),
    SetAutostart(enabled=True),
    EndSession(id="a1b2c3"),
    EndAllSessions(),
    Pause(until_at=1_790_000_900.5),
    Resume(),
    Panic(),
    FetchTool(name="opencode"),
    CancelFetch(name="cloudflared"),
    PassStep(step="tools"),
    ShowWindow(page="/logs?source=quick"),
    CreateTunnel(name="quick-2"),
    CreateTunnel(name="home", kind="named", zone_id="a" * 32, routes=ROUTES),
    CreateTunnel(name="office", kind="token", token="eyJ-☂"),
    DeleteTunnel(name="home"),
    DeleteTunnel(name="home", only_here=True),
    SetRoutes(name="home", routes=ROUTES),
    SetRoutes(name="home", routes=()),
    SetTunnelToken(name="office", token="cloudflared service install eyJ"),
    Login(),
    ForgetZone(zone_id="a" * 32),
    ImportTunnel(path="/home/ada/.cloudflared/a b.json"),
    AnswerJob(id="job-1", yes=True),
    CancelJob(id="job-1"),
    RetryJob(id="job-1"),
    DismissJob(id="job-1"),
    Repair(code="socket"),
    RestoreTool(name="cloudflared"),
    Shutdown(),
]


def test_every_command_stands_in_the_table() -> None:
    assert {type(command) for command in COMMANDS} == set(AnyCommand.__args__)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_arrives_whole_and_once(
    backend: Backend, house: House[StoredLogs], command: AnyCommand
) -> None:
    outcome = backend.submit(command)
    assert outcome.ok
    assert outcome.reason is None
    assert house.came == [command]


def test_the_outcome_carries_its_value(backend: Backend) -> None:
    assert backend.submit(OpenDoor(path="/a")).value == "http://127.0.0.1:1/ticket/a"


@pytest.mark.parametrize("name", ["nothing", "öpencode", "open code", "%6fpencode"])
def test_a_refused_command_says_why_and_changes_nothing(
    backend: Backend, house: House[StoredLogs], name: str
) -> None:
    before = backend.snapshot()
    outcome = backend.submit(StopService(name=name))
    assert not outcome.ok
    assert outcome.reason is not None
    assert outcome.reason.code == "no-such-service"
    assert backend.snapshot() == before
    assert house.came == []


@pytest.mark.parametrize("name", ["", "a/b", "../password", "..", "\ud800"])
def test_no_name_reaches_beyond_its_place(
    backend: Backend, house: House[StoredLogs], name: str
) -> None:
    assert not backend.submit(StopService(name=name)).ok
    assert house.came == []


def test_the_snapshot_is_the_same_value(backend: Backend) -> None:
    assert backend.snapshot() == first_snapshot()


def test_the_audit_answers_the_whole_question(backend: Backend) -> None:
    query = AuditQuery(
        words="Safari iPhone", events=("sign-in", "panic"), since_at=1.5, until_at=2.5,
        before=9, limit=7,
    )  # fmt: skip
    assert backend.audit(query) == audit(query)
    assert backend.audit(query).entries[0].text.endswith("1.5 2.5 7")
    assert backend.audit(AuditQuery(words="nobody ☂")).entries == ()
    with pytest.raises(Problem, match="no event"):
        backend.audit(AuditQuery(events=("no-event",)))


def test_the_reports_are_the_same_values(backend: Backend) -> None:
    assert backend.access() == ACCESS
    assert backend.examine() == EXAMINATION
    assert backend.measured() == MEASURED
    assert backend.setup() == SETUP
    assert backend.tunnels() == TUNNELS
    assert backend.importable() == IMPORTABLE
    assert backend.inspect_token("eyJ ☂") == TOKEN_FACTS
    assert backend.bundle() == BUNDLE
    assert backend.transcript("ses ☂ 1") == transcript("ses ☂ 1")
    with pytest.raises(Problem, match="no session"):
        backend.transcript("none")
    with pytest.raises(Problem, match="no token"):
        backend.inspect_token("no token")
    query = TrafficQuery(seconds=600, points=60, tunnel="home")
    assert backend.traffic(query) == traffic(query)


def test_a_pause_without_an_end_arrives_as_that(backend: Backend, house: House[StoredLogs]) -> None:
    assert backend.submit(Pause()).ok
    assert house.came == [Pause(until_at=None)]


def test_a_new_reader_gets_one_reset_with_the_snapshot(backend: Backend) -> None:
    batch = backend.events(None, 0.0)
    assert [event.kind for event in batch.events] == [EventKind.RESET]
    assert batch.events[0].snapshot == first_snapshot()
    assert batch.cursor == Cursor(boot_id=BOOT, id=1)


def test_a_reader_of_another_boot_begins_again(backend: Backend) -> None:
    for stale in (Cursor(boot_id="other:1", id=1), Cursor(boot_id=BOOT, id=999)):
        assert backend.events(stale, 5.0).events[0].kind is EventKind.RESET


def test_events_come_in_order_and_once(backend: Backend, house: House[StoredLogs]) -> None:
    since = backend.events(None, 0.0).cursor
    house.journal.note("OpenCode ended.", service="opencode")
    backend.submit(StopService(name="quick"))
    batch = backend.events(since, 5.0)
    assert [event.kind for event in batch.events] == [EventKind.NOTE, EventKind.SNAPSHOT]
    assert batch.events[0].note == "OpenCode ended."
    shown = batch.events[1].snapshot
    assert shown is not None
    quick = shown.service("quick")
    assert quick is not None
    assert quick.desired is Desired.STOPPED
    again = backend.events(batch.cursor, 0.0)
    assert again.events == ()
    assert again.cursor == batch.cursor


def test_a_waiting_reader_is_woken(backend: Backend, house: House[StoredLogs]) -> None:
    since = backend.events(None, 0.0).cursor
    teller = threading.Timer(0.1, house.journal.note, args=("now",))
    teller.start()
    batch = backend.events(since, 30.0)
    teller.join()
    assert [event.note for event in batch.events] == ["now"]


def test_logs_are_filtered_and_paged(backend: Backend, house: House[StoredLogs]) -> None:
    for number in range(10):
        level = Level.ERROR if number % 2 else Level.INFO
        house.logs.add(f"line {number} & more", source="quick" if number < 5 else "opencode",
                       level=level)  # fmt: skip
    page = backend.logs(LogQuery(limit=3))
    assert [line.text for line in page.lines] == [f"line {n} & more" for n in (7, 8, 9)]
    assert page.more
    assert page.last_id == 10
    older = backend.logs(LogQuery(limit=3, before=page.lines[0].id))
    assert [line.id for line in older.lines] == [5, 6, 7]
    grave = backend.logs(LogQuery(sources=("quick", "gateway"), level=Level.ERROR))
    assert [line.id for line in grave.lines] == [2, 4]
    assert [line.id for line in backend.logs(LogQuery(words="more 4")).lines] == [5]
    assert [line.id for line in backend.logs(LogQuery(pattern=r"^line [12]\b")).lines] == [2, 3]
    after = backend.logs(LogQuery(after=8, limit=1))
    assert [line.id for line in after.lines] == [9]


def test_logs_wait_for_the_first_new_line(backend: Backend, house: House[StoredLogs]) -> None:
    house.logs.add("old")
    writer = threading.Timer(0.1, house.logs.add, args=("new",))
    writer.start()
    page = backend.logs(LogQuery(after=1), 30.0)
    writer.join()
    assert [line.text for line in page.lines] == ["new"]


def test_a_bad_pattern_is_a_problem(backend: Backend) -> None:
    with pytest.raises(Problem) as caught:
        backend.logs(LogQuery(pattern="("))
    assert caught.value.reason.code == "log-pattern-invalid"


def test_settings_are_merged_and_tagged(backend: Backend) -> None:
    before = backend.config()
    after = backend.update_config({"opencode": {"directory": "/srv/ü"}}, before.etag)
    assert after.settings.opencode.directory == "/srv/ü"
    assert after.settings.tunnels == before.settings.tunnels
    assert after.etag != before.etag
    assert backend.config() == after
    reset = backend.update_config({"opencode": {"directory": None}}, None)
    assert reset == before


@pytest.mark.parametrize(
    ("change", "stale", "code"),
    [
        ({"opencode": {"directory": "/a"}}, True, "config-changed"),
        ({"opencode": {"directroy": "/a"}}, False, "config-invalid"),
        ({"gateway": {"local_port": 70000}}, False, "config-invalid"),
    ],
)
def test_a_refused_change_changes_nothing(
    backend: Backend, change: dict[str, object], stale: bool, code: str
) -> None:
    before = backend.config()
    with pytest.raises(Problem) as caught:
        backend.update_config(change, "stale" if stale else before.etag)
    assert caught.value.reason.code == code
    assert backend.config() == before
