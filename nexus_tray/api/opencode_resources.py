"""The resources of the local API that concern OpenCode's sessions and its questions.

Owns their handlers and OPENCODE_ROUTES, a part of the one table in `resources`. Like those, each
handler is one question to Backend. Imports layer 1 and Backend; runs in the request's thread.
"""

from nexus_tray.api.routes import Answer, Call, Route, submit
from nexus_tray.api.shapes import NewOpenCodeSession, PermissionReply, Prompt, QuestionReply
from nexus_tray.commands import (
    AbortSession,
    AnswerPermission,
    AnswerQuestion,
    CreateSession,
    PromptSession,
)
from nexus_tray.model import to_json
from nexus_tray.reports import Transcript


def reply_permission(call: Call) -> Answer:
    """Allow something once, always, or reject it."""
    return submit(call, AnswerPermission(question_id=call.path["id"], reply=call.body.reply))


def answer_question(call: Call) -> Answer:
    """Answer a question of OpenCode."""
    return submit(call, AnswerQuestion(question_id=call.path["id"], answers=call.body.answers))


def create_session(call: Call) -> Answer:
    """Begin a session of OpenCode's; the outcome's value is its id."""
    return submit(call, CreateSession(text=call.body.text, directory=call.body.directory))


def read_transcript(call: Call) -> Answer:
    """A session of OpenCode's with its newest messages."""
    return Answer(to_json(call.backend.transcript(call.path["id"])))


def prompt_session(call: Call) -> Answer:
    """Say something in a session; nothing: go on with what was interrupted."""
    return submit(call, PromptSession(session_id=call.path["id"], text=call.body.text))


def abort_session(call: Call) -> Answer:
    """Stop what OpenCode is doing in a session."""
    return submit(call, AbortSession(session_id=call.path["id"]))


OPENCODE_ROUTES: tuple[Route, ...] = (
    Route("PUT", "/permissions/{id}/reply", reply_permission, body=PermissionReply),
    Route("PUT", "/questions/{id}/answers", answer_question, body=QuestionReply),
    Route("POST", "/opencode/sessions", create_session, body=NewOpenCodeSession),
    Route("GET", "/opencode/sessions/{id}", read_transcript, answers=Transcript),
    Route("POST", "/opencode/sessions/{id}/prompts", prompt_session, body=Prompt),
    Route("POST", "/opencode/sessions/{id}/aborts", abort_session),
)
