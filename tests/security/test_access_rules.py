"""Address and country lists, rates and streams, through the gateway's real socket: nothing of who
is refused reaches OpenCode, he learns nothing, and the owner's trail says why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.settings import AccessSettings
from tests.gateway.doubles import House, house, tunnel_request

ADDRESS = "203.0.113.9"  # as tunnel_request has it
FREE = {"requests_per_second": 0, "address_requests_per_second": 0, "streams": 0}
PATHS = ("/", "/session", "/_nexus/", "/_nexus/sign-in", "/_nexus/style.css", "/site.webmanifest")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        made.denials = []  # type: ignore[attr-defined]
        made.gateway.tell_denials(lambda address, why: made.denials.append((address, why)))  # type: ignore[attr-defined]
        yield made


def denials(home: House) -> list[tuple[str, str]]:
    return home.denials  # type: ignore[attr-defined, no-any-return]


REFUSED = [
    (AccessSettings(deny_addresses=("203.0.113.0/24",)), "DE", "denied (203.0.113.0/24)"),
    (AccessSettings(deny_addresses=("::ffff:203.0.113.9",)), "DE", "denied (203.0.113.9/32)"),
    (AccessSettings(allow_addresses=("198.51.100.1",)), "DE", "not among the allowed"),
    (
        AccessSettings(allow_addresses=(ADDRESS,), deny_addresses=(ADDRESS,)), "DE",
        "denied (203.0.113.9/32)",
    ),
    (AccessSettings(deny_countries=("DE",)), "DE", "denied (DE)"),
    (AccessSettings(allow_countries=("FR",)), "DE", "not among the allowed (DE)"),
    (AccessSettings(allow_countries=("FR",)), None, "country is not known"),
    (AccessSettings(deny_countries=("FR",)), None, "country is not known"),
    (AccessSettings(deny_countries=("FR",)), "XX", "country is not known"),
    (AccessSettings(deny_addresses=("300.1.1.1",)), "DE", "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "country", "told"), REFUSED)
@pytest.mark.parametrize("cookie", ["ada", None])
def test_who_is_listed_gets_one_word_and_opencode_nothing(
    home: House, settings: AccessSettings, country: str | None, told: str, cookie: str | None
) -> None:
    home.gateway.set_limits(settings)
    fields = () if country is None else (f"CF-IPCountry: {country}",)
    for path in PATHS:
        client = home.tunnel()
        request = tunnel_request("GET", path, *fields, cookie=cookie)
        client.try_send(request + request)
        answer = client.answer()
        assert (answer.status, answer.body) == (403, b"Refused.\n")
        assert client.closed()
    assert home.raw.links == []
    assert home.site.seen == [], "a refused visitor's credentials were looked at"
    assert len(denials(home)) == len(PATHS)
    assert all(address == ADDRESS and told in why for address, why in denials(home))


@pytest.mark.parametrize(
    ("settings", "country"),
    [
        (AccessSettings(), None),
        (AccessSettings(allow_addresses=("203.0.113.0/24",)), None),
        (AccessSettings(deny_addresses=("2001:db8::/32",)), "XX"),
        (AccessSettings(allow_countries=("DE", "T1")), "DE"),
        (AccessSettings(deny_countries=("FR",)), "T1"),
    ],
)
def test_who_is_not_listed_passes(
    home: House, settings: AccessSettings, country: str | None
) -> None:
    home.gateway.set_limits(settings)
    fields = () if country is None else (f"CF-IPCountry: {country}",)
    assert home.ask(tunnel_request("GET", "/x", *fields)).body == b"ok"
    assert denials(home) == []
    assert home.gateway.countries() == (() if country is None else (country,))


def test_the_local_door_has_no_limits(home: House) -> None:
    home.gateway.set_limits(
        AccessSettings(
            allow_addresses=("198.51.100.1",), allow_countries=("FR",),
            requests_per_second=1, address_requests_per_second=1, streams=1,
        )
    )  # fmt: skip
    for _ in range(9):
        client = home.local()
        host = f"127.0.0.1:{home.gateway.local_port}"
        client.send(f"GET /x HTTP/1.1\r\nHost: {host}\r\nCookie: nexus_local=ada\r\n\r\n".encode())
        assert client.answer().body == b"ok"


def test_a_device_asks_so_often_and_no_more(home: House) -> None:
    home.gateway.set_limits(AccessSettings(**{**FREE, "requests_per_second": 2}))  # type: ignore[arg-type]
    answers = [home.ask(tunnel_request("GET", "/x")) for _ in range(8)]
    assert [answer.status for answer in answers[:4]] == [200] * 4
    assert answers[-1].status == 429
    assert answers[-1].get("retry-after") == "1"
    assert len(home.raw.received.split(b"GET /x ")) - 1 < 8
    assert "one device may make (ada)" in denials(home)[-1][1]
    home.site.sign_in("bob")
    assert home.ask(tunnel_request("GET", "/x", cookie="bob")).status == 200


def test_an_address_of_strangers_asks_so_often_and_no_more(home: House) -> None:
    home.gateway.set_limits(AccessSettings(**{**FREE, "address_requests_per_second": 2}))  # type: ignore[arg-type]
    statuses = [home.ask(tunnel_request("GET", "/x", cookie=None)).status for _ in range(8)]
    assert statuses[:4] == [401] * 4
    assert statuses[-1] == 429
    assert "one address may make" in denials(home)[-1][1]
    assert home.ask(tunnel_request("GET", "/x")).status == 200, "the signed-in were kept out too"
    assert b"401" not in home.raw.received


def test_a_device_has_so_many_streams_and_lists_end_them(tmp_path: Path) -> None:
    def endless(link: object) -> None:
        link.read_head()  # type: ignore[attr-defined]
        link.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")  # type: ignore[attr-defined]
        link.ended()  # type: ignore[attr-defined]

    with house(tmp_path, script=endless) as home:
        home.gateway.set_limits(AccessSettings(**{**FREE, "streams": 2}))  # type: ignore[arg-type]
        streams = [home.tunnel() for _ in range(2)]
        for stream in streams:
            stream.send(tunnel_request("GET", "/event"))
            assert stream.head().status == 200
        assert home.ask(tunnel_request("GET", "/event")).status == 429
        home.gateway.set_limits(AccessSettings(deny_addresses=(ADDRESS,)))
        for stream in streams:
            stream.rest()
        home.gateway.set_limits(AccessSettings())
        again = home.tunnel()
        again.send(tunnel_request("GET", "/event"))
        assert again.head().status == 200, "an ended stream still counted"
