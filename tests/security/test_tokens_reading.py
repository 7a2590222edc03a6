"""Read-only API tokens: a list that is written out here a second time, against the document of
the real OpenCode, and a planted file on it (SECURITY.md "API tokens").
"""

import contextlib
import http.client
import json
import subprocess
from urllib.parse import quote

import pytest

from tests.gateway.doubles import OK, Link, tunnel_request
from tests.opencode_lab.harness import Keeper
from tests.security.test_signin_e2e import House, house, seen
from tests.security.test_tokens import HANDSHAKE, METHODS, ORIGIN, ask, basic, bearer, full

__all__ = ["full", "house"]


@pytest.fixture
def read(house: House) -> str:
    return house.world.vault.tokens.make("wall", "read", 30)


def small(link: Link) -> None:
    """One answer on each connection; HEAD's has no body."""
    head = link.read_head().startswith(b"HEAD")
    answer = OK.replace(b"Content-Length", b"Connection: close\r\nContent-Length")
    link.send(answer.removesuffix(b"ok") if head else answer)


MAY_READ = {
    "/event": set(),
    "/global/health": set(),
    "/permission": set(),
    "/question": set(),
    "/session": {"limit", "roots", "search", "start"},
    "/session/status": set(),
    "/session/{sessionID}": set(),
    "/session/{sessionID}/children": set(),
    "/session/{sessionID}/message": {"before", "limit"},
    "/session/{sessionID}/message/{messageID}": set(),
    "/session/{sessionID}/todo": set(),
}  # type: dict[str, set[str]]


def document(opencode: Keeper) -> dict[str, dict[str, object]]:
    upstream = opencode.upstream
    assert upstream is not None
    line = http.client.HTTPConnection(upstream.host, upstream.port, timeout=10)
    with contextlib.closing(line):
        line.request("GET", "/doc", headers={"Authorization": upstream.authorization.decode()})
        paths: dict[str, dict[str, object]] = json.loads(line.getresponse().read())["paths"]
    assert len(paths) > 150
    return paths


def concrete(path: str) -> str:
    return path.replace("{", "").replace("}", "").replace("*", "x")


def test_a_reading_token_may_what_is_written_here(
    house: House, read: str, opencode: Keeper
) -> None:
    """Each path of the real OpenCode's document, by each method (ASVS 5.0 V8.2.1)."""
    house.upstream.script = small
    paths = document(opencode)
    assert set(MAY_READ) <= set(paths), "the list names what OpenCode has"
    passed = []
    for path in [*paths, "/", "/doc", "/L2hvbWU/session", "/assets/index.js"]:
        for method in METHODS:
            before = len(seen(house))
            status = ask(house, bearer(read), ORIGIN, target=concrete(path), method=method).status
            reached = len(seen(house)) > before
            assert (status, reached) in ((200, True), (403, False)), (method, path, status)
            if reached:
                passed.append((method, path))
        assert ask(house, bearer(read), *HANDSHAKE, target=concrete(path)).status == 403, path
    assert sorted(passed) == sorted((m, path) for path in MAY_READ for m in ("GET", "HEAD"))


def test_a_reading_token_chooses_no_folder(house: House, read: str, opencode: Keeper) -> None:
    """Every parameter that the document knows anywhere, at every operation it may ask."""
    house.upstream.script = small
    known = {"directory", "workspace", "new-in-some-version"}
    for operations in document(opencode).values():
        for operation in operations.values():
            assert isinstance(operation, dict)
            told = operation.get("parameters", ())
            known |= {one["name"] for one in told if one["in"] == "query"}
    assert {"directory", "workspace", "path"} <= known
    for path, allowed in MAY_READ.items():
        for name in known:
            for query in (f"{name}=x", f"limit=1&{name}=x", name):
                answer = ask(house, bearer(read), target=f"{concrete(path)}?{query}")
                names = {part.partition("=")[0] for part in query.split("&")}
                single = len(names) == query.count("&") + 1
                wanted = 200 if names <= allowed and single else 403
                assert answer.status == wanted, (path, query)
    before = seen(house)
    for query in ("%64irectory=/", "limit=1;directory=/", "limit=1&limit=2", "director%79=/", "=x"):
        assert ask(house, bearer(read), target=f"/session?{query}").status == 403, query
    for name in ("x-opencode-directory", "X-OpenCode-Directory", "x-opencode-workspace"):
        answer = ask(house, bearer(read), f"{name}: /")
        assert (answer.status, answer.get("content-type")) == (403, "application/json"), name
        told = json.loads(answer.body)  # as OpenCode's clients read a refusal
        assert told["name"] == "Refused"
        assert "may only look at sessions" in told["data"]["message"]
    assert seen(house) == before


