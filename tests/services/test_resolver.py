"""Where a name leads, although a resolver remembers that it does not exist."""

import json
import socket
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from nexus_tray.services import resolver
from nexus_tray.services.resolver import Endpoint, NoResolver, NoSuchName, by_system, resolve
from tests.services.tls_places import Authority, TlsPlace, http

NAME = "calm-river.trycloudflare.com"
THERE = {"Status": 0, "Answer": [{"type": 5, "data": "x."}, {"type": 1, "data": "192.0.2.7"}]}
SIX = {"Status": 0, "Answer": [{"type": 28, "data": "2001:db8::7"}]}
GONE = {"Status": 3}
FAILED = {"Status": 2}
EMPTY = {"Status": 0}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("authority"))
    yield made
    made.close()


def service(authority: Authority, *answers: object) -> tuple[Endpoint, TlsPlace]:
    """A DNS-over-HTTPS service that says this, the last again and again."""
    left = list(answers)

    def answer(head: bytes) -> bytes:
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, bytes):
            return said
        return http("200 OK", json.dumps(said).encode(), "Content-Type: application/dns-json")

    place = authority.place(answer, "127.0.0.1")
    return Endpoint("127.0.0.1", "/dns-query", place.port, authority.trust), place


def absent(name: str) -> tuple[str, ...]:
    raise NoSuchName(name)


def mute(name: str) -> tuple[str, ...]:
    raise NoResolver(name)


def test_the_systems_resolver_comes_first() -> None:
    nobody = Endpoint("127.0.0.1", "/", 1)
    assert resolve(NAME, lambda _: ("192.0.2.1",), (nobody,)) == ("192.0.2.1",)


@pytest.mark.parametrize("system", [absent, mute])
def test_a_cached_absence_is_not_believed(
    authority: Authority, system: Callable[[str], tuple[str, ...]]
) -> None:
    endpoint, place = service(authority, THERE)
    assert resolve(NAME, system, (endpoint,)) == ("192.0.2.7",)
    head = place.heads[0].decode()
    assert parse_qs(urlsplit(head.split(" ")[1]).query) == {"name": [NAME], "type": ["1"]}
    assert "accept: application/dns-json" in head.lower()


def test_one_that_knows_better_outweighs_one_that_denies(authority: Authority) -> None:
    denies, _ = service(authority, GONE)
    knows, _ = service(authority, THERE)
    assert resolve(NAME, absent, (denies, knows)) == ("192.0.2.7",)


def test_addresses_of_the_sixth_version_are_asked_for_too(authority: Authority) -> None:
    endpoint, place = service(authority, EMPTY, SIX)
    assert resolve(NAME, absent, (endpoint,)) == ("2001:db8::7",)
    assert len(place.heads) == 2


@pytest.mark.parametrize("said", [GONE, EMPTY])
def test_absent_by_those_who_should_know(authority: Authority, said: object) -> None:
    endpoint, _ = service(authority, said)
    with pytest.raises(NoSuchName):
        resolve(NAME, absent, (endpoint, Endpoint("127.0.0.1", "/", 1)))


@pytest.mark.parametrize(
    "said",
    [FAILED, [], {"Status": 0, "Answer": "x"}, http("200 OK", b"<html>"), http("500 No"), b""],
    ids=str,
)
def test_nobody_could_be_asked_says_nothing_of_the_name(authority: Authority, said: object) -> None:
    endpoint, _ = service(authority, said)
    with pytest.raises(NoResolver):
        resolve(NAME, absent, (endpoint,))


def test_a_service_that_is_not_who_it_says_is_not_believed(authority: Authority) -> None:
    place = authority.place(
        lambda _: http("200 OK", json.dumps(THERE).encode()), "elsewhere.example"
    )
    with pytest.raises(NoResolver):
        resolve(NAME, absent, (Endpoint("127.0.0.1", "/", place.port, authority.trust),))


def test_the_systems_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: Exception) -> None:
        def ask(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(socket, "getaddrinfo", ask)

    assert by_system("localhost")
    raising(socket.gaierror(socket.EAI_NONAME, "no such name"))
    with pytest.raises(NoSuchName):
        by_system(NAME)
    raising(socket.gaierror(socket.EAI_AGAIN, "try again"))
    with pytest.raises(NoResolver):
        by_system(NAME)
    raising(UnicodeError("label too long"))
    with pytest.raises(NoResolver):
        by_system(NAME)


def test_the_fixed_services_need_no_name() -> None:
    for endpoint in resolver.ENDPOINTS:
        socket.inet_aton(endpoint.host)
