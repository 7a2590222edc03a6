"""A house with everything in it that the dashboard can show, and words for changing it."""

import math
from typing import Any

import msgspec

from nexus_tray.finding import command_in
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    Hop,
    HopState,
    OpenCodeSession,
    PathHop,
    Question,
    QuestionKind,
    QuestionPart,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)
from nexus_tray.reports import (
    Access,
    AuditEntry,
    AuditPage,
    AuditQuery,
    Check,
    CheckState,
    Device,
    Examination,
    PasskeyEntry,
    TokenEntry,
    Traffic,
    TrafficPoint,
    TrafficQuery,
)
from nexus_tray.store import history_steps
from tests.api.doubles import House

ADDRESS = "https://calm-river-walks-far.trycloudflare.com"
PROJECT = "/home/ada/src/nexus-tray"

BLOCKED = Reason(
    code="tunnel-network",
    hop=Hop.EDGE,
    what="The network blocks the way to Cloudflare.",
    meaning="OpenCode keeps running here; nothing was lost.",
    cure="Allow outbound TCP and UDP on port 7844, or move to another network.",
)

PERMISSION = Question(
    id="per_1",
    kind=QuestionKind.PERMISSION,
    session_id="ses_1",
    directory=PROJECT,
    title="bash",
    detail="git push origin feature/tray-icons",
    asked_at=1.0,
)

CHOICE = Question(
    id="que_1",
    kind=QuestionKind.QUESTION,
    session_id="ses_2",
    directory=PROJECT,
    title="question",
    parts=(
        QuestionPart(
            text="Which colour shall the icon have?",
            options=(("Blue", "as the links"), ("Green", "as what is well")),
            custom=True,
        ),
        QuestionPart(
            text="For which panels?",
            options=(("Light", ""), ("Dark", "")),
            multiple=True,
            custom=False,
        ),
    ),
    asked_at=1.0,
)


def sessions(now: float) -> tuple[OpenCodeSession, ...]:
    rows = [
        ("ses_1", "Add coloured tray icons", SessionState.WAITING, 0.41, 20),
        ("ses_2", "Find out why the path test is slow", SessionState.WORKING, 1.12, 4),
        ("ses_3", "Räume auf: alte Protokolle ☂", SessionState.IDLE, None, 5000),
    ]
    return tuple(
        OpenCodeSession(
            id=key, title=title, directory=PROJECT, project="nexus-tray", state=state, cost=cost,
            updated_at=now - ago,
        )
        for key, title, state, cost, ago in rows
    )  # fmt: skip


def services(now: float) -> tuple[Service, ...]:
    def one(name: str, kind: ServiceKind, since: float, **facts: Any) -> Service:
        return Service(
            name=name, kind=kind, desired=Desired.RUNNING, state=ServiceState.RUNNING,
            since_at=now - since, facts=Facts(**facts),
        )  # fmt: skip

    return (
        one("opencode", ServiceKind.OPENCODE, 11_520, pid=20114, version="1.18.33",
            directory=PROJECT, memory_bytes=334_000_000, latency_ms=2.4),
        one("gateway", ServiceKind.GATEWAY, 11_522, address="http://127.0.0.1:41873"),
        one("quick", ServiceKind.TUNNEL, 11_500, pid=20120, version="2026.8.2", address=ADDRESS,
            transport="quic", connections=4, locations=("fra08", "ams13"),
            memory_bytes=38_000_000, latency_ms=31.0),
    )  # fmt: skip


def well(house: House[Any], now: float, **changes: Any) -> Snapshot:
    """All is well, and somebody works."""
    texts = {
        Hop.DEVICE: "last request 4 s ago",
        Hop.EDGE: "4 connections over QUIC (fra08, ams13)",
        Hop.CLOUDFLARED: "running, 2026.8.2",
        Hop.GATEWAY: "running",
        Hop.OPENCODE: "running, 1.18.33",
    }
    given: dict[str, Any] = {
        "taken_at": now,
        "state": HopState.UP,
        "headline": f"Reachable at {ADDRESS}",
        "address": ADDRESS,
        "reason": None,
        "path": tuple(PathHop(hop=h, state=HopState.UP, text=t) for h, t in texts.items()),
        "services": services(now),
        "activity": Activity(sessions=sessions(now)),
        "jobs": (),
        **changes,
    }
    return house.say(**given)


