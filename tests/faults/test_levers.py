"""The table of the lab's fault levers: what each tunnel shows, and how it comes back.

Quick, named and token tunnels at once, over the stand-in and the real cloudflared where there
is one. `test_every_lever_is_pulled` holds the table against the lab. The API's faults in the
middle of create and delete are tests/faults/test_api_levers.py.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from nexus_tray.gateway.http import Principal, Request, Response
from tests.cloudflare.lab import TESTS, Lab, cloudflareds, until
from tests.faults.levers import KINDS, House, Row, S, See, play

PROGRAMS = cloudflareds()
HIDDEN = 1e6
Pull = Callable[[House], object]
KEPT = ("named", "token")


def every(state: S, codes: str, within: float = 15.0, waits: float = 0.0) -> dict[str, See]:
    return dict.fromkeys(KINDS, See(state, codes, within, waits))


def fault(**changes: object) -> Pull:
    return lambda house: house.lab.faults(**changes)


def drop(mode: str) -> Pull:
    return lambda house: house.lab.call("POST", "/edge/drop", {"mode": mode})


def shut(mode: str, *, cut: bool) -> Pull:
    def pull(house: House) -> None:
        house.lab.call("POST", "/edge/shut", {"seconds": 300, "mode": mode})
        if cut:
            house.lab.call("POST", "/edge/drop", {"mode": "abort"})

    return pull


def freeze(house: House) -> None:
    house.lab.faults(response_timeout=0.3)
    house.lab.call("POST", "/edge/freeze", {"seconds": 300})


def vanish(house: House) -> None:
    house.lab.faults(response_timeout=0.3)
    house.lab.call("POST", "/edge/drop", {"mode": "vanish"})


def forget(house: House) -> None:
    for ref in (house.host("quick"), *house.ids.values()):
        house.lab.call("POST", f"/tunnels/{ref}/forget")
    house.lab.call("POST", "/edge/drop", {"mode": "abort"})


def crowd(house: House) -> None:
    """A request that stays, and no room for another at the quick tunnel."""

    async def slow(request: Request, _: Principal | None) -> Response:
        if request.target.endswith("slow"):
            await asyncio.sleep(4.0)
        return Response(200, (), b"")

    house.paths["quick"].site.respond_with = slow
    host = house.host("quick")
    threading.Thread(target=house.lab.visit, args=(host, "/_nexus/slow"), daemon=True).start()
    until(lambda: any(r.target.endswith("slow") for r in house.paths["quick"].site.seen), "inside")
    house.lab.faults(quick_inflight=1)


def too_slow(house: House) -> None:
    """An answer that takes longer than Cloudflare waits costs that request, not the tunnel."""

    async def slow(request: Request, _: Principal | None) -> Response:
        if request.target.endswith("slow"):
            await asyncio.sleep(1.5)
        return Response(200, (), b"")

    for kind in KINDS:
        house.paths[kind].site.respond_with = slow
        assert house.visit(kind, "/_nexus/slow") == 524


def slowed(house: House) -> None:
    for kind in KINDS:
        began = time.monotonic()
        assert house.visit(kind) == 200
        assert time.monotonic() - began >= 0.8
        house.paths[kind].until(lambda s: (s.facts.round_trip_ms or 0) >= 800, "a long way")


def trickle(house: House) -> None:
    for kind in KINDS:
        assert house.visit(kind) == 200


def too_large(house: House) -> None:
    for kind in KINDS:
        assert house.visit(kind, method="POST", Content_Length="20") == 413


QUICK_SERVICE = [
    Row(
        f"quick service: {name}",
        fault(quick=trouble),
        {"quick": see},
        at_start=True,
        by_hand=see.waits > 0,
        stays=KEPT,
        levers=("quick",),
    )
    for name, trouble, see in (
        ("429", {"kind": "status", "status": 429},
         See(S.BACKOFF, "tunnel-rate-limited", waits=110)),
        ("500", {"kind": "status", "status": 500},
         See(S.BACKOFF, "quick-service-failing", waits=20)),
        ("garbage", {"kind": "garbage"}, See(S.BACKOFF, "quick-service-odd", waits=20)),
        ("empty", {"kind": "empty"}, See(S.BACKOFF, "quick-service-odd", waits=20)),
        ("api-error", {"kind": "api-error"}, See(S.BACKOFF, "quick-service-odd", waits=20)),
        ("disconnect", {"kind": "disconnect"}, See(S.BACKOFF, "quick-service-unreachable")),
        ("delay", {"kind": "delay", "delay": 1.5}, See(S.STARTING, "tunnel-starting")),
        ("hang", {"kind": "hang", "remaining": 1}, See(S.STARTING, "tunnel-starting")),
    )
]  # fmt: skip

REGISTRATION = [
    Row(f"registration: {kind}, {transport}", fault(registration={"kind": kind}), sees,
        transport, at_start=True, by_hand=True, stays=(), levers=("registration",))
    for transport, kind, sees in (
        ("http2", "retryable", every(S.BACKOFF, "edge-refused", waits=20)),
        ("http2", "permanent", every(S.BACKOFF, "edge-refused", waits=20)),
        ("http2", "exception", every(S.BACKOFF, "edge-refused", waits=20)),
        ("http2", "duplicate", every(S.STARTING, "tunnel-connecting edge-refused")),
        ("http2", "silent", every(S.STARTING, "tunnel-connecting")),
    )
]  # fmt: skip

OUTAGES = [
    Row(f"edge shut: {mode}, {transport}", shut(mode, cut=True),
        every(S.DEGRADED, "edge-unreachable edge-connection-lost"), transport, back=60.0,
        levers=("POST /edge/shut", "POST /edge/drop", "POST /edge/open"))
    for mode in ("refuse", "reset", "hang") for transport in ("http2", "auto")
]  # fmt: skip

START_SHUT = [
    Row("edge shut from the start", shut("refuse", cut=False),
        every(S.STARTING, "edge-unreachable"), at_start=True, stays=(), back=60.0,
        levers=("POST /edge/shut",)),
]  # fmt: skip

DROPS = [
    Row(f"edge drop: {mode}, {transport}", drop(mode), transport=transport, back=30.0,
        levers=("POST /edge/drop",))
    for mode in ("abort", "close", "goaway") for transport in ("http2", "auto")
]  # fmt: skip

FROZEN = {
    # it connects anew as soon as that is found, and then knows itself
    "quick": See(S.DEGRADED, "address-dead edge-connection-lost edge-unreachable", 15),
    "named": See(S.BACKOFF, "address-dead", 15),
    "token": See(S.BACKOFF, "address-dead", 15),
}
NOTICED = every(S.DEGRADED, "edge-connection-lost edge-unreachable address-dead", 20)
PATHS = [
    Row("frozen path, auto", freeze, NOTICED, "auto", stays=("quick",), back=60.0,
        levers=("POST /edge/freeze",)),
    Row("edge drop: vanish, auto", vanish, {
        "quick": See(S.DEGRADED, "edge-connection-lost edge-unreachable address-dead"),
    }, "auto", stays=(), back=30.0,
        levers=("POST /edge/drop",)),
    Row("frozen path, http2", freeze, FROZEN, stays=("quick",), back=60.0,
        levers=("POST /edge/freeze", "response_timeout")),
]  # fmt: skip

LIMITED = [
    Row("latency", fault(latency_ms=400), during=slowed, levers=("latency_ms",)),
    Row("few bytes a second", fault(bytes_per_second=2000), during=trickle,
        levers=("bytes_per_second",)),
    Row("body too large", fault(max_body=10), during=too_large, levers=("max_body",)),
    Row("answer too late", fault(response_timeout=0.5), during=too_slow,
        levers=("response_timeout",)),
    Row("too many at a time", crowd, {"quick": See(S.DEGRADED, "address-limited")},
        levers=("quick_inflight",)),
    Row("name not there", fault(visible_after=HIDDEN),
        {"quick": See(S.DEGRADED, "address-dead")}, stays=KEPT, levers=("visible_after",)),
    Row("edge keeps the connection after unregister", fault(keep_after_unregister=True),
        every(S.STOPPING, ""), at_start=True, stays=(), levers=("keep_after_unregister",)),
]  # fmt: skip

BLOCKED = [
    Row("registration: permanent, auto", fault(registration={"kind": "permanent"}), {
        "quick": See(S.BACKOFF, "quic-blocked"),
        "named": See(S.BACKOFF, "tunnel-refused edge-refused"),
        "token": See(S.BACKOFF, "tunnel-refused edge-refused"),
    }, "auto", at_start=True, by_hand=True, stays=(), spoils=True, levers=("registration",)),
    Row("UDP blocked", fault(udp_blocked=True), every(S.BACKOFF, "quic-blocked", 25), "auto",
        at_start=True, stays=(), spoils=True, levers=("udp_blocked",)),
]  # fmt: skip

GONE = [
    Row("forgotten by Cloudflare", forget, {
        "quick": See(S.BACKOFF, "tunnel-gone"),
        "named": See(S.FAILED, "tunnel-gone"),
        "token": See(S.FAILED, "tunnel-gone"),
    }, ends=True, levers=("POST /tunnels/{tunnel}/forget", "POST /edge/drop")),
]  # fmt: skip

TABLE = [
    *QUICK_SERVICE, *REGISTRATION, *START_SHUT, *LIMITED, *OUTAGES, *DROPS, *PATHS, *BLOCKED,
    *GONE,
]  # fmt: skip

ELSEWHERE = {
    "api": "tests/faults/test_api_levers.py",
    "dns": "needs a network whose resolver is the lab's: tests/faults/test_network*.py",
    "clock_ahead": "no fault of Cloudflare's: tests/faults/test_clock.py",
    "quick_buffers_sse": "what the real quick tunnels do, not a fault: tests/e2e bridge it",
    "POST /faults": "sets the fields, each of which has its row",
    "POST /login/approve": "the person's click: tests/app/test_named_tunnels.py",
}
SLOW = re.compile(r"service: hang")  # cloudflared itself waits 15 s for an answer
SLOW_ON_REAL = re.compile(r"edge shut: (reset|hang)|edge drop: (close|goaway), http2")


def takes_long(program: str, row: Row) -> bool:
    return bool(SLOW.search(row.name) or (program == "real" and SLOW_ON_REAL.search(row.name)))


def test_every_lever_is_pulled() -> None:
    lab = TESTS / "cloudflare_lab" / "cloudflare_lab"
    source = (lab / "faults.py").read_text(encoding="utf-8").partition("class Faults:")[2]
    fields = re.findall(r"^    (\w+): ", source.partition("def ")[0], re.MULTILINE)
    control = (lab / "control.py").read_text(encoding="utf-8")
    posts = [f"POST {path}" for path in re.findall(r'add_post\("([^"]+)"', control)]
    assert len(fields) >= 12
    assert len(posts) >= 6
    pulled = {lever for row in TABLE for lever in row.levers}
    assert pulled | set(ELSEWHERE) == {*fields, *posts}
    assert not pulled & set(ELSEWHERE)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


class Street:
    """The house that stands now; another is built for another program or transport."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.of = lab, ("", "")
        self.house: House | None = None

    def house_of(self, program: str, transport: str) -> House:
        if self.house is None or self.of != (program, transport):
            self.clear()
            self.of = (program, transport)
            self.house = House(self.lab, PROGRAMS[program], transport)
        return self.house

    def clear(self) -> None:
        house, self.house = self.house, None
        if house is not None:
            house.close()


@pytest.fixture(scope="module")
def street(lab: Lab) -> Iterator[Street]:
    made = Street(lab)
    yield made
    made.clear()


def cases() -> list[object]:
    order = [(p, t) for p in PROGRAMS for t in ("http2", "auto")]
    return [
        pytest.param(
            program, row, id=f"{program}-{row.name}",
            marks=[pytest.mark.long] if takes_long(program, row) else [],
        )
        for program, transport in order for row in TABLE if row.transport == transport
    ]  # fmt: skip


@pytest.mark.parametrize(("program", "row"), cases())
def test_a_lever_ends_in_the_right_state_and_is_got_over(
    street: Street, program: str, row: Row
) -> None:
    house = street.house_of(program, row.transport)
    try:
        said = play(house, row)
    except BaseException:
        street.clear()  # the next row begins with a house of its own
        raise
    if row.ends or row.spoils:
        street.clear()
    print(f"| {row.name} | {program} | {said} |")
