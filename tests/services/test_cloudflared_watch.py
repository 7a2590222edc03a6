"""The judgement of readings: a table, and a walk through random readings."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.cloudflare.metrics import Ingress, IngressRule, Metrics
from nexus_tray.core.driver import Cause
from nexus_tray.services.cloudflared_public import Way
from nexus_tray.services.cloudflared_status import Reading
from nexus_tray.services.cloudflared_watch import Limits, Verdict, Watch, judge

LIMITS = Limits()
QUIC = Watch("quic", may_fall_back=True, dialling_at=100.0)
HTTP2 = Watch("http2", may_fall_back=True, dialling_at=100.0)
READY = Reading(1, "a.trycloudflare.com", True, Metrics())
AWAY = Reading(0, "a.trycloudflare.com", None, Metrics())
WAS_READY = replace(QUIC, ready_once=True)

GONE = read_line(
    '2026-01-01T00:00:00Z ERR Register tunnel error error="Unauthorized: Tunnel not found"'
)
SECRET = read_line('2026-01-01T00:00:00Z ERR Oh error="Unauthorized: Invalid tunnel secret"')
DIAL = read_line("2026-01-01T00:00:00Z ERR Failed to dial a quic connection error=timeout")
ORIGIN = read_line('2026-01-01T00:00:00Z ERR error="Unable to reach the origin service. x"')


def refused(count: int, reading: Reading = AWAY) -> Reading:
    return replace(reading, metrics=Metrics(refused={"server_error": count}))


def look(
    watch: Watch,
    reading: Reading | None,
    *entries: LogEntry,
    now: float = 101.0,
    listening: bool = True,
    moved: bool = False,
) -> Verdict:
    return judge(watch, reading, entries, LIMITS, now, listening=listening, moved=moved)[1]


def told(verdict: Verdict) -> tuple[str | None, bool, str | None]:
    """The reason's code, whether it is blamed, and the code of the failure that ends it."""
    reason = verdict.reason.code if verdict.reason else None
    failure = verdict.failure.reason.code if verdict.failure else None
    return reason, verdict.blame, failure


def test_table() -> None:
    assert told(look(QUIC, READY)) == (None, False, None)
    assert told(look(QUIC, None, listening=False)) == ("tunnel-starting", True, None)
    assert told(look(QUIC, None)) == ("cloudflared-deaf", True, None)
    assert told(look(QUIC, AWAY)) == ("tunnel-connecting", False, None)
    assert told(look(QUIC, AWAY, DIAL)) == ("edge-unreachable", False, None)
    assert told(look(QUIC, replace(READY, ours=False))) == (
        "cloudflared-config-foreign", False, "cloudflared-config-foreign",
    )  # fmt: skip
    assert told(look(QUIC, replace(READY, hostname=None))) == ("tunnel-connecting", False, None)
    assert told(look(QUIC, AWAY, SECRET))[2] == "tunnel-secret-refused"
    assert told(look(WAS_READY, AWAY)) == ("edge-connection-lost", False, None)
    assert told(look(WAS_READY, AWAY, GONE)) == ("tunnel-gone", False, "tunnel-gone")
    assert told(look(WAS_READY, AWAY, ORIGIN)) == ("gateway-unreachable", False, None)
    assert told(look(WAS_READY, refused(1)))[2] is None
    assert told(look(WAS_READY, refused(2)))[2] == "tunnel-gone"
    assert told(look(replace(WAS_READY, refused_before=2), refused(3)))[2] is None


NAMED = replace(QUIC, kind="named")
KNOWN = Reading(1, None, True, Metrics())
LOST_OF_US = Reading(0, None, True, Metrics())


@pytest.mark.parametrize("kind", ["named", "token"])
def test_a_tunnel_that_keeps_its_address(kind: str) -> None:
    new = replace(QUIC, kind=kind)
    old = replace(WAS_READY, kind=kind)
    http2 = replace(HTTP2, kind=kind)
    assert told(look(new, KNOWN)) == (None, False, None)
    assert told(look(new, replace(KNOWN, ours=False)))[2] == "cloudflared-config-foreign"
    assert look(new, replace(LOST_OF_US, ours=False)).at_once
    # refused once is no proof; over QUIC the reason is never told, so HTTP/2 is asked
    assert told(look(new, refused(1, LOST_OF_US))) == ("tunnel-connecting", False, None)
    assert told(look(new, refused(2, LOST_OF_US)))[2] == "tunnel-refused"
    assert told(look(old, refused(2, LOST_OF_US)))[2] == "tunnel-refused"
    kept = replace(new, may_fall_back=False)  # QUIC and nothing else was wished
    for entries in ((), (DIAL,)):
        verdict = look(kept, refused(2, LOST_OF_US), *entries)
        assert told(verdict) == ("tunnel-refused", False, None)
    for said, code in ((GONE, "tunnel-gone"), (SECRET, "tunnel-secret-refused")):
        assert told(look(http2, refused(1, LOST_OF_US), said)) == (code, False, None)
        verdict = look(http2, refused(2, LOST_OF_US), said)
        assert told(verdict) == (code, False, code)
        assert verdict.failure is not None
        assert verdict.failure.cause is Cause.FATAL
    for words in (new.words.blocked, new.words.lost, new.words.moved, new.words.gone):
        assert "new address" not in str(words.reason)
        assert "quick" not in str(words.reason)


