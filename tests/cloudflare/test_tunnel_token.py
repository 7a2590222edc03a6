"""Tokens as people paste them; what is wrong with one is said without repeating it."""

import base64
import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cloudflare.tunnel_token import MOST, parse
from nexus_tray.model import Problem

ACCOUNT, TUNNEL = "0123456789abcdef" * 2, "af0179a9-31d8-41ae-baa9-a0d3b0c6a6f3"
SECRET = base64.b64encode(b"canary-canary-canary-canary-cana").decode()


def token(**changes: object) -> str:
    body = {"a": ACCOUNT, "t": TUNNEL, "s": SECRET} | changes
    return base64.b64encode(json.dumps(body).replace(" ", "").encode()).decode()


GOOD = token()


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "  {}\n",
        "sudo cloudflared service install {}",
        "cloudflared.exe service install {}",
        "cloudflared tunnel run --token {}",
        "cloudflared tunnel --no-autoupdate run --token={}",
        "docker run cloudflare/cloudflared:latest tunnel --no-autoupdate run --token {}",
        "TUNNEL_TOKEN={}",
        '"{}"',
        "brew install cloudflared &&\n\nsudo cloudflared service install {}",
        "cloudflared tunnel run --token {} # {}",
    ],
)
def test_a_token_is_found_in_what_was_pasted(line: str) -> None:
    found = parse(line.replace("{}", GOOD))
    assert (found.account_id, found.tunnel_id, found.text) == (ACCOUNT, TUNNEL, GOOD)
    assert GOOD not in repr(found)


def test_padding_and_alphabet_are_made_good() -> None:
    bare = GOOD.rstrip("=").replace("+", "-").replace("/", "_")
    assert parse(bare).text == GOOD


@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        ("", "tunnel-token-missing"),
        ("cloudflared tunnel run mine", "tunnel-token-missing"),
        ("x" * (MOST + 1), "tunnel-token-missing"),
        (GOOD[:60], "tunnel-token-broken"),
        (GOOD[:20], "tunnel-token-broken"),
        (GOOD[:-8], "tunnel-token-broken"),
        (token(a="not-an-account"), "tunnel-token-broken"),
        (token(a=ACCOUNT[:-1]), "tunnel-token-broken"),
        (token(t="not-a-tunnel"), "tunnel-token-broken"),
        (token(t=TUNNEL.replace("-", "")), "tunnel-token-broken"),
        (token(s="not base64 at all!"), "tunnel-token-broken"),
        (token(s=""), "tunnel-token-broken"),
        (token(s=7), "tunnel-token-broken"),
        (f"{GOOD} {token(t='0' * 8 + TUNNEL[8:])}", "tunnel-token-many"),
    ],
)
def test_what_is_no_token_is_said_and_not_repeated(pasted: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(pasted)
    assert caught.value.reason.code == code
    assert caught.value.reason.cure
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert "canary" not in shown
    assert caught.value.__cause__ is None
    assert len(pasted) < 20 or pasted[:20] not in str(caught.value)


@given(
    st.text(max_size=200)
    | st.builds(lambda n, c: GOOD[:n] + c + GOOD[n:], st.integers(0, 250), st.characters())
)
def test_anything_is_a_token_or_a_problem(pasted: str) -> None:
    try:
        found = parse(pasted)
    except Problem:
        return
    assert len(found.account_id) == 32
    assert len(found.tunnel_id) == 36
