"""The edge over UDP, tried against the lab; the API over TLS, against servers of our own."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import Facts, ServiceKind
from nexus_tray.reports import CheckState
from nexus_tray.services.checks_network import api, is_negotiation, udp, unknown_version
from tests.api.doubles import service
from tests.cloudflare.lab import Lab

GOOD, WARNING, BAD, UNKNOWN = CheckState
OVER_QUIC = service("quick", ServiceKind.TUNNEL, facts=Facts(transport="quic"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield made
    made.close()


def test_the_edge_answers_over_udp_and_does_not_when_it_is_blocked(lab: Lab) -> None:
    port = int(lab.info["edge"][0].rpartition(":")[2])
    hosts = ("127.0.0.1", "127.0.0.2")
    found = udp([], hosts, port, 2.0)
    assert (found.state, found.text) == (GOOD, f"2 of 2 regions answer on UDP port {port}")
    assert "“quick” is connected over QUIC" in udp([OVER_QUIC], hosts, port, 2.0).text
    lab.faults(udp_blocked=True)
    try:
        blocked = udp([], hosts, port, 0.3)
        assert blocked.state is WARNING
        assert "127.0.0.1: no answer" in blocked.text
        assert blocked.reason is not None
        assert "Most likely" in blocked.reason.meaning
        assert udp([OVER_QUIC], hosts, port, 0.3).state is GOOD, "its own connection proves more"
    finally:
        lab.reset()


def test_an_edge_without_an_address_was_not_tried() -> None:
    assert udp([], ["nowhere.invalid"], 7844, 0.3).state is UNKNOWN


def test_one_lost_datagram_is_sent_again() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as edge:
        edge.bind(("127.0.0.1", 0))
        edge.settimeout(10)

        def answer_the_second() -> None:
            edge.recvfrom(2000)
            data, where = edge.recvfrom(2000)
            theirs, ours = data[6:14], data[15:23]
            edge.sendto(b"\x80" + bytes(4) + b"\x08" + ours + b"\x08" + theirs + b"\0\0\0\1", where)

        thread = threading.Thread(target=answer_the_second)
        thread.start()
        assert udp([], ["127.0.0.1"], edge.getsockname()[1], 4.0).state is GOOD
        thread.join()


def test_what_answers_something_else_is_no_edge() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(10)

        def answer() -> None:
            data, where = other.recvfrom(2000)
            other.sendto(data, where)

        thread = threading.Thread(target=answer)
        thread.start()
        assert udp([], ["127.0.0.1"], other.getsockname()[1], 0.4).state is WARNING
        thread.join()


@given(st.binary(max_size=60))
def test_only_an_answer_to_our_own_datagram_counts(noise: bytes) -> None:
    theirs, ours = b"12345678", b"abcdefgh"
    assert len(unknown_version(theirs, ours)) == 1200
    right = b"\x80" + bytes(4) + b"\x08" + ours + b"\x08" + theirs
    assert is_negotiation(right + noise, theirs, ours)
    assert not is_negotiation(noise, theirs, ours)
    assert not is_negotiation(right, ours, theirs)


@contextmanager
def tls(name: str) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server of that name: its port, and what trusts it."""
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True):
                    pass
            except OSError:
                return  # who asked did not believe it

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], trust
        thread.join()


def test_the_api_over_tls() -> None:
    with tls("127.0.0.1") as (port, trust):
        assert api({}, ["127.0.0.1"], port, 4.0, trust).state is GOOD
    with tls("127.0.0.1") as (port, _):
        found = api({}, ["127.0.0.1"], port, 4.0)
        assert found.state is BAD
        assert "no certificate to be trusted" in found.text
    with tls("localhost") as (port, trust):
        assert "trusted" in api({}, ["127.0.0.1"], port, 4.0, trust).text
    silent = api({}, ["127.0.0.1"], port, 0.5)
    assert (silent.state, "refused" in silent.text) == (BAD, True)
    proxied = api({"https_proxy": "http://proxy.example"}, ["127.0.0.1"], port, 0.5)
    assert (proxied.state, "a proxy is set" in proxied.text) == (UNKNOWN, True)