def test_rules_from_cloudflare_that_lead_elsewhere_are_named() -> None:
    way = Way(socket="unix:/g", port=4711)
    ingress = Ingress(
        remote=True,
        rules=(IngressRule("a.b", "unix:/g"), IngressRule("x.y", "http://localhost:1\x1b[2J")),
    )
    watch = replace(NAMED, kind="token", way=way)
    verdict = look(watch, replace(KNOWN, ours=False, ingress=ingress))
    assert verdict.at_once
    assert verdict.failure is not None
    assert verdict.failure.cause is Cause.FATAL
    reason = verdict.failure.reason
    assert reason.code == "tunnel-ingress-foreign"
    assert "x.y" in reason.what
    assert "http://localhost:1" in reason.what
    assert "\x1b" not in reason.what
    assert "type UNIX, URL /g" in reason.cure


@pytest.mark.parametrize(
    ("watch", "moved", "after", "code"),
    [
        (QUIC, False, LIMITS.fallback, "quic-blocked"),
        (replace(QUIC, may_fall_back=False), False, 10_000.0, None),
        (HTTP2, False, 10_000.0, None),  # the start's own time limit decides
        (WAS_READY, False, LIMITS.lost, "tunnel-lost"),
        (WAS_READY, True, LIMITS.moved, "network-changed"),
        (replace(WAS_READY, kind="named"), False, LIMITS.dark, "tunnel-lost"),
        (replace(WAS_READY, kind="token"), False, LIMITS.dark, "tunnel-lost"),
        (replace(QUIC, kind="token"), False, LIMITS.fallback, "quic-blocked"),
    ],
)
def test_patience(watch: Watch, moved: bool, after: float, code: str | None) -> None:
    watch, first = judge(watch, AWAY, (), LIMITS, 100.0, listening=True, moved=moved)
    assert first.failure is None
    for now in (100.0 + after - 0.1, 100.0 + after):
        watch, verdict = judge(watch, AWAY, (), LIMITS, now, listening=True, moved=moved)
        expected = code if now >= 100.0 + after else None
        assert told(verdict)[2] == expected


def test_coming_back_ends_the_waiting() -> None:
    watch, _ = judge(WAS_READY, AWAY, (), LIMITS, 100.0, listening=True, moved=False)
    watch, _ = judge(watch, READY, (), LIMITS, 100.0 + LIMITS.lost, listening=True, moved=False)
    assert watch.away_since is None
    watch, verdict = judge(
        watch, AWAY, (), LIMITS, 200.0 + LIMITS.lost, listening=True, moved=False
    )
    assert verdict.failure is None


def test_dialling_counts_from_the_open_status_port_not_from_the_start() -> None:
    watch = Watch("quic", may_fall_back=True)
    watch, _ = judge(watch, None, (), LIMITS, 100.0, listening=False, moved=False)
    assert watch.dialling_at is None
    watch, verdict = judge(watch, AWAY, (), LIMITS, 150.0, listening=True, moved=False)
    assert watch.dialling_at == 150.0
    assert verdict.failure is None


readings = st.none() | st.builds(
    Reading,
    connections=st.integers(0, 4),
    hostname=st.sampled_from([None, "a.trycloudflare.com"]),
    ours=st.sampled_from([None, True, False]),
    metrics=st.builds(lambda n: Metrics(refused={"server_error": n}), st.integers(0, 5)),
)
steps = st.tuples(
    readings,
    st.lists(st.sampled_from([GONE, SECRET, DIAL, ORIGIN]), max_size=2),
    st.floats(0.0, 30.0),
    st.booleans(),
)


@given(
    st.sampled_from(["quick", "named", "token"]),
    st.sampled_from(["quic", "http2"]),
    st.booleans(),
    st.lists(steps, max_size=40),
)
def test_walk(
    kind: str,
    transport: str,
    may_fall_back: bool,
    walk: list[tuple[Reading | None, list[LogEntry], float, bool]],
) -> None:
    watch = Watch(transport, may_fall_back=may_fall_back, kind=kind)
    now, listening = 0.0, False
    for reading, entries, pause, moved in walk:
        now += pause
        listening = listening or reading is not None
        watch, verdict = judge(
            watch, reading, entries, LIMITS, now, listening=listening, moved=moved
        )
        if verdict.reason is None:  # ready: proved, and it leads to us
            assert reading is not None
            assert reading.connections
            assert reading.hostname or kind != "quick"
            assert reading.ours is not False
            assert watch.ready_once
        if verdict.failure is not None:
            assert verdict.reason == verdict.failure.reason
            assert not verdict.blame
        if verdict.blame:  # only what does not answer is blamed
            assert reading is None
        if verdict.failure is not None and verdict.failure.cause is Cause.FATAL:
            assert verdict.failure.reason.cure
        assert watch.away_since is None or watch.away_since <= now