def broken(house: House[Any], now: float) -> Snapshot:
    """The way to Cloudflare is blocked; the next try is near."""
    snapshot = well(house, now)
    opencode, gateway, quick = snapshot.services
    quick = msgspec.structs.replace(
        quick, state=ServiceState.BACKOFF, reason=BLOCKED, next_try_at=now + 18,
        facts=Facts(version="2026.8.2"), since_at=now - 40, restarts=6,
    )  # fmt: skip
    hops = list(snapshot.path)
    hops[0] = PathHop(hop=Hop.DEVICE, state=HopState.UNKNOWN, text="no visit yet")
    hops[1] = PathHop(hop=Hop.EDGE, state=HopState.DOWN, text=BLOCKED.what, reason=BLOCKED)
    hops[2] = PathHop(hop=Hop.CLOUDFLARED, state=HopState.DOWN, text="waiting to try again")
    return house.say(
        state=HopState.DOWN, headline=BLOCKED.what, reason=BLOCKED, address=None,
        path=tuple(hops), services=(opencode, gateway, quick),
    )  # fmt: skip


def note_some(house: House[Any]) -> None:
    """What happened lately."""
    house.journal.note("OpenCode starts", "opencode")
    house.journal.note("OpenCode is ready", "opencode")
    house.journal.note("Tunnel “quick” starts", "quick")
    house.journal.note(f"Tunnel “quick” cannot run: {BLOCKED.what}", "quick", BLOCKED)
    house.journal.note(f"Tunnel “quick” is ready at {ADDRESS}", "quick")


def examined(at: float) -> Examination:
    """An examination with something of every state, in the order of a request's path."""
    clock = Reason(
        code="doctor-clock", hop=Hop.DEVICE,
        what="This computer's clock is 12 minutes behind Cloudflare's.",
        meaning="Sign-ins end too early or too late.",
        cure="Have the system set its clock by the network.",
    )  # fmt: skip
    password = Reason(
        code="no-password", hop=Hop.GATEWAY, what="No password is set, so remote access is off.",
        meaning="Without one, whoever finds the address would own this computer.",
        cure="Choose one: nexus-tray password set",
    )  # fmt: skip
    rows = (
        ("password", "Password for remote access", CheckState.WARNING, password.what, password),
        ("dns", "Cloudflare's names", CheckState.GOOD, "Cloudflare's names are found", None),
        ("edge", "Cloudflare's edge over TCP", CheckState.GOOD,
         "2 of 2 regions answer on TCP port 7844", None),
        ("quic", "Cloudflare's edge over QUIC", CheckState.UNKNOWN,
         "not known: no tunnel is connected now", None),
        ("clock", "Clock", CheckState.BAD, clock.what, clock),
        ("cloudflared", "cloudflared", CheckState.GOOD, "2026.8.2, ~/bin/cloudflared", None),
        ("gateway", "Gateway", CheckState.GOOD,
         "http://127.0.0.1:41873, and strangers are turned away (401)", None),
        ("opencode", "OpenCode", CheckState.GOOD, "1.18.33, ~/.opencode/bin/opencode", None),
        ("private", "Private files", CheckState.GOOD, "9 folders and files, for you alone", None),
        ("disk", "Room on the disk", CheckState.GOOD, "70.1 GB free at ~/.local/share", None),
    )  # fmt: skip
    checks = tuple(
        Check(
            code=code, title=title, state=state, text=text, reason=reason,
            command=command_in(reason.cure) if reason else "",
        )
        for code, title, state, text, reason in rows
    )  # fmt: skip
    return Examination(at=at, checks=checks)


DOORS = ("public", "local")


