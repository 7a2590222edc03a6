"""Tunnels from a terminal: each verb is its command, and a job is followed to its end."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from nexus_tray.commands import (
    AnswerJob,
    AnyCommand,
    CancelJob,
    CreateTunnel,
    DeleteTunnel,
    DismissJob,
    ForgetZone,
    ImportTunnel,
    Login,
    RestartService,
    RetryJob,
    SetRoutes,
    SetTunnelToken,
    StartService,
    StopService,
)
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.model import (
    Facts,
    Hop,
    Job,
    JobState,
    JobStep,
    Reason,
    ServiceKind,
    StepState,
)
from nexus_tray.paths import Paths
from nexus_tray.settings import RouteSettings
from tests.api.doubles import ACCOUNT, AT, TUNNEL_ID, ZONE, House, service
from tests.api.doubles import house as build
from tests.cli.desk import Desk, Said, instance

KEY = "job-7"
CODE, PREVIEW = RouteSettings(hostname="code.example.com"), "http://localhost:5173"
OVERWRITE = Reason(
    code="record-there",
    hop=Hop.EDGE,
    what="code.example.com leads somewhere else.",
    meaning="Overwriting it ends that.",
    cure="Overwrite the DNS record?",
)


class JobHouse(House[Any]):
    """A house in which what makes and deletes tunnels answers with a job's id."""

    job: Job | None = None

    @property
    def backend(self) -> LocalBackend:
        handlers = dict.fromkeys(AnyCommand.__args__, self._carry_out_job)
        return LocalBackend(self.journal, self.logs, self.settings, handlers, self.reports)

    def _carry_out_job(self, command: Any) -> str | None:
        known = self._carry_out(command)
        if self.job is None or not isinstance(command, CreateTunnel | DeleteTunnel | Login):
            return known
        self.say(jobs=(self.job,))
        return KEY


@pytest.fixture
def house() -> JobHouse:
    plain = build()
    house = JobHouse(plain.journal, plain.logs, plain.settings)
    facts = Facts(connections=4, transport="quic", locations=("fra08",), proved_at=AT + 60)
    home = service("home", ServiceKind.TUNNEL, facts=facts)
    house.say(services=(*house.journal.latest().services, home))
    house.settings.update(
        {"tunnels": [{"name": "home", "kind": "named", "routes": [{"hostname": CODE.hostname}]}]},
        None,
    )
    return house


@pytest.fixture
def desk(paths: Paths, house: JobHouse) -> Iterator[Desk]:
    with instance(paths, house):
        yield Desk(paths)


def job(state: JobState, step: StepState, **more: Any) -> Job:
    steps = (JobStep(title="Make it at Cloudflare", state=step, text="34b8"), JobStep(title="Lead"))
    return Job(id=KEY, kind="create", subject="new", state=state, began_at=AT, steps=steps, **more)


