"""A visit through the public address: what each kind of answer is taken for."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import trustme

from nexus_tray.gateway.http import Door, DoorKind, Request, Visitor
from nexus_tray.gateway.proof import Proofs, Question
from nexus_tray.services import public_certificate, public_visit
from nexus_tray.services.public_certificate import Certificate, ends_soon, judged
from nexus_tray.services.public_visit import Front, Seen, Visit, Way, visit
from nexus_tray.services.resolver import NoResolver, NoSuchName
from tests.services.tls_places import HOST, Authority, TlsPlace, http

CLOUDFLARE = "Server: cloudflare"
DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("authority"))
    yield made
    made.close()


def ours(proofs: Proofs, door: str = "work") -> Callable[[bytes], bytes]:
    """The gateway behind Cloudflare, without either: it answers as the gateway's proofs do."""

    def answer(head: bytes) -> bytes:
        target = head.split(b" ")[1].decode()
        came = Visitor(Door(DoorKind.TUNNEL, door), "192.0.2.1", HOST, f"https://{HOST}")
        said = proofs.answer(Request("GET", target, "", (), came))
        return http("200 OK", said.body, DATE) if said else http("404 Not Found")

    return answer


def at(place: TlsPlace, authority: Authority, question: Question | None = None) -> Visit:
    asked = question or Proofs(time.monotonic).ask("work")
    return visit(HOST, asked, Way(Front("127.0.0.1", place.port, authority.trust)))


def test_our_gateway_is_known_and_timed(authority: Authority) -> None:
    proofs = Proofs(time.monotonic)
    found = at(authority.place(ours(proofs)), authority, proofs.ask("work"))
    assert found.seen is Seen.OURS
    assert found.status == 200
    assert found.date == 784111777.0
    assert found.round_trip_ms is not None
    assert 0 < found.round_trip_ms < 5000
    assert found.certificate is not None
    assert found.certificate.names == (HOST,)
    assert found.certificate.chain


def test_the_gateway_by_another_tunnel_is_astray(authority: Authority) -> None:
    proofs = Proofs(time.monotonic)
    place = authority.place(ours(proofs, "home"))
    assert at(place, authority, proofs.ask("work")).seen is Seen.ASTRAY


def test_another_gateway_is_foreign(authority: Authority) -> None:
    proofs, others = Proofs(time.monotonic), Proofs(time.monotonic)
    others.ask("work")
    place = authority.place(ours(others))
    assert at(place, authority, proofs.ask("work")).seen is Seen.FOREIGN


@pytest.mark.parametrize(
    ("answer", "seen", "code"),
    [
        (http("530 ", b"error code: 1033", CLOUDFLARE), Seen.CLOUDFLARE, "1033"),
        (http("530 ", b"<h1>Error</h1><span>1033</span>", CLOUDFLARE), Seen.CLOUDFLARE, "1033"),
        (http("530 ", b"", CLOUDFLARE), Seen.CLOUDFLARE, "530"),
        (http("502 Bad Gateway", b"error code: 502", CLOUDFLARE), Seen.CLOUDFLARE, "502"),
        (http("521 ", b"<html>Web server is down", CLOUDFLARE), Seen.CLOUDFLARE, "521"),
        (http("524 ", b"error code: 524", CLOUDFLARE), Seen.CLOUDFLARE, "524"),
        (http("429 Too Many", b"error code: 429", CLOUDFLARE), Seen.CLOUDFLARE, "429"),
        (http("403 No", b"<h2>Error 1020</h2>", CLOUDFLARE), Seen.GUARDED, "1020"),
        (http("409 No", b"error code: 1016", CLOUDFLARE), Seen.CLOUDFLARE, "1016"),
        (http("403 No", b"", CLOUDFLARE, "cf-mitigated: challenge"), Seen.GUARDED, ""),
        (
            http("302 Go", b"", "Location: https://me.cloudflareaccess.com/cdn-cgi/x"),
            Seen.GUARDED,
            "",
        ),
        (
            http("403 No", public_visit.REFUSED_AT_THE_DOOR + b"\n", CLOUDFLARE),
            Seen.REFUSED,
            "",
        ),
        (http("200 OK", b"welcome to nginx"), Seen.FOREIGN, ""),
        (http("200 OK", b"error code: 1033", CLOUDFLARE), Seen.FOREIGN, ""),
        (http("502 Bad Gateway", b"error code: 502"), Seen.FOREIGN, ""),
        (http("404 Not Found", b"No such page.", CLOUDFLARE), Seen.FOREIGN, ""),
        (http("301 Moved", b"", "Location: https://elsewhere.example/"), Seen.FOREIGN, ""),
        (b"not HTTP at all\r\n\r\n", Seen.SILENT, ""),
        (b"", Seen.SILENT, ""),
    ],
)
def test_what_an_answer_is_taken_for(
    authority: Authority, answer: bytes, seen: Seen, code: str
) -> None:
    found = at(authority.place(lambda _: answer), authority)
    assert (found.seen, found.code) == (seen, code)
    assert found.certificate is not None
    assert found.round_trip_ms is None