def entrances(now: float) -> Access:
    """Three devices, one of which calls itself something odd, and a hundred things past."""
    rows = [
        ("dev-1", "Safari on iPhone", "203.0.113.7", "public", 7200, 4, "code"),
        ("dev-2", "Chrome on Pixel 9", "2001:db8::7f", "public", 200_000, 3700, "pairing"),
        ("dev-3", "<img src=x onerror=alert(1)>\u202e evil", "local", "local", 60, 60, "ticket"),
    ]
    devices = tuple(
        Device(
            id=key, name=name, address=address, door=door, signed_in_at=now - since,
            seen_at=now - seen, expires_at=now + 500_000,
            host=ADDRESS.removeprefix("https://") if door == "public" else "127.0.0.1:41873",
            how=how, country="DE" if door == "public" else None, received=since * 20,
            sent=since * 1300,
        )
        for key, name, address, door, since, seen, how in rows
    )  # fmt: skip
    past = [
        ("sign-in-failed", "stranger", "192.0.2.77", "wrong password"),
        ("locked", "stranger", "192.0.2.77", "for 30 s"),
        ("sign-in", "Safari on iPhone", "203.0.113.7", "signed in"),
        ("ticket-used", "Firefox on Linux", "local", "signed in"),
        ("session-ended", "nexus-tray", "local", "iPad: expired"),
        ("password-set", "owner", "local", ""),
        ("access-paused", "owner", "local", "Remote access is paused until 18:00."),
        ("panic", "owner", "local", "all access ended"),
    ]
    trail = tuple(
        AuditEntry(
            id=100 - place, at=now - 40 * place**1.7 - 8, event=event, who=who, address=address,
            text=text,
        )
        for place in range(100)
        for event, who, address, text in [past[place % len(past)]]
    )  # fmt: skip
    tokens = (
        TokenEntry(
            id="tok-1", name="laptop", scope="full", made_at=now - 86_400,
            expires_at=now + 2_500_000, seen_at=now - 30, address="203.0.113.9", received=120_000,
            sent=4_000_000,
        ),
        TokenEntry(
            id="tok-2", name="wall display", scope="read", made_at=now - 4000,
            expires_at=now + 600_000,
        ),
    )  # fmt: skip
    passkeys = (
        PasskeyEntry(
            id="key-1", name="Ada’s phone", host="code.example.com", made_at=now - 86_400,
            used_at=now - 7200,
        ),
        PasskeyEntry(id="key-2", name="Safe", host="lab.example.com", made_at=now - 4000),
    )  # fmt: skip
    return Access(
        password=True, second_factor=True, recovery_codes=9, devices=devices, tokens=tokens,
        passkeys=passkeys, countries=("DE", "NL"), trail=trail,
    )  # fmt: skip


def found(access: Access, query: AuditQuery) -> AuditPage:
    """What the trail's store answers of these rows; one word for each of its parts."""
    rows = [
        row
        for row in access.trail
        if (not query.events or row.event in query.events)
        and (query.before is None or row.id < query.before)
        and all(
            word.lower() in f"{row.event} {row.who} {row.address} {row.text}".lower()
            for word in query.words.split()
        )
    ]
    return AuditPage(entries=tuple(rows[: query.limit]), more=len(rows) > query.limit)


def passed(query: TrafficQuery, now: float) -> Traffic:
    """Three spells of work, a few failures, and a while in which the gateway was shut."""
    step, begin, end = history_steps.window(now, query.seconds, query.points, 1)
    points = []
    for at in range(begin, end, step):
        part = (at - begin) / (end - begin)
        if 0.36 < part < 0.42:
            continue
        wave = max(0.0, math.sin(part * 18.0)) * (0.6 + 0.4 * math.sin(at / step * 2.3))
        requests = int(wave * step * 0.8)
        points.append(TrafficPoint(
            at=float(at), requests=requests, failures=int(requests > 0.7 * step),
            bytes_in=requests * 700, bytes_out=requests * 14_000 + step * 40, streams=2,
            latency_ms=9.0 + 30.0 * wave if requests else None,
        ))  # fmt: skip
    return Traffic(step=float(step), points=tuple(points))
