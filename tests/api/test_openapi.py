"""The document tells of every route, truly; and the server survives a fuzz made from it."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_tray.api.openapi import document
from nexus_tray.api.resources import ROUTES
from nexus_tray.api.routes import PREFIX
from nexus_tray.api.server import ApiServer
from tests.api.doubles import House
from tests.api.doubles import house as build
from tests.api.wires import ask, raw, served

DOCUMENT = json.loads(json.dumps(document(ROUTES)))
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
ENDLESS = {route.path for route in ROUTES if route.stream}


@pytest.fixture(scope="module")
def house() -> House[Any]:
    return build()


@pytest.fixture(scope="module")
def server(house: House[Any]) -> Iterator[ApiServer]:
    with served(house.backend) as server:
        yield server


def test_the_served_document_is_this_one(server: ApiServer) -> None:
    assert ask(server, "GET", f"{PREFIX}/openapi.json").json == DOCUMENT


def test_every_route_is_told_once() -> None:
    told = [(method, path) for method, path, _ in OPERATIONS]
    assert sorted(told) == sorted((route.method, route.path) for route in ROUTES)
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") or ":" in operation["summary"]
               or ";" in operation["summary"] for _, _, operation in OPERATIONS)  # fmt: skip


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    assert {name.removeprefix("#/components/schemas/") for name in found} <= set(SCHEMAS)


def test_no_answer_can_carry_a_secret() -> None:
    """Passwords, keys and passphrases go in only (SECURITY.md, local API)."""
    for _, path, operation in OPERATIONS:
        told = json.dumps(operation["responses"])
        assert not re.search(r"schemas/(Password|Secret|Passphrase)\"", told), path


def valid(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema, as far as this document uses JSON Schema."""
    if "$ref" in schema:
        return valid(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([valid(one) for one in schema["anyOf"]])
    match schema.get("type"):
        case "string":
            return st.text(max_size=40)
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            # A long poll is to be asked, not to be waited for.
            return st.floats(schema.get("minimum"), 0.01 if "maximum" in schema else None)
        case "array":
            return st.lists(valid(schema["items"]), max_size=4)
        case "null":
            return st.none()
        case "object" if "properties" in schema:
            named = {name: valid(one) for name, one in schema["properties"].items()}
            return st.fixed_dictionaries(named)
        case _:
            return anything


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, bytes | None, dict[str, Any]]:
    """A request for some operation: mostly as declared, sometimes not."""
    method, path, operation = draw(st.sampled_from([o for o in OPERATIONS if o[1] not in ENDLESS]))
    query: list[tuple[str, Any]] = []
    for parameter in operation["parameters"]:
        wild = draw(st.booleans())
        value = draw(st.text(max_size=30) if wild else valid(parameter["schema"]))
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe="") or "_")
        elif parameter["in"] == "query" and draw(st.booleans()):
            query += [(parameter["name"], each) for each in
                      (value if isinstance(value, list) else [value])]  # fmt: skip
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        good = st.one_of(valid(schema), anything).map(lambda value: json.dumps(value).encode())
        body = draw(st.one_of(good, st.binary(max_size=60)))
    target = f"{PREFIX}{path}" + (f"?{urlencode(query, errors='replace')}" if query else "")
    return method, target, body, operation


@given(calls())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_call_gets_an_answer_that_is_told(
    server: ApiServer, call: tuple[str, str, bytes | None, dict[str, Any]]
) -> None:
    method, target, body, operation = call
    reply = ask(server, method, target, body)
    assert str(reply.status) in operation["responses"]
    assert reply.status < 500
    media = reply.headers["Content-Type"]
    assert media in operation["responses"][str(reply.status)]["content"]
    if reply.status != 200:
        assert reply.json["ok"] is False
        assert reply.json["reason"]["what"]


@given(st.binary(max_size=2000))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_the_server(server: ApiServer, house: House[Any], sent: bytes) -> None:
    before = list(house.came)
    answer = raw(server, sent)
    assert not answer.startswith(b"HTTP/1.0 2")
    assert house.came == before