def test_a_planted_file_stays_unread_on_the_real_opencode(
    house: House, full: str, read: str, opencode: Keeper
) -> None:
    """CWE-22, CWE-863: what `/file/content?directory=` gives to a full token, it keeps from a
    reading one, however it is asked for."""
    house.gateway.set_upstream(opencode.upstream)
    planted = house.folder / "planted"
    planted.mkdir()
    (planted / "diary.txt").write_text("only for the owner")
    folder = quote(str(planted), safe="")
    plain = f"/file/content?path=diary.txt&directory={folder}"
    by_field = f"x-opencode-directory: {planted}"
    for fields, target in {
        (): plain,
        (by_field,): "/file/content?path=diary.txt",
    }.items():
        answer = ask(house, bearer(full), *fields, target=target)
        assert b"only for the owner" in answer.body, "else this test proves nothing"
    targets = [
        plain, "/file/content?path=diary.txt", f"/file?path=.&directory={folder}",
        f"/api/fs/read/diary.txt?directory={folder}", f"/find?pattern=owner&directory={folder}",
        f"/find/file?query=diary&directory={folder}", f"/session?directory={folder}",
        f"//file/content?path=diary.txt&directory={folder}",
        f"/session/../file/content?path=diary.txt&directory={folder}",
        f"/session/%2e%2e/file/content?path=diary.txt&directory={folder}",
        f"/File/Content?path=diary.txt&directory={folder}", f"{plain}#/session",
    ]  # fmt: skip
    for target in targets:
        for fields in ((), (by_field,)):
            for field in (bearer(read), basic(read)):
                answer = ask(house, field, *fields, target=target)
                assert answer.status in (400, 403), (target, answer)
                assert b"only for the owner" not in answer.body
                assert b"diary" not in answer.body
    listed = ask(house, bearer(read))
    assert (listed.status, isinstance(json.loads(listed.body), list)) == (200, True)


def test_other_projects_sessions_stay_unknown_on_the_real_opencode(
    house: House, full: str, read: str, opencode: Keeper
) -> None:
    """What tells of all projects at once would be a choice of folders too."""
    house.gateway.set_upstream(opencode.upstream)
    other = house.folder / "other"
    other.mkdir()
    git = ("git", "-C", str(other), "-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run([*git, *words], check=True)
    body = b'{"title": "elsewhere"}'
    made = house.ask(
        tunnel_request(
            "POST", f"/session?directory={quote(str(other), safe='')}", bearer(full),
            "Content-Type: application/json", f"Content-Length: {len(body)}", cookie=None,
            body=body,
        ),
        "POST",
    )  # fmt: skip
    theirs = json.loads(made.body)["id"]
    told = ask(house, bearer(full), target="/experimental/session").body
    assert theirs in told.decode(), "else this test proves nothing"
    for target in ("/experimental/session", "/experimental/session?limit=1", "/global/event"):
        assert ask(house, bearer(read), target=target).status == 403
    for target in MAY_READ:
        if "{" not in target and target != "/event":
            answer = ask(house, bearer(read), target=target)
            assert answer.status == 200, target
            assert theirs.encode() not in answer.body, target
