"""The words: what each situation is called, on the path and in one line."""

import msgspec
import pytest

from nexus_tray.core.snapshot import Pause, ago, change_note, compose
from nexus_tray.model import (
    Desired,
    Facts,
    Hop,
    HopState,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    Snapshot,
    to_json,
)

S, K, H = ServiceState, ServiceKind, HopState
NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="Remote access is off: no password is set.",
    cure="Run `nexus-tray password set`.",
)
NO_EDGE = Reason(code="edge", hop=Hop.EDGE, what="Cloudflare cannot be reached.")
GONE = Reason(code="oc", hop=Hop.OPENCODE, what="OpenCode does not answer.")
ADDRESS = "https://calm-river.trycloudflare.com"


def service(kind: ServiceKind, state: ServiceState, reason: Reason | None = None) -> Service:
    facts = Facts()
    if kind is K.TUNNEL and state is S.RUNNING:
        facts = Facts(address=ADDRESS, connections=2, transport="quic", locations=("fra01",))
    return Service(
        name=kind.value, kind=kind, desired=Desired.RUNNING, state=state, since_at=0.0,
        reason=reason, facts=facts,
    )  # fmt: skip


def situation(
    opencode: ServiceState,
    gateway: ServiceState,
    tunnel: ServiceState,
    reason: Reason | None = None,
) -> Snapshot:
    def why(hops: set[Hop]) -> Reason | None:
        return reason if reason and reason.hop in hops else None

    return compose(
        boot_id="b", cursor=1, version="1", taken_at=100.0, activity=None, visited_at=80.0,
        services=(
            service(K.OPENCODE, opencode, why({Hop.OPENCODE})),
            service(K.GATEWAY, gateway),
            service(K.TUNNEL, tunnel, why({Hop.EDGE, Hop.GATEWAY})),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "state", "headline"),
    [
        (situation(S.RUNNING, S.RUNNING, S.RUNNING), H.UP, f"Reachable at {ADDRESS}"),
        (situation(S.STARTING, S.RUNNING, S.RUNNING), H.BUSY, "Starting"),
        (situation(S.RUNNING, S.RUNNING, S.STOPPED, NO_PASSWORD), H.OFF, NO_PASSWORD.what),
        (situation(S.RUNNING, S.RUNNING, S.STOPPED), H.OFF, "Remote access is off"),
        (situation(S.RUNNING, S.RUNNING, S.DEGRADED, NO_EDGE), H.DOWN, NO_EDGE.what),
        (situation(S.BACKOFF, S.RUNNING, S.RUNNING, GONE), H.DOWN, GONE.what),
        (situation(S.FAILED, S.RUNNING, S.STOPPED), H.DOWN, "Not reachable"),
    ],
)
def test_headline(made: Snapshot, state: HopState, headline: str) -> None:
    assert (made.state, made.headline) == (state, headline)


def test_the_path_has_five_hops_in_order() -> None:
    hops = situation(S.RUNNING, S.RUNNING, S.RUNNING).path
    assert [hop.hop for hop in hops] == list(Hop)
    assert hops[0].text == "last request 20 s ago"
    assert hops[1].text == "2 connections over QUIC (fra01)"


@pytest.mark.parametrize(
    ("desired", "line"),
    [(Desired.STOPPED, "Remote access is being closed"), (Desired.RUNNING, "Starting")],
)
def test_a_tunnel_that_ends_offers_no_address(desired: Desired, line: str) -> None:
    ending = msgspec.structs.replace(
        service(K.TUNNEL, S.STOPPING), desired=desired, facts=Facts(address=ADDRESS, connections=1)
    )
    said = compose(
        boot_id="b", cursor=1, version="1", taken_at=1.0, activity=None, visited_at=None,
        services=(service(K.OPENCODE, S.RUNNING), service(K.GATEWAY, S.RUNNING), ending),
    )  # fmt: skip
    assert (said.state, said.headline, said.address) == (H.BUSY, line, None)
    assert said.path[1].text == "disconnecting"


def test_nothing_known_is_said_as_unknown() -> None:
    empty = compose(
        boot_id="b", cursor=1, version="1", taken_at=1.0, services=(), activity=None,
        visited_at=None,
    )  # fmt: skip
    assert empty.path[0].state is H.UNKNOWN
    assert empty.activity is None
    assert empty.address is None


def test_a_snapshot_is_its_json() -> None:
    made = situation(S.RUNNING, S.RUNNING, S.DEGRADED, NO_EDGE)
    assert msgspec.json.decode(to_json(made), type=Snapshot) == made


@pytest.mark.parametrize("state", list(S))
def test_every_state_has_its_sentence(state: ServiceState) -> None:
    text = change_note(S.STARTING, service(K.OPENCODE, state, GONE), 0.0)
    assert text.startswith("OpenCode ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (2e5, "2 d")],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("opencode", "tunnel", "state", "line"),
    [
        (S.RUNNING, S.STOPPED, H.OFF, "Remote access is paused until 14:30."),
        (S.STARTING, S.STOPPED, H.OFF, "Remote access is paused until 14:30."),
        (S.RUNNING, S.STOPPING, H.BUSY, "Remote access is paused until 14:30."),
        (S.BACKOFF, S.STOPPED, H.DOWN, GONE.what),
    ],
)
def test_a_pause_is_said_unless_something_is_broken(
    opencode: ServiceState, tunnel: ServiceState, state: HopState, line: str
) -> None:
    why = Reason(code="paused", hop=Hop.EDGE, what="Remote access is paused until 14:30.")
    broken = GONE if opencode is S.BACKOFF else None
    said = compose(
        boot_id="b", cursor=1, version="1", taken_at=100.0, activity=None, visited_at=None,
        services=(service(K.OPENCODE, opencode, broken), service(K.GATEWAY, S.RUNNING),
                  service(K.TUNNEL, tunnel)),
        pause=Pause(why, 900.0),
    )  # fmt: skip
    assert (said.state, said.headline) == (state, line)
    assert (said.paused, said.paused_until) == (True, 900.0)
