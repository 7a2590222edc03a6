"""The API's description, OpenAPI 3.1, made from the table of routes.

Owns the mapping from routes to the document and nothing else; schemas come from the types
themselves (msgspec). Pure; any thread. A test fuzzes the server from this document.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nexus_tray import __version__
from nexus_tray.api.routes import JSON, PREFIX, Route
from nexus_tray.commands import Outcome

REF = "#/components/schemas/{name}"
FAULTS = {
    "400": "The request's framing is ambiguous.",
    "401": "The token is missing or wrong.",
    "403": "Host or Origin is foreign, or the body is a form. Nothing was changed.",
    "404": "There is no such resource.",
    "405": "The path has no such method.",
    "409": "The command was refused; the outcome says why.",
    "412": "The settings were changed meanwhile (If-Match).",
    "413": "The body is too long.",
    "422": "The request is not valid; the reason says what of it.",
    "429": "Too many streams are open.",
    "500": "A fault of this program; its log says more.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    kinds = [kind for route in routes for kind in (route.answers, route.body, route.query) if kind]
    schemas, components = msgspec.json.schema_components([*kinds, Outcome], ref_template=REF)
    schema_of = dict(zip(map(repr, [*kinds, Outcome]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schema_of, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    queries = {route.query.__name__ for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nexus Tray: local API", "version": __version__},
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: s for name, s in components.items() if name not in queries},
        },
    }


def _operation(
    route: Route, schema_of: Mapping[str, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    answer = schema_of[repr(route.answers)]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route, components[route.query.__name__]),
        "responses": {
            "200": _content("As asked.", dict.fromkeys(route.media, answer)),
            **{
                status: _content(text, {JSON: schema_of[repr(Outcome)]})
                for status, text in FAULTS.items()
            },
        },
    }
    if route.open:
        operation["security"] = []
    if route.body is not None:
        content = {JSON: {"schema": schema_of[repr(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in query.get("properties", {}).items()
    ]
    in_head = [
        {"name": name, "in": "header", "required": False, "schema": text} for name in route.headers
    ]
    return in_path + in_query + in_head


def _content(text: str, by_media: Mapping[str, Any]) -> dict[str, Any]:
    content = {media: {"schema": schema} for media, schema in by_media.items()}
    return {"description": text, "content": content}