@pytest.mark.parametrize(
    ("argv", "came"),
    [
        (["create", "new"], CreateTunnel(name="new")),
        (
            ["create", "new", "--kind", "named", "--zone", "example.com",
             "--host", "code.example.com", "--host", f"preview.example.com={PREVIEW}"],
            CreateTunnel(
                name="new", kind="named", zone_id=ZONE,
                routes=(CODE, RouteSettings(hostname="preview.example.com", service=PREVIEW)),
            ),
        ),
        (["start", "home"], StartService(name="home")),
        (["stop", "home"], StopService(name="home")),
        (["restart", "home"], RestartService(name="home")),
        (["delete", "home", "--yes"], DeleteTunnel(name="home")),
        (["delete", "home", "--yes", "--only-here"], DeleteTunnel(name="home", only_here=True)),
        (
            ["route", "add", "home", "preview.example.com", PREVIEW, "--no-verify"],
            SetRoutes(name="home", routes=(CODE, RouteSettings(
                hostname="preview.example.com", service=PREVIEW, verify_tls=False))),
        ),
        (
            ["route", "add", "home", "code.example.com", PREVIEW, "--host-header", "localhost"],
            SetRoutes(name="home", routes=(RouteSettings(
                hostname="code.example.com", service=PREVIEW, host_header="localhost"),)),
        ),
        (["route", "remove", "home", "code.example.com"], SetRoutes(name="home", routes=())),
        (["route", "move", "home", CODE.hostname, "1"], SetRoutes(name="home", routes=(CODE,))),
        (["login"], Login()),
        (["forget-zone", "example.com"], ForgetZone(zone_id=ZONE)),
        (["import", "/home/ada/.cloudflared/cert.pem"],
         ImportTunnel(path="/home/ada/.cloudflared/cert.pem")),
        (["cancel", KEY], CancelJob(id=KEY)),
        (["dismiss", KEY], DismissJob(id=KEY)),
        (["retry", KEY, "--no-wait"], RetryJob(id=KEY)),
        (["answer", KEY, "no", "--no-wait"], AnswerJob(id=KEY, yes=False)),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_verb_is_its_command(desk: Desk, house: JobHouse, argv: list[str], came: object) -> None:
    said = desk("tunnel", *argv)
    assert (said.code, said.err) == (0, "")
    assert house.came == [came]


@pytest.mark.parametrize("argv", [["create", "office", "--kind", "token"], ["token", "home"]])
def test_a_token_is_asked_for_and_never_stands_in_the_arguments(
    desk: Desk, house: JobHouse, argv: list[str]
) -> None:
    said = desk("tunnel", *argv, source="eyJ-secret\n")
    assert said.code == 0
    assert "eyJ-secret" not in said.out + said.err
    [came] = house.came
    assert isinstance(came, CreateTunnel | SetTunnelToken)
    assert came.token == "eyJ-secret"
    if argv[0] == "create":
        assert TUNNEL_ID in said.out
        assert ACCOUNT in said.out


def test_what_is_no_token_is_said_before_anything_is_made(desk: Desk, house: JobHouse) -> None:
    said = desk("tunnel", "create", "office", "--kind", "token", source="no token\n")
    assert said.code == 4
    assert "This is no token." in said.err
    assert house.came == []


@pytest.mark.parametrize("verb", ["status", "start", "stop", "restart", "delete"])
@pytest.mark.parametrize("name", ["opencode", "nothing", "--x"])
def test_only_a_tunnel_is_a_tunnel(desk: Desk, house: JobHouse, verb: str, name: str) -> None:
    said = desk("tunnel", verb, "--", name, source="")
    assert said.code == 4
    assert "There is no tunnel named" in said.err
    assert house.came == []


@pytest.mark.parametrize(("typed", "done"), [("y\n", 1), ("n\n", 0), ("", 0)])
def test_deleting_asks_on_a_terminal(desk: Desk, house: JobHouse, typed: str, done: int) -> None:
    said = desk("tunnel", "delete", "home", typed=typed)
    assert "its DNS names: code.example.com, preview.example.com" in said.err
    assert len(house.came) == done


def test_one_tunnel_says_everything(desk: Desk) -> None:
    said = desk("tunnel", "status", "home")
    assert said.code == 0
    for words in (
        "● home", "4 over quic (fra08)", "30 s ago", "unix:/run/gateway.sock", "code.example.com",
        "leads elsewhere", "issued by Example Authority",
    ):  # fmt: skip
        assert words in said.out
    told = desk("tunnel", "status", "home", "--json")
    assert told.json["report"]["tunnel_id"] == TUNNEL_ID


@pytest.mark.parametrize("verb", ["list", "zones", "import", "jobs"])
def test_lists_are_words_or_json(desk: Desk, verb: str) -> None:
    assert desk("tunnel", verb).code == 0
    assert isinstance(desk("tunnel", verb, "--json").json, list | dict)


def test_jobs_say_what_they_wait_for(desk: Desk, house: JobHouse) -> None:
    house.say(jobs=(job(JobState.WAITING, StepState.RUNNING, question=OVERWRITE),))
    told = desk("tunnel", "jobs")
    assert OVERWRITE.what in told.out
    assert f"nexus-tray tunnel answer {KEY} yes (or no)" in told.out
    house.say(jobs=(job(JobState.WAITING, StepState.RUNNING, link="https://a.example/page"),))
    assert "https://a.example/page" in desk("tunnel", "jobs").out
    house.say(jobs=(job(JobState.FAILED, StepState.FAILED, reason=OVERWRITE),))
    assert f"nexus-tray tunnel retry {KEY}" in desk("tunnel", "jobs").out


@pytest.mark.parametrize("verb", ["list", "jobs"])
def test_what_is_over_is_listed_no_more(desk: Desk, house: JobHouse, verb: str) -> None:
    for state, listed in {
        JobState.RUNNING: True, JobState.WAITING: True, JobState.FAILED: True,
        JobState.DONE: False, JobState.CANCELLED: False,
    }.items():  # fmt: skip
        house.say(jobs=(job(state, StepState.DONE),))
        assert (KEY in desk("tunnel", verb).out) is listed, state
    house.say(jobs=(job(JobState.DONE, StepState.DONE, by_hand=("Delete the record.",)),))
    assert KEY in desk("tunnel", verb).out, "something is left to do"
    assert KEY in str(desk("tunnel", "jobs", "--json").json)


def followed(desk: Desk, house: JobHouse, then: Callable[[], None], **more: Any) -> Said:
    """`tunnel create new`, and what happens to its job meanwhile."""
    house.job = job(JobState.RUNNING, StepState.RUNNING)
    worker = threading.Thread(target=then)
    worker.start()
    try:
        return desk("tunnel", "create", "new", **more)
    finally:
        worker.join(10)


def after(house: JobHouse, kind: type[Any], *jobs: Job) -> Callable[[], None]:
    """Once a command of that kind came, the job goes on so."""

    def work() -> None:
        for _ in range(500):
            if any(isinstance(one, kind) for one in house.came):
                break
            threading.Event().wait(0.01)
        for one in jobs:
            threading.Event().wait(0.05)
            house.say(jobs=(one,))

    return work


def test_a_job_is_followed_to_its_end(desk: Desk, house: JobHouse) -> None:
    link = job(JobState.WAITING, StepState.DONE, link="https://dash.example/x", expires_at=AT + 9)
    done = job(JobState.DONE, StepState.DONE)
    said = followed(desk, house, after(house, CreateTunnel, link, done))
    assert said.code == 0
    assert "● Make it at Cloudflare: 34b8" in said.out
    assert "https://dash.example/x" in said.out
    assert desk.browsed == ["https://dash.example/x"]
    assert "Tunnel “new” is made." in said.out
    assert house.came[-1] == DismissJob(id=KEY)


def test_a_job_that_fails_says_why_and_how_to_go_on(desk: Desk, house: JobHouse) -> None:
    why = Reason(code="api-500", hop=Hop.EDGE, what="Cloudflare did not answer.", cure="Wait.")
    failed = job(JobState.FAILED, StepState.FAILED, reason=why)
    said = followed(desk, house, after(house, CreateTunnel, failed))
    assert said.code == 4
    assert "Cloudflare did not answer.\nWait." in said.err
    assert f"nexus-tray tunnel retry {KEY}" in said.err
    assert DismissJob(id=KEY) not in house.came


@pytest.mark.parametrize(("typed", "yes"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_question_is_asked_on_a_terminal(
    desk: Desk, house: JobHouse, typed: str, yes: bool
) -> None:
    asks = job(JobState.WAITING, StepState.DONE, question=OVERWRITE)
    over = job(JobState.DONE if yes else JobState.CANCELLED, StepState.DONE)

    def work() -> None:
        after(house, CreateTunnel, asks)()
        after(house, AnswerJob, over)()

    said = followed(desk, house, work, typed=typed)
    assert "code.example.com leads somewhere else." in said.err
    assert "Overwrite the DNS record? [y/N]" in said.err
    assert AnswerJob(id=KEY, yes=yes) in house.came
    assert said.code == (0 if yes else 4)


def test_a_script_is_told_how_to_answer(desk: Desk, house: JobHouse) -> None:
    asks = job(JobState.WAITING, StepState.DONE, question=OVERWRITE)
    said = followed(desk, house, after(house, CreateTunnel, asks), source="")
    assert said.code == 4
    assert f"nexus-tray tunnel answer {KEY} yes" in said.err
    assert not any(isinstance(one, AnswerJob) for one in house.came)


def test_what_a_job_says_is_inert(desk: Desk, house: JobHouse) -> None:
    evil = msgspec.structs.replace(
        job(JobState.DONE, StepState.DONE),
        steps=(JobStep(title="a\x1b[31mb", state=StepState.DONE, text="\r\nc"),),
    )
    said = followed(desk, house, after(house, CreateTunnel, evil))
    assert "\x1b" not in said.out
    assert "\r" not in said.out
