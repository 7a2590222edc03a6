"""The server over real sockets: routes, streams, bounds, and its end."""

import csv
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nexus_tray.api.guard import BODY_LIMIT
from nexus_tray.api.routes import PREFIX
from nexus_tray.api.server import ApiServer
from nexus_tray.api.tickets import Tickets
from nexus_tray.commands import StartService, StopService
from nexus_tray.model import Level, to_json
from tests.api.doubles import BOOT, House, first_snapshot, until
from tests.api.doubles import house as build
from tests.api.wires import TOKEN, ask, authority, good, raw, served, stream


@pytest.fixture
def house() -> House[Any]:
    return build()


@pytest.fixture
def server(house: House[Any]) -> Iterator[ApiServer]:
    with served(house.backend) as server:
        yield server


# -- resources ---------------------------------------------------------------------------


def test_the_snapshot_is_the_json_of_the_model(server: ApiServer) -> None:
    reply = ask(server, "GET", f"{PREFIX}/snapshot")
    assert reply.status == 200
    assert reply.body == to_json(first_snapshot())


def test_every_answer_forbids_framing_sniffing_and_storing_and_sets_no_cookie(
    server: ApiServer,
) -> None:
    for method, path, headers in (
        ("GET", "/snapshot", None),
        ("GET", "/nothing", None),
        ("DELETE", "/snapshot", None),
        ("GET", "/snapshot", {"Host": "evil"}),
    ):
        fields = ask(server, method, PREFIX + path, headers=headers).headers
        assert fields["Cache-Control"] == "no-store"
        assert fields["X-Content-Type-Options"] == "nosniff"
        assert fields["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert fields["Referrer-Policy"] == "strict-origin"
        assert "Set-Cookie" not in fields
        assert not any(name.lower().startswith("access-control") for name in fields)
        assert "Python" not in fields["Server"]


def test_services_are_a_list_and_each_a_resource(server: ApiServer) -> None:
    listed = ask(server, "GET", f"{PREFIX}/services").json
    assert [service["name"] for service in listed] == ["opencode", "gateway", "quick"]
    assert ask(server, "GET", f"{PREFIX}/services/quick").json == listed[2]
    missing = ask(server, "GET", f"{PREFIX}/services/nothing")
    assert (missing.status, missing.json["reason"]["code"]) == (404, "api-no-such-resource")


def test_a_wish_is_put(server: ApiServer, house: House[Any]) -> None:
    for desired in ("stopped", "running"):
        path = f"{PREFIX}/services/quick/desired"
        assert ask(server, "PUT", path, {"desired": desired}).status == 200
    assert house.came == [StopService(name="quick"), StartService(name="quick")]


def test_a_refused_command_is_a_conflict_with_its_outcome(server: ApiServer) -> None:
    reply = ask(server, "POST", f"{PREFIX}/services/nothing/restarts")
    assert reply.status == 409
    assert reply.json["ok"] is False
    assert reply.json["reason"]["code"] == "no-such-service"


def test_a_ticket_is_a_link(server: ApiServer) -> None:
    reply = ask(server, "POST", f"{PREFIX}/tickets", {})
    assert reply.json == {"ok": True, "reason": None, "value": "http://127.0.0.1:1/ticket/"}


def test_settings_have_an_etag(server: ApiServer) -> None:
    before = ask(server, "GET", f"{PREFIX}/config")
    etag = before.headers["ETag"]
    assert etag == f'"{before.json["etag"]}"'
    change = {"logs": {"max_megabytes": 8}}
    first = ask(server, "PATCH", f"{PREFIX}/config", change, {**good(server), "If-Match": etag})
    assert first.status == 200
    assert first.json["settings"]["logs"]["max_megabytes"] == 8
    assert first.headers["ETag"] != etag
    late = ask(server, "PATCH", f"{PREFIX}/config", change, {**good(server), "If-Match": etag})
    assert (late.status, late.json["reason"]["code"]) == (412, "config-changed")
    star = ask(server, "PATCH", f"{PREFIX}/config", change, {**good(server), "If-Match": "*"})
    assert star.status == 200
    bad = ask(server, "PATCH", f"{PREFIX}/config", {"logs": {"max_megabytes": 0}})
    assert (bad.status, bad.json["reason"]["code"]) == (422, "config-invalid")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/snapshot/", None, 404),
        ("GET", "/", None, 404),
        ("GET", "/logs?nothing=1", None, 422),
        ("GET", "/logs?limit=0", None, 422),
        ("GET", "/logs?limit=10001", None, 422),
        ("GET", "/logs?limit=1&limit=2", None, 422),
        ("GET", "/logs?limit", None, 422),
        ("GET", f"/logs?after={2**63}", None, 422),
        ("GET", "/logs?words=%ff", None, 422),
        ("GET", "/logs?pattern=(", None, 422),
        ("GET", "/logs/stream?pattern=(", None, 422),
        ("GET", "/logs/export?pattern=(", None, 422),
        ("GET", "/logs/export?format=xml", None, 422),
        ("GET", "/journal?timeout=61", None, 422),
        ("GET", "/snapshot?x=1", None, 422),
        ("POST", "/snapshot", None, 405),
        ("GET", "/shutdown", None, 405),
        ("POST", "/shutdown", {"now": True}, 422),
        ("PUT", "/password", {}, 422),
        ("PUT", "/password", {"password": 1}, 422),
        ("PUT", "/password", {"password": "x", "more": 1}, 422),
        ("PUT", "/password", b"", 422),
        ("PUT", "/password", b'{"password":"\xff"}', 422),
        ("PUT", "/password", b'{"password":"\\ud800"}', 422),
        ("PATCH", "/config", b"[" * 60000, 422),
        ("PATCH", "/config", b'{"a":' * 12000, 422),
        ("PATCH", "/config", b"[]", 422),
        ("PATCH", "/config", b"NaN", 422),
    ],
)
def test_what_is_not_understood_is_refused_in_words(
    server: ApiServer, house: House[Any], method: str, path: str, body: object, status: int
) -> None:
    before = house.settings.read()
    reply = ask(server, method, PREFIX + path, body)
    assert reply.status == status
    assert reply.json["ok"] is False
    assert reply.json["reason"]["what"]
    assert house.came == []
    assert house.settings.read() == before


