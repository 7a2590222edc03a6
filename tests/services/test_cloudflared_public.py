"""What a tunnel's rules and routes come to, and what is left to do by hand."""

import pytest

from nexus_tray.cloudflare.metrics import Ingress, IngressRule
from nexus_tray.model import Facts
from nexus_tray.services.cloudflared_public import Way, amiss, answering, hostnames, token_steps

WAY = Way(socket="unix:/run/g.sock", port=4711)
NOWHERE = IngressRule("", "http_status:404")
A, B = IngressRule("a.b", "unix:/run/g.sock"), IngressRule("c.d", "http://localhost:4711")


def sent(*rules: IngressRule) -> Ingress:
    return Ingress(remote=True, rules=rules)


LOCAL = Ingress(remote=False, rules=(IngressRule("", "unix:/run/g.sock"),))


@pytest.mark.parametrize(
    ("ingress", "routes", "transport", "code"),
    [
        (sent(A, NOWHERE), ("a.b",), "quic", None),
        (sent(A, NOWHERE), ("x.y", "a.b"), "quic", None),
        (LOCAL, ("a.b",), "http2", None),
        (None, ("a.b",), "quic", None),
        (sent(B), ("c.d",), "http2", None),
        (sent(NOWHERE), ("a.b",), "quic", "tunnel-no-hostnames"),
        (sent(), (), "quic", "tunnel-no-hostnames"),
        (sent(A), (), "quic", "tunnel-no-routes"),
        (sent(A), ("c.d",), "quic", "tunnel-no-routes"),
        (LOCAL, (), "quic", "tunnel-no-routes"),
        (sent(A, B), ("a.b",), "http2", "tunnel-no-websockets"),
    ],
)
def test_what_is_amiss(
    ingress: Ingress | None, routes: tuple[str, ...], transport: str, code: str | None
) -> None:
    reason = amiss(ingress, routes, WAY, transport)
    assert (reason.code if reason else None) == code
    if reason is not None:
        assert reason.cure
    facts = Facts(hostnames=hostnames(ingress))
    steps = token_steps("home", routes, facts, reason, WAY)
    assert bool(steps) == bool(reason)


def test_the_steps_name_what_to_paste() -> None:
    reason = amiss(sent(NOWHERE), ("a.b",), WAY, "quic")
    text = "\n".join(token_steps("home", ("a.b",), Facts(hostnames=()), reason, WAY))
    assert "type UNIX, URL /run/g.sock" in text
    assert "a.b" in text
    reason = amiss(sent(A), ("a.b",), WAY, "http2")
    text = "\n".join(token_steps("home", ("a.b",), Facts(hostnames=("a.b",)), reason, WAY))
    assert "type HTTP, URL 127.0.0.1:4711" in text
    reason = amiss(sent(A), (), WAY, "quic")
    steps = token_steps("home", (), Facts(hostnames=("a.b",)), reason, WAY)
    assert steps == (
        "Add a route for a.b to the tunnel here: nexus-tray tunnel route add home a.b",
    )


def test_names_that_should_answer_keep_the_order_of_the_routes() -> None:
    assert answering(None, ("x.y", "a.b")) == ("x.y", "a.b")
    assert answering(LOCAL, ("x.y",)) == ("x.y",)
    assert answering(sent(B, A, NOWHERE), ("x.y", "a.b", "c.d")) == ("a.b", "c.d")


def test_every_way_to_write_the_gateway() -> None:
    assert WAY.services == {
        "unix:/run/g.sock", "http://127.0.0.1:4711", "http://localhost:4711",
    }  # fmt: skip
    assert Way(socket="unix:/g").services == {"unix:/g"}
    assert Way().services == frozenset()
