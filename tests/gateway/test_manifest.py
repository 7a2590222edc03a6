"""The web manifest is served without a session, and without a request to OpenCode."""

import asyncio
import json

import pytest

from nexus_tray.gateway.http import Door, DoorKind, Request, Response, Visitor
from nexus_tray.gateway.shaping.manifest import MAX_BYTES, PATHS, ManifestCopy, known
from tests.gateway.event_source import serving

VISITOR = Visitor(Door(DoorKind.TUNNEL, "quick", True), "192.0.2.1", "x.test", "https://x.test")
MANIFEST, SMALL, LARGE = PATHS
FILES = {
    MANIFEST: ("application/octet-stream", b'{"name":"OpenCode"}'),
    SMALL: ("image/png", b"small"),
    LARGE: ("image/png", b"large"),
}


def asked(path: str = MANIFEST, method: str = "GET", tag: bytes = b"") -> Request:
    headers = ((b"if-none-match", tag),) if tag else ()
    return Request(method, path, "v=1", headers, VISITOR)


def copied(files: dict[str, tuple[str, bytes]]) -> tuple[ManifestCopy, bool]:
    async def whole() -> tuple[ManifestCopy, bool]:
        async with serving() as server:
            server.files = files
            copy = ManifestCopy()
            return copy, await copy.refresh(server.upstream)

    return asyncio.run(whole())


def test_the_files_are_served_as_opencode_has_them() -> None:
    copy, complete = copied(FILES)
    assert complete
    answer = copy.local_copy(asked())
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert answer.body == b'{"name":"OpenCode"}'
    assert dict(answer.headers)["content-type"] == "application/manifest+json"
    icon = copy.local_copy(asked(LARGE))
    assert icon is not None
    assert (icon.body, dict(icon.headers)["content-type"]) == (b"large", "image/png")


def test_we_ask_with_our_credential_and_visitors_ask_nobody() -> None:
    async def whole() -> None:
        async with serving() as server:
            server.files = FILES
            copy = ManifestCopy()
            assert copy.local_copy(asked()) is None
            assert server.heads == []
            await copy.refresh(server.upstream)
            assert len(server.heads) == 3
            assert all("authorization: Basic b3duOnNlY3JldA==" in head for head in server.heads)
            for _ in range(20):
                assert copy.local_copy(asked()) is not None
            assert len(server.heads) == 3

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/site.webmanifest/", "GET"),
        ("/SITE.webmanifest", "GET"),
        ("/", "GET"),
        ("/config", "GET"),
        (MANIFEST, "POST"),
        (MANIFEST, "OPTIONS"),
    ],
)
def test_all_else_is_left_to_sign_in(path: str, method: str) -> None:
    copy, _ = copied(FILES)
    assert copy.local_copy(asked(path, method)) is None


def test_a_browser_that_has_the_file_is_told_so() -> None:
    copy, _ = copied(FILES)
    answer = copy.local_copy(asked())
    assert answer is not None
    tag = dict(answer.headers)["etag"].encode()
    again = copy.local_copy(asked(tag=b'"other", W/' + tag))
    assert again is not None
    assert (again.status, again.body) == (304, b"")
    other = copy.local_copy(asked(tag=b'"other"'))
    assert other is not None
    assert other.status == 200


@pytest.mark.parametrize(
    ("tags", "has"), [(None, False), ("", False), ('"a"', True), ('W/"a"', True), ("*", True)]
)
def test_which_tags_match(tags: str | None, has: bool) -> None:
    assert known(tags, '"a"') is has


@pytest.mark.parametrize(
    "file",
    [
        ("text/html", b"<!doctype html>"),
        ("application/json", b"not json"),
        ("application/json", b"[]"),
        ("application/json", b""),
        ("application/json", b'{"a":"' + b"x" * MAX_BYTES + b'"}'),
    ],
    ids=["page", "garbage", "a list", "empty", "huge"],
)
def test_what_is_no_manifest_is_not_taken(file: tuple[str, bytes]) -> None:
    copy, complete = copied(FILES | {MANIFEST: file})
    assert not complete
    assert copy.local_copy(asked()) is None
    assert copy.local_copy(asked(SMALL)) is not None


@pytest.mark.parametrize(
    ("purposes", "wanted"),
    [
        (["maskable", "maskable"], ["any maskable", "any maskable"]),
        (["maskable", "any"], ["maskable", "any"]),
        (["maskable any"], ["maskable any"]),
        ([None, "maskable"], [None, "maskable"]),
        ([], []),
    ],
)
def test_icons_are_fit_for_installing(purposes: list[str | None], wanted: list[str | None]) -> None:
    icons = [{"src": "/x.png"} | ({"purpose": one} if one else {}) for one in purposes]
    body = json.dumps({"name": "OpenCode", "id": "/", "icons": icons}).encode()
    copy, _ = copied(FILES | {MANIFEST: ("application/json", body)})
    answer = copy.local_copy(asked())
    assert answer is not None
    served = json.loads(answer.body)
    assert [icon.get("purpose") for icon in served["icons"]] == wanted
    assert (served["name"], served["id"]) == ("OpenCode", "/")


def test_an_older_copy_stays_when_a_newer_cannot_be_had() -> None:
    async def whole() -> None:
        copy = ManifestCopy()
        async with serving() as server:
            server.files = FILES
            assert await copy.refresh(server.upstream)
            server.files = FILES | {SMALL: ("image/png", b"newer")}
            del server.files[MANIFEST]
            server.behaviour = "short"
            assert not await copy.refresh(server.upstream)
            gone = server.upstream
        assert not await copy.refresh(gone)
        answer, icon = copy.local_copy(asked()), copy.local_copy(asked(SMALL))
        assert answer is not None
        assert icon is not None
        assert (answer.body, icon.body) == (b'{"name":"OpenCode"}', b"newer")

    asyncio.run(whole())
