"""The resources of the local API that concern what the program needs: programs, checks, repairs.

Owns their handlers and SETUP_ROUTES, a part of the one table in `resources`. Like those, each
handler is one question to Backend. Imports layer 1 and Backend; runs in the request's thread.
"""

from nexus_tray.api.routes import Answer, Call, Route, submit
from nexus_tray.commands import CancelFetch, FetchTool, PassStep, Repair, RestoreTool
from nexus_tray.model import to_json
from nexus_tray.reports import Bundle, Examination, Setup


def examine(call: Call) -> Answer:
    """Look at everything that can be looked at; takes seconds."""
    return Answer(to_json(call.backend.examine()))


def repair(call: Call) -> Answer:
    """Do what a check offers to do about what it found."""
    return submit(call, Repair(code=call.path["code"]))


def make_bundle(call: Call) -> Answer:
    """What a support bundle holds: exactly this, and nothing else."""
    return Answer(to_json(call.backend.bundle()))


def read_setup(call: Call) -> Answer:
    """How far the first start has come, and which programs are there."""
    return Answer(to_json(call.backend.setup()))


def pass_step(call: Call) -> Answer:
    """Note that a step of the first start was done or skipped."""
    return submit(call, PassStep(step=call.path["step"]))


def fetch_tool(call: Call) -> Answer:
    """Begin to fetch a program; its progress stands in the setup."""
    return submit(call, FetchTool(name=call.path["name"]))


def cancel_fetch(call: Call) -> Answer:
    """Stop fetching a program."""
    return submit(call, CancelFetch(name=call.path["name"]))


def restore_tool(call: Call) -> Answer:
    """Go back to the program that an update replaced."""
    return submit(call, RestoreTool(name=call.path["name"]))


SETUP_ROUTES: tuple[Route, ...] = (
    Route("POST", "/examinations", examine, answers=Examination),
    Route("POST", "/checks/{code}/repairs", repair),
    Route("POST", "/support-bundles", make_bundle, answers=Bundle),
    Route("GET", "/setup", read_setup, answers=Setup),
    Route("PUT", "/setup/steps/{step}", pass_step),
    Route("PUT", "/tools/{name}/fetch", fetch_tool),
    Route("DELETE", "/tools/{name}/fetch", cancel_fetch),
    Route("POST", "/tools/{name}/restorations", restore_tool),
)