def test_a_fault_of_ours_is_500_logged_and_tells_nothing(
    server: ApiServer,
    house: House[Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> object:
        raise RuntimeError("inner detail")

    monkeypatch.setattr(house.journal, "latest", broken)
    reply = ask(server, "GET", f"{PREFIX}/snapshot")
    assert (reply.status, reply.json["reason"]["code"]) == (500, "api-internal")
    assert b"inner detail" not in reply.body
    assert "inner detail" in caplog.text
    assert ask(server, "GET", f"{PREFIX}/config").status == 200


# -- events ------------------------------------------------------------------------------


def frame(lines: Iterator[bytes]) -> dict[str, str]:
    """The next frame that is no comment."""
    fields: dict[str, str] = {}
    for raw_line in lines:
        line = raw_line.decode().rstrip("\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            return fields
    pytest.fail("the stream ended")


def test_the_first_frame_is_a_snapshot_and_changes_follow(
    server: ApiServer, house: House[Any]
) -> None:
    with stream(server, f"{PREFIX}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = iter(answer)
        first = frame(lines)
        assert (first["id"], first["event"]) == (f"{BOOT}:1", "reset")
        assert json.loads(first["data"])["snapshot"] == json.loads(to_json(first_snapshot()))
        house.journal.note("a line\nwith a break")
        second = frame(lines)
        assert (second["id"], second["event"]) == (f"{BOOT}:2", "note")
        assert json.loads(second["data"])["note"] == "a line\nwith a break"


def test_last_event_id_resumes_without_a_gap_or_a_double(
    server: ApiServer, house: House[Any]
) -> None:
    house.journal.note("one")
    house.journal.note("two")
    with stream(server, f"{PREFIX}/events", Last_Event_ID=f"{BOOT}:2") as answer:
        only = frame(iter(answer))
    assert json.loads(only["data"])["note"] == "two"
    for lost in ("boot-0:2", f"{BOOT}:99", "nonsense", f"{BOOT}:-1", ":"):
        with stream(server, f"{PREFIX}/events", Last_Event_ID=lost) as answer:
            assert frame(iter(answer))["event"] == "reset"


def test_a_silent_stream_beats_every_second(server: ApiServer) -> None:
    with stream(server, f"{PREFIX}/events", Last_Event_ID=f"{BOOT}:1") as answer:
        begun = time.monotonic()
        assert answer.readline() == b": resumed\n"
        answer.readline()
        assert answer.readline() == b": alive\n"
        assert 0.8 < time.monotonic() - begun < 3.0


@pytest.mark.parametrize("path", ["/events", "/logs/stream", "/logs/export"])
def test_streams_are_capped_and_a_place_is_free_again_when_its_reader_leaves(
    house: House[Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tray.api.streams.HEARTBEAT", 0.1)
    with served(house.backend, streams=1) as server:
        with stream(server, f"{PREFIX}/events") as one:
            one.readline()
            second = ask(server, "GET", PREFIX + path)
            assert (second.status, second.json["reason"]["code"]) == (429, "api-streams")
            assert ask(server, "GET", f"{PREFIX}/snapshot").status == 200

        def free() -> bool:
            with stream(server, PREFIX + path) as answer:
                return answer.status == 200

        until(free)  # found out at a heartbeat, which cannot be written any more
        until(free)


# -- logs --------------------------------------------------------------------------------


def test_log_lines_stream_as_they_come(server: ApiServer, house: House[Any]) -> None:
    for number in range(5):
        house.logs.add(f"old {number}")
    house.logs.add("not wanted", source="quick")
    with stream(server, f"{PREFIX}/logs/stream?limit=2&sources=opencode") as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        lines = (line for line in answer if line.strip())
        assert [json.loads(next(lines))["text"] for _ in range(2)] == ["old 3", "old 4"]
        house.logs.add("new")
        assert json.loads(next(lines))["text"] == "new"


def test_a_backlog_longer_than_a_page_is_streamed_whole(
    server: ApiServer, house: House[Any]
) -> None:
    for number in range(1200):
        house.logs.add(str(number))
    with stream(server, f"{PREFIX}/logs/stream?after=0&limit=7") as answer:
        lines = (line for line in answer if line.strip())
        assert [int(json.loads(next(lines))["text"]) for _ in range(1200)] == list(range(1200))


NASTY = "\x1b]0;title\x07 <script>alert(1)</script> \r\n\u202eabc \x9b31m"


def test_an_export_has_every_match_once(server: ApiServer, house: House[Any]) -> None:
    for number in range(1203):
        house.logs.add(str(number), level=Level.ERROR if number % 2 else Level.INFO)
    reply = ask(server, "GET", f"{PREFIX}/logs/export?format=jsonl&level=error")
    found = [int(json.loads(line)["text"]) for line in reply.body.splitlines()]
    assert found == list(range(1, 1203, 2))
    assert reply.headers["Content-Disposition"] == 'attachment; filename="nexus-tray-logs.jsonl"'
    assert len(found) <= int(reply.headers["Nexus-Lines-At-Most"]) <= 1203
    whole = ask(server, "GET", f"{PREFIX}/logs/export")
    assert int(whole.headers["Nexus-Lines-At-Most"]) == len(whole.body.splitlines()) == 1203
    none = ask(server, "GET", f"{PREFIX}/logs/export?words=nowhere")
    assert (none.headers["Nexus-Lines-At-Most"], none.body) == ("0", b"")


def test_a_text_export_is_one_line_an_event_and_inert(server: ApiServer, house: House[Any]) -> None:
    house.logs.add(NASTY)
    house.logs.add("second")
    body = ask(server, "GET", f"{PREFIX}/logs/export").body.decode()
    assert len(body.splitlines()) == 2
    assert body.isprintable() or set(body) - {"\n"} == set(body.replace("\n", ""))
    assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0 for char in body)
    assert body.startswith("2026-09-21T14:13:20.000Z opencode info \\x1b]0;title\\x07 <script>")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", " =", "\uff1d", "\n="])
def test_no_cell_of_a_csv_export_is_a_formula(
    server: ApiServer, house: House[Any], begin: str
) -> None:
    house.logs.add(f'{begin}cmd|"/c calc"!A1', source=f"{begin}source")
    house.logs.add("plain, with a comma")
    body = ask(server, "GET", f"{PREFIX}/logs/export?format=csv").body.decode()
    rows = list(csv.reader(io.StringIO(body, newline="")))
    assert rows[0] == ["time", "source", "level", "text"]
    assert rows[1][1].startswith("'")
    assert rows[1][3].startswith("'")
    assert rows[2][3] == "plain, with a comma"
    assert len(rows) == 3


# -- bounds and the end ------------------------------------------------------------------


def test_a_body_of_the_limit_is_read_and_one_more_byte_refused(server: ApiServer) -> None:
    frame_bytes = len(b'{"password":""}')
    fits = json.dumps({"password": "x" * (BODY_LIMIT - frame_bytes)}, separators=(",", ":"))
    assert ask(server, "PUT", f"{PREFIX}/password", fits.encode()).status == 200
    assert ask(server, "PUT", f"{PREFIX}/password", fits.encode() + b" ").status == 413
    assert ask(server, "PUT", f"{PREFIX}/password", b"x" * 2_000_000).status == 413


def test_a_head_without_end_is_cut_off(server: ApiServer) -> None:
    host = authority(server).encode()
    endless = b"GET /api/v1/snapshot HTTP/1.1\r\nHost: " + host + b"\r\n" + b"X: y\r\n" * 20000
    assert not raw(server, endless).startswith(b"HTTP/1.0 2")
    assert not raw(server, b"GET /" + b"a" * 200_000).startswith(b"HTTP/1.0 2")
    assert ask(server, "GET", f"{PREFIX}/snapshot").status == 200


def test_a_client_that_dribbles_is_cut_off(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tray.api.wire.READ_SECONDS", 0.4)
    host, port = authority(server).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 8.0:
                line.sendall(b"a")
                line.settimeout(0.05)
                try:
                    if line.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
    assert time.monotonic() - begun < 5.0


def test_a_client_that_says_nothing_is_cut_off(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tray.api.wire.READ_SECONDS", 0.4)
    host, port = authority(server).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"GET /api/v1/snapshot HTTP/1.1\r\n")
        assert line.recv(100) == b""


def test_silent_connections_do_not_keep_others_out(house: House[Any]) -> None:
    with served(house.backend, connections=8) as server:
        host, port = authority(server).split(":")
        lines = [socket.create_connection((host, int(port)), timeout=10) for _ in range(8)]
        try:
            until(lambda: raw(server, b"GET / HTTP/1.0\r\n\r\n") == b"")  # over the cap: closed
        finally:
            for line in lines:
                line.close()
        until(lambda: raw(server, b"GET / HTTP/1.0\r\n\r\n") != b"")
        assert ask(server, "GET", f"{PREFIX}/snapshot").status == 200


def test_it_listens_on_loopback_only(server: ApiServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    with socket.create_server(("127.0.0.2", int(server.url.rsplit(":", 1)[1]))):
        pass  # a server on every address would hold this one too


def test_the_end_is_quick_with_streams_open_and_frees_everything(house: House[Any]) -> None:
    before = threading.active_count()
    server = ApiServer(house.backend, TOKEN)
    server.start()
    with stream(server, f"{PREFIX}/events") as one, stream(server, f"{PREFIX}/events") as two:
        one.readline()
        two.readline()
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 1.0
        assert one.read() is not None  # the stream ends instead of hanging
    server.stop()
    until(lambda: threading.active_count() <= before)
    with pytest.raises(ConnectionRefusedError):
        raw(server, b"GET / HTTP/1.0\r\n\r\n")


def test_the_end_lets_go_of_a_reader_that_waits(house: House[Any]) -> None:
    """A long poll that would wait half a minute more."""
    with served(house.backend) as server:
        host, port = authority(server).split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in good(server).items())
        with socket.create_connection((host, int(port)), timeout=10) as line:
            target = f"{PREFIX}/journal?since={BOOT}:1&timeout=30"
            line.sendall(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
            until(lambda: any("process_request" in t.name for t in threading.enumerate()))
            server.stop()
            assert line.recv(100) == b""
        house.journal.close()


def test_a_server_that_never_started_can_be_stopped(house: House[Any]) -> None:
    ApiServer(house.backend, TOKEN).stop()


def test_fifty_readers_at_once(server: ApiServer) -> None:
    answers: list[int] = []

    def read() -> None:
        answers.extend(ask(server, "GET", f"{PREFIX}/snapshot").status for _ in range(10))

    readers = [threading.Thread(target=read) for _ in range(50)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert answers == [200] * 500


def test_ending_every_page_ends_its_open_stream_and_no_other(house: House[Any]) -> None:
    tickets = Tickets()
    with served(house.backend, tickets=tickets) as server:
        page = good(server) | {"Authorization": f"Bearer {tickets.redeem(tickets.issue())}"}
        streams = [http.client.HTTPConnection(authority(server), timeout=10) for _ in range(2)]
        for line, fields in zip(streams, (page, good(server)), strict=True):
            line.request("GET", f"{PREFIX}/events", headers=fields)
        theirs, ours = (line.getresponse() for line in streams)
        assert theirs.read1(1)
        assert ours.read1(1)
        tickets.void_all()
        theirs.read()  # returns: the stream ends within a heartbeat
        assert ask(server, "GET", f"{PREFIX}/snapshot", headers=page).status == 401
        house.journal.note("still here")
        assert any(b"still here" in frame for frame in iter(ours.readline, b""))
        for line in streams:
            line.close()
