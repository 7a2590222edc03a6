"""Every recorded failure of the real cloudflared, and what we make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.failures import RULES
from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Level
from tests.cloudflare.recordings import NAMES, load

LOST, UNREACHABLE = "edge-connection-lost", "edge-unreachable"
NETWORK, FATAL, LIMITED, CRASH = Cause.NETWORK, Cause.FATAL, Cause.LIMITED, Cause.CRASH

# What ended by itself, and why we say it did.
ENDED: dict[str, tuple[Cause, Hop, str]] = {
    "api-403-create": (FATAL, Hop.EDGE, "account-refused"),
    "api-403-list": (FATAL, Hop.EDGE, "account-refused"),
    "api-429-create": (LIMITED, Hop.EDGE, "account-limited"),
    "api-429-list": (LIMITED, Hop.EDGE, "account-limited"),
    "api-500-create": (NETWORK, Hop.EDGE, "account-service-failing"),
    "api-500-list": (NETWORK, Hop.EDGE, "account-service-failing"),
    "api-garbage-list": (NETWORK, Hop.EDGE, "account-service-failing"),
    "api-hang-list": (NETWORK, Hop.EDGE, "account-unreachable"),
    "api-refused-list": (NETWORK, Hop.EDGE, "account-unreachable"),
    "cli-bad-protocol": (FATAL, Hop.CLOUDFLARED, "cloudflared-protocol"),
    "cli-bad-url": (FATAL, Hop.CLOUDFLARED, "cloudflared-config"),
    "cli-config-broken": (FATAL, Hop.CLOUDFLARED, "cloudflared-config"),
    "cli-config-missing": (FATAL, Hop.CLOUDFLARED, "cloudflared-config"),
    "cli-grace-too-long": (FATAL, Hop.CLOUDFLARED, "cloudflared-usage"),
    "cli-ingress-invalid": (FATAL, Hop.CLOUDFLARED, "cloudflared-config"),
    "cli-no-cert": (FATAL, Hop.CLOUDFLARED, "account-certificate-missing"),
    "cli-ready-without-server": (CRASH, Hop.CLOUDFLARED, "cloudflared-not-running"),
    "cli-run-bad-token": (FATAL, Hop.EDGE, "tunnel-token-refused"),
    "cli-run-nothing": (FATAL, Hop.CLOUDFLARED, "cloudflared-usage"),
    "cli-tunnel-nothing": (FATAL, Hop.CLOUDFLARED, "cloudflared-usage"),
    "cli-unknown-flag": (FATAL, Hop.CLOUDFLARED, "cloudflared-usage"),
    "login-again": (FATAL, Hop.CLOUDFLARED, "account-certificate-exists"),
    "metrics-port-taken": (CRASH, Hop.CLOUDFLARED, "metrics-port-taken"),
    "named-create-conflict": (FATAL, Hop.EDGE, "tunnel-name-taken"),
    "named-delete-again": (FATAL, Hop.EDGE, "tunnel-unknown"),
    "named-delete-refused": (FATAL, Hop.EDGE, "tunnel-in-use"),
    "named-list-no-success": (FATAL, Hop.EDGE, "tunnel-unknown"),
    "named-route-dns-conflict": (FATAL, Hop.EDGE, "dns-record-exists"),
    "named-run-no-credentials": (FATAL, Hop.CLOUDFLARED, "tunnel-credentials-missing"),
    "quick-429": (LIMITED, Hop.EDGE, "tunnel-rate-limited"),
    "quick-429-json": (LIMITED, Hop.EDGE, "tunnel-rate-limited"),
    "quick-500": (NETWORK, Hop.EDGE, "quick-service-failing"),
    "quick-api-error": (NETWORK, Hop.EDGE, "quick-service-odd"),
    "quick-disconnect": (NETWORK, Hop.EDGE, "quick-service-unreachable"),
    "quick-empty": (NETWORK, Hop.EDGE, "quick-service-odd"),
    "quick-garbage": (NETWORK, Hop.EDGE, "quick-service-odd"),
    "quick-hang": (NETWORK, Hop.EDGE, "quick-service-unreachable"),
    "quick-service-no-dns": (NETWORK, Hop.EDGE, "no-dns"),
    "quick-service-refused": (NETWORK, Hop.EDGE, "quick-service-unreachable"),
    "register-exception": (NETWORK, Hop.EDGE, "edge-refused"),
    "register-permanent": (NETWORK, Hop.EDGE, "edge-refused"),
    "register-retryable": (NETWORK, Hop.EDGE, "edge-refused"),
    "register-silent": (NETWORK, Hop.EDGE, "edge-refused"),
}

# Commands that did what they were told. Of a tunnel, such an end would be a fault.
DONE = {
    "cli-help-run", "cli-help-tunnel", "cli-ingress-rule", "cli-ingress-valid", "cli-version",
    "cli-version-short", "login", "named-cleanup", "named-create", "named-create-json",
    "named-delete", "named-info", "named-info-idle", "named-info-json", "named-list",
    "named-list-json", "named-list-none", "named-list-running", "named-route-dns",
    "named-route-dns-again", "named-route-dns-back", "named-route-dns-foreign",
    "named-route-dns-overwrite", "named-token",
}  # fmt: skip

# What was wrong while it ran, in the order of appearance, and whether it still was at the end.
TROUBLE: dict[str, tuple[tuple[str, ...], bool]] = {
    "edge-down-at-start": ((UNREACHABLE,), False),
    "edge-drop-goaway": ((LOST,), False),
    "edge-drop-quick": ((LOST,), False),
    "edge-drop-quick-json": ((LOST,), False),
    "edge-hangs-at-start": ((UNREACHABLE,), False),
    "edge-outage-60s": ((LOST, UNREACHABLE), False),
    "edge-outage-60s-retries-0": ((LOST, UNREACHABLE), False),
    "edge-outage-60s-retries-1": ((LOST, UNREACHABLE), False),
    "edge-tls-untrusted": (("tls-intercepted",), True),
    "named-run-bad-secret": (("tunnel-secret-refused",), True),
    "named-run-config": ((LOST,), False),
    "named-run-deleted": (("tunnel-gone",), True),
    "named-run-token": ((LOST,), False),
    "named-run-token-udp-blocked": ((UNREACHABLE,), False),
    "origin-dies-mid-body": (("gateway-broke-off",), True),
    "origin-down": (("gateway-unreachable",), True),
    "origin-down-json": (("gateway-unreachable",), True),
    "origin-not-tls": (("gateway-unreachable",), True),
    "quic-edge-close": ((LOST,), False),
    "quic-edge-freeze": ((LOST, UNREACHABLE), False),
    "quic-edge-vanish": ((LOST,), False),
    "quic-origin-down": (("gateway-unreachable",), True),
    "quic-outage-150s": ((LOST, UNREACHABLE), False),
    "quic-outage-60s": ((LOST, UNREACHABLE), False),
    "quic-register-permanent": ((LOST,), False),
    "quic-unknown-tunnel": ((LOST,), True),
    "quick-default-protocol-no-udp": ((UNREACHABLE,), True),
    "quick-forgotten": ((LOST, "tunnel-gone"), True),
    "register-duplicate": ((LOST,), False),
    "register-permanent-on-reconnect": ((LOST, "edge-refused"), False),
    "stop-before-connected": ((UNREACHABLE,), True),
}


def text_of(failure: Failure) -> str:
    return " ".join((failure.reason.what, failure.reason.meaning, failure.reason.cure))


@pytest.mark.parametrize("name", NAMES)
def test_how_every_recorded_run_ended(name: str) -> None:
    recording = load(name)
    failure = diagnose(recording.code, recording.entries)
    assert failure is not None
    found = (failure.cause, failure.reason.hop, failure.reason.code)
    if recording.stopped:
        assert found == (CRASH, Hop.CLOUDFLARED, "cloudflared-killed")
    elif name in DONE:
        assert found == (CRASH, Hop.CLOUDFLARED, "cloudflared-ended")
    else:
        assert found == ENDED[name]
        assert failure.reason.cure or failure.reason.meaning


@pytest.mark.parametrize("name", NAMES)
def test_what_was_wrong_while_it_ran(name: str) -> None:
    recording = load(name)
    if name in ENDED or name in DONE:
        return
    seen: list[str] = []
    for count in range(len(recording.running) + 1):
        failure = diagnose(None, recording.running[:count])
        if failure is not None and failure.reason.code not in seen:
            seen.append(failure.reason.code)
    codes, lasting = TROUBLE.get(name, ((), False))
    assert tuple(seen) == codes
    assert (diagnose(None, recording.running) is not None) is lasting


@pytest.mark.parametrize("name", NAMES)
def test_no_alarm_after_our_own_signal(name: str) -> None:
    recording = load(name)
    for code in (None, recording.code, 0, -15, -9):
        assert diagnose(code, recording.entries, asked=True) is None


def test_the_table_names_only_what_was_recorded() -> None:
    assert set(ENDED) | DONE | set(TROUBLE) <= set(NAMES)
    used = {code for _, _, code in ENDED.values()} | {
        c for codes, _ in TROUBLE.values() for c in codes
    }
    assert {rule.code for rule in RULES} == used


def test_reasons_are_whole_sentences() -> None:
    for rule in RULES:
        assert rule.what.endswith((".", "!")), rule.code
        for part in (rule.meaning, rule.cure):
            assert part == "" or part.endswith("."), (rule.code, part)


@pytest.mark.parametrize(
    ("code", "last", "cause", "slug"),
    [
        (-9, "", CRASH, "cloudflared-killed"),
        (-250, "", CRASH, "cloudflared-killed"),
        (11, "", CRASH, "cloudflared-updated"),
        (255, "what is this", FATAL, "cloudflared-ended"),
        (1, "panic: never seen before", CRASH, "cloudflared-ended"),
        (0, "", CRASH, "cloudflared-ended"),
    ],
)
def test_ends_that_only_the_code_tells(code: int, last: str, cause: Cause, slug: str) -> None:
    failure = diagnose(code, [read_line(last)] if last else [])
    assert failure is not None
    assert (failure.cause, failure.reason.code) == (cause, slug)
    assert last in text_of(failure)


def test_an_outage_of_dns_is_the_network_wherever_it_shows() -> None:
    asking = (
        'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp: '
    )
    edge = "_v2-origintunneld._tcp.argotunnel.com"
    for line in (
        f"{asking}lookup api.trycloudflare.com: Temporary failure in name resolution",
        f"{asking}lookup api.trycloudflare.com on 192.0.2.1:53: read udp 192.0.2.1:53: i/o timeout",
        f"Could not lookup srv records on {edge}: lookup {edge} on 192.0.2.1:53: no such host",
    ):
        failure = diagnose(1, [read_line(line)])
        assert failure is not None
        assert (failure.cause, failure.reason.code) == (NETWORK, "no-dns")


def test_what_others_said_is_quoted_bounded_and_harmless() -> None:
    words = "\x1b[31m" + "x" * 5000
    line = f'2026-01-01T00:00:00Z ERR Register tunnel error from server side error="{words}"'
    failure = diagnose(1, [LogEntry(Level.ERROR, line.split(" ERR ")[1])])
    assert failure is not None
    assert failure.reason.code == "edge-refused"
    assert "\x1b" not in failure.reason.what
    assert len(failure.reason.what) < 300


@given(st.lists(st.text(max_size=80), max_size=8), st.none() | st.integers(-64, 255))
def test_no_output_confuses_it(output: list[str], code: int | None) -> None:
    entries = [read_line(line) for line in output]
    failure = diagnose(code, entries)
    assert code is None or failure is not None
    assert diagnose(code, entries, asked=True) is None


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("2026-11-22T16:22:15Z INF Initial protocol http2", Level.INFO, "Initial protocol http2"),
        (
            "\x1b[90m2026-11-22T16:22:29Z\x1b[0m \x1b[31mERR\x1b[0m no \x1b[36mip=\x1b[0m1",
            Level.ERROR,
            "no ip=1",
        ),
        (
            '{"level":"error","error":"a \\"b\\"","connIndex":0,"message":"Oh","time":"x"}',
            Level.ERROR,
            'Oh error="a \\"b\\"" connIndex=0',
        ),
        ('{"level":"odd"}', None, '{"level":"odd"}'),
        ("{broken", None, "{broken"),
        ("", None, ""),
    ],
)
def test_lines_of_every_form(line: str, level: Level | None, text: str) -> None:
    assert read_line(line) == LogEntry(level, text)


def test_both_formats_of_one_failure_read_alike() -> None:
    for plain, as_json in (("quick-429", "quick-429-json"), ("origin-down", "origin-down-json")):
        first, second = (diagnose(load(n).code, load(n).entries) for n in (plain, as_json))
        assert first == second
