"""OpenCode's generations, told apart, and what each calls its endpoints: data.

Owns the two `Api` tables and `detect`. Imports `opencode_client`. Called by the driver's
probe threads and the activity thread.

Version 1 is measured on 1.18.33. Version 2 is read, not run (anomalyco/opencode
packages/protocol/src/groups/health.ts): `/api/health` answers with version and pid, while
`/global/health` answers 200 with the web page; its questions and sessions have another
form, so for it `activity` is False and what it does is shown as unknown.
"""

from dataclasses import dataclass

import msgspec

from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell


@dataclass(frozen=True)
class Api:
    """Paths of one generation; an empty path: this generation has no such thing.

    `config` must answer 200 before the server counts as ready. `{id}` stands for the
    request's id. `activity`: sessions and questions have the form `activity` understands.
    """

    generation: int
    health: str
    config: str = ""
    dispose: str = ""
    events: str = ""
    sessions: str = ""
    statuses: str = ""
    permissions: str = ""
    questions: str = ""
    permission_reply: str = ""
    question_reply: str = ""
    question_reject: str = ""
    terminals: str = ""
    activity: bool = False


V1 = Api(
    generation=1,
    health="/global/health",
    config="/config",
    dispose="/global/dispose",
    events="/global/event",
    sessions="/experimental/session",
    statuses="/session/status",
    permissions="/permission",
    questions="/question",
    permission_reply="/permission/{id}/reply",
    question_reply="/question/{id}/reply",
    question_reject="/question/{id}/reject",
    terminals="/pty",
    activity=True,
)
V2 = Api(generation=2, health="/api/health")


class Health(msgspec.Struct, frozen=True):
    """The answer of a health endpoint, of either generation."""

    healthy: bool
    version: str = ""


@dataclass(frozen=True)
class Detected:
    """Which generation answers, and its version number (None: it did not say)."""

    api: Api
    version: str | None


def detect(client: OpenCodeClient, known: Api | None = None, timeout: float = 5.0) -> Detected:
    """Ask for health and learn who answers; `known` skips the other generation.

    Raises Unwell. Both generations answer unknown paths with their web page, so only
    `{"healthy": true}` as JSON counts, never a mere 200.
    """
    if known is not None:
        return _ask(client, known, timeout)
    try:
        return _ask(client, V1, timeout)
    except Unwell as unwell:
        if unwell.trouble not in (Trouble.NOT_JSON, Trouble.STATUS):
            raise
    return _ask(client, V2, timeout)


def _ask(client: OpenCodeClient, api: Api, timeout: float) -> Detected:
    health = client.get(api.health, Health, timeout=timeout)
    if not health.healthy:
        raise client.trouble(Trouble.NOT_JSON, "OpenCode says that it is not healthy.")
    return Detected(api, health.version or None)