def test_silence_ends_in_time(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_visit, "LIMIT", 0.3)
    began = time.monotonic()
    assert at(authority.place(lambda _: None), authority).seen is Seen.SILENT
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("names", "days", "stranger", "code"),
    [
        ((), -1.0, False, "certificate-expired"),
        (("other.example.com",), 80.0, False, "certificate-wrong-name"),
        ((), 80.0, True, "certificate-untrusted"),
    ],
)
def test_a_certificate_that_a_browser_would_refuse(
    authority: Authority, names: tuple[str, ...], days: float, stranger: bool, code: str
) -> None:
    place = authority.place(lambda _: http("200 OK"), *names, days=days, stranger=stranger)
    found = at(place, authority)
    assert found.seen is Seen.UNTRUSTED
    assert found.trouble is not None
    assert found.trouble.code == code
    assert found.trouble.cure
    assert not place.heads  # nothing was asked of it
    assert found.certificate is not None  # and still it is shown
    assert found.certificate.names == (names or (HOST,))
    report = judged(HOST, found.certificate, found.trouble, time.time(), trusted=False)
    assert report.reason == found.trouble
    assert report.issuer == "Lab Authority" or stranger
    assert report.not_after_at is not None
    assert (report.not_after_at < time.time()) is (days < 0)


def test_a_handshake_that_is_refused_is_a_missing_certificate(authority: Authority) -> None:
    """What Cloudflare does for a name with too many labels: an alert instead of a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has none
    found = at(authority.keep(TlsPlace(context, lambda _: http("200 OK"))), authority)
    assert found.seen is Seen.UNTRUSTED
    assert found.trouble is not None
    assert found.trouble.code == "certificate-missing"


@pytest.mark.parametrize(("days", "warned"), [(13.5, True), (14.5, False)])
def test_it_is_warned_about_in_time(authority: Authority, days: float, warned: bool) -> None:
    proofs = Proofs(time.monotonic)
    found = at(authority.place(ours(proofs), days=days), authority, proofs.ask("work"))
    report = judged(HOST, found.certificate, found.trouble, time.time(), trusted=True)
    assert report.trusted
    assert report.names == (HOST,)
    assert (report.reason is not None) is warned
    if report.reason is not None:
        assert report.reason.code == "certificate-ends-soon"
        assert "in 13 days" in report.reason.what


def test_words_for_the_last_days() -> None:
    assert "within a day" in ends_soon(HOST, 0).what
    assert "in a day" in ends_soon(HOST, 1).what
    assert judged(HOST, Certificate(), None, 0.0, trusted=True).reason is None


def test_nobody_there(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    question = Proofs(time.monotonic).ask("work")
    assert visit(HOST, question, Way(Front("127.0.0.1", port))).seen is Seen.NO_WAY


def test_names_are_looked_up_where_there_is_no_front(authority: Authority) -> None:
    proofs, asked = Proofs(time.monotonic), list[str]()
    place = authority.place(ours(proofs))

    def look_up(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ("127.0.0.2", "127.0.0.1") if name == HOST else ()

    way = Way(port=place.port, trust=authority.trust, look_up=look_up)
    assert visit(HOST, proofs.ask("work"), way).seen is Seen.OURS  # the first address is dead
    assert asked == [HOST]

    def absent(name: str) -> tuple[str, ...]:
        raise NoSuchName(name)

    def mute(name: str) -> tuple[str, ...]:
        raise NoResolver(name)

    assert visit(HOST, proofs.ask("work"), Way(look_up=absent)).seen is Seen.NO_NAME
    assert visit(HOST, proofs.ask("work"), Way(look_up=mute)).seen is Seen.NO_WAY


def test_a_front_is_never_looked_up(authority: Authority) -> None:
    def never(name: str) -> tuple[str, ...]:
        raise AssertionError(name)

    proofs = Proofs(time.monotonic)
    place = authority.place(ours(proofs))
    front = Front("127.0.0.1", place.port, authority.trust)
    assert visit(HOST, proofs.ask("work"), Way(front, look_up=never)).seen is Seen.OURS


def test_a_refused_certificate_that_cannot_be_seen_again_is_unknown() -> None:
    assert public_certificate.unverified(HOST, ("127.0.0.1", 1), 0.5) is None


class Told:
    """A connection as Python 3.13 has it: it tells the chain."""

    def __init__(self, *chain: trustme.Blob) -> None:
        self._chain = [ssl.PEM_cert_to_DER_cert(one.bytes().decode()) for one in chain]

    def getpeercert(self) -> dict[str, object]:
        return {"subject": ((("commonName", HOST),),), "issuer": ((("organizationName", "Lab"),),)}

    def get_verified_chain(self) -> list[bytes]:
        return self._chain


def test_the_whole_chain_is_told_where_python_tells_it() -> None:
    root = trustme.CA(organization_name="Root")
    middle = root.create_child_ca()
    leaf = middle.issue_cert(HOST, common_name=HOST)
    chain = (leaf.cert_chain_pems[0], middle.cert_pem, root.cert_pem)
    read = public_certificate.verified(cast("ssl.SSLSocket", Told(*chain)))
    assert (read.chain[0], read.chain[2], len(read.chain)) == (HOST, "Root", 3)
    assert read.issuer == "Lab"


def drips(start: bytes, piece: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """Never ends, and never lets one wait long for the next byte."""

    def answer(head: bytes) -> Iterator[bytes]:
        yield start
        for _ in range(200):
            time.sleep(0.05)
            yield piece

    return answer


@pytest.mark.parametrize(
    ("start", "piece", "seen"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", Seen.FOREIGN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b".", Seen.FOREIGN),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"data: x\n\n", Seen.FOREIGN),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n", Seen.FOREIGN),
    ],
)
def test_an_answer_that_never_ends_holds_no_visit_for_ever(
    authority: Authority, start: bytes, piece: bytes, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another service at our name may well stream; the next visit must come nevertheless."""
    monkeypatch.setattr(public_visit, "WHOLE", 0.5)
    began = time.monotonic()
    assert at(authority.place(drips(start, piece)), authority).seen is seen
    assert time.monotonic() - began < 3
