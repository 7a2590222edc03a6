"""Short replies of the site that are not pages: redirects and refusals as JSON.

Pure. Imports `gateway.http` and `gateway.forms`. Runs on the gateway's event loop.
"""

import json

from nexus_tray.gateway.http import Request, Response
from nexus_tray.gateway.site.forms import is_form, same_origin

HTML = "text/html; charset=utf-8"


def see(path: str, *fields: tuple[str, str]) -> Response:
    """Go there by GET."""
    return Response(303, (("location", path), *fields))


def refusal(status: int, code: str, message: str) -> Response:
    """A refusal that a program can read: a stable code and a sentence."""
    body = json.dumps({"error": code, "message": message}).encode()
    return Response(status, (("content-type", "application/json"),), body)


def as_json(value: object, *fields: tuple[str, str]) -> Response:
    """A value for a script of ours."""
    own = ("content-type", "application/json")
    return Response(200, (own, *fields), json.dumps(value).encode())


def only(request: Request, methods: tuple[str, ...]) -> Response | None:
    """405 for a method the path does not have."""
    allowed = (*methods, "HEAD") if "GET" in methods else methods
    if request.method in allowed:
        return None
    message = f"Only {' and '.join(allowed)} here."
    refused = refusal(405, "method", message)
    return Response(405, (*refused.headers, ("allow", ", ".join(allowed))), refused.body)


def post_refused(request: Request) -> Response | None:
    """Why a post is not looked at: it comes from another site, or is no form (SECURITY.md 7)."""
    if request.method != "POST":
        return None
    if not same_origin(request):
        return refusal(403, "origin", "This form was not sent from a page of this address.")
    if request.body and not is_form(request):
        return refusal(415, "form", "Only an ordinary form is understood here.")
    return None
