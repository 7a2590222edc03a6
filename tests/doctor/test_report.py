"""No secret leaves in a report: canaries through every text of a check."""

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.examination import Examiner, Look
from nexus_tray.cli.doctor import report
from nexus_tray.finding import Finding, bad, command_in, masked, warning
from nexus_tray.model import Hop, Reason

HOME = "/home/ada"

CANARIES = {
    "api token": lambda: secrets.token_urlsafe(32),
    "ticket": lambda: f"http://127.0.0.1:1/#ticket={secrets.token_urlsafe(12)}",
    "password hash": lambda: f"$argon2id$v=19$m=65536,t=3,p=4${secrets.token_urlsafe(8)}$abc",
    "bearer": lambda: f"Authorization: Bearer {secrets.token_hex(6)}",
    "basic": lambda: f"Basic {secrets.token_hex(6)}",
    "in an address": lambda: f"http://ada:{secrets.token_hex(6)}@proxy.example:8080",
    "provider key": lambda: f"sk-{secrets.token_hex(8)}",
    "auth_token": lambda: f"/x?auth_token={secrets.token_hex(6)}&y=1",
}


def secret_part(text: str) -> str:
    parts: list[str] = re.findall(r"[A-Za-z0-9_-]{8,}", text.removeprefix("Authorization"))
    return max(parts, key=len)


def look(title: str, finding: Finding) -> Look:
    return Look(title, title, lambda: finding)


@pytest.mark.parametrize("kind", CANARIES)
def test_no_canary_is_in_the_report(kind: str) -> None:
    text = CANARIES[kind]()
    part = secret_part(text)
    reason = Reason(code="x", hop=Hop.EDGE, what=text, meaning=text, cure=f"Do this: {text}")
    for make in (bad, warning):
        finding = make(reason, f"found {text}", f"nexus-tray {text}")
        found = Examiner(HOME).run([look("a", finding)].copy)
        assert part not in report(found)
        assert part not in repr(found)


@given(st.text("abcXYZ019_-", min_size=32, max_size=90), st.text(max_size=20))
def test_whatever_is_long_and_unbroken_is_hidden(secret: str, around: str) -> None:
    assert secret not in masked(f"{around} {secret} {around}", HOME)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ada/.local/share", "~/.local/share"),
        ("in /home/ada: 3", "in ~: 3"),
        ("/home/adam/x", "/home/adam/x"),
        ("https://calm-river-walks-far.trycloudflare.com/", "https://….trycloudflare.com/"),
        ("api.trycloudflare.com", "api.trycloudflare.com"),
        ("region1.v2.argotunnel.com", "region1.v2.argotunnel.com"),
        ("4 connections over QUIC (fra08)", "4 connections over QUIC (fra08)"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert masked(text, HOME) == shown


@pytest.mark.parametrize(
    ("cure", "command"),
    [
        ("Choose one: nexus-tray password set", "nexus-tray password set"),
        ("To have it run from boot on: loginctl enable-linger.", "loginctl enable-linger"),
        ("Allow outbound UDP on port 7844.", ""),
        ("Close it to others: chmod 600 /home/ada/x", "chmod 600 /home/ada/x"),
        ("", ""),
    ],
)
def test_the_command_in_a_cure(cure: str, command: str) -> None:
    assert command_in(cure) == command


def test_the_report_reads_like_this() -> None:
    reason = Reason(
        code="no-password", hop=Hop.GATEWAY, what="No password.", meaning="So nothing.",
        cure="Choose one: nexus-tray password set",
    )  # fmt: skip
    looks = [look("Password", warning(reason)), look("Clock", bad(reason, "x"))]
    found = Examiner(HOME).run(lambda: looks)
    assert report(found).splitlines()[1:] == [
        "",
        "[warning] Password: No password.",
        "    So nothing.",
        "    Choose one: nexus-tray password set",
        "[bad] Clock: x",
        "    No password.",
        "    So nothing.",
        "    Choose one: nexus-tray password set",
        "",
        "1 wrong, 1 to attend to",
    ]
