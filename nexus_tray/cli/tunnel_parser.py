"""`nexus-tray tunnel …` as it is written.

Owns the texts of its --help. Pure; imports its own room only.
"""

import argparse
import re
from collections.abc import Callable
from typing import Any

from nexus_tray.cli import cloudflare_account as account
from nexus_tray.cli import tunnels
from nexus_tray.inert import inert

Verb = Callable[..., argparse.ArgumentParser]

NO_WAIT = "do not wait until it is done"
OVERWRITE = "what to answer when a DNS record is there already (else it is asked)"


def add_tunnels(verb: Verb, verbs: Any, below: Callable[[Any, str, str], Any]) -> None:
    """Every verb. `verb` makes one; `below` makes a group of verbs under `verbs`."""
    _add_lifecycle(verb)
    _add_routes(verb, below(verbs, "route", "which host names a tunnel leads where"))
    _add_account(verb)
    _add_jobs(verb)


def _add_lifecycle(verb: Verb) -> None:
    verb("list", tunnels.list_tunnels, "list every tunnel")
    for name, action, text in (
        ("status", tunnels.status, "say everything about one"),
        ("start", tunnels.start, "start one, now and after the next start"),
        ("stop", tunnels.stop, "stop one, now and after the next start"),
        ("restart", tunnels.restart, "end its cloudflared and start it again"),
        ("token", tunnels.set_token, "give it another token: asks, or reads standard input"),
    ):
        _name(verb(name, action, text))
    create = _name(verb("create", tunnels.create, "make one"))
    kinds = "quick (no account, a new address each start), named, or token"
    create.add_argument("--kind", choices=("quick", "named", "token"), default="quick", help=kinds)
    host = "a host name it leads to OpenCode, or HOST=http://localhost:5173; more than once"
    create.add_argument("--host", metavar="HOST", action="append", default=[], help=host)
    create.add_argument("--zone", metavar="ZONE", default="", help="as in zones, if several")
    _waiting(create)
    text = "delete one, here and what was made for it at Cloudflare"
    delete = _name(verb("delete", tunnels.delete, text))
    delete.add_argument("--only-here", action="store_true", help="leave Cloudflare as it is")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _waiting(delete)


def _add_routes(verb: Verb, verbs: Any) -> None:
    _name(verb("list", tunnels.route_list, "list its routes, in their order", verbs))
    add = _name(verb("add", tunnels.route_add, "lead a host name somewhere", verbs))
    add.add_argument("hostname", metavar="HOST", help="such as code.example.com")
    service = "a service such as http://localhost:5173; none: OpenCode"
    add.add_argument("service", metavar="SERVICE", nargs="?", default="", help=service)
    add.add_argument("--host-header", metavar="H", default="", help="what it sees as Host")
    add.add_argument("--no-verify", action="store_true", help="do not check its certificate")
    add.add_argument("--ca-file", metavar="F", default="", help="authorities believed for that")
    _waiting(add)
    remove = _name(verb("remove", tunnels.route_remove, "refuse a host name", verbs))
    remove.add_argument("hostname", metavar="HOST", help="as in the list")
    _waiting(remove)
    move = _name(verb("move", tunnels.route_move, "change the order", verbs))
    move.add_argument("hostname", metavar="HOST", help="as in the list")
    move.add_argument("place", metavar="PLACE", type=_place, help="1: the first")
    _waiting(move)


def _add_account(verb: Verb) -> None:
    text = "sign in at Cloudflare for one zone, to make tunnels there"
    _waiting(verb("login", account.login, text))
    verb("zones", account.zones, "list the zones signed in to")
    forget = verb("forget-zone", account.forget_zone, "delete a zone's certificate here")
    forget.add_argument("zone", metavar="ZONE", help="its id or name")
    text = "take over what an existing cloudflared left; it is read, never changed"
    take = verb("import", account.take_over, text)
    take.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="none: list what is there"
    )


def _add_jobs(verb: Verb) -> None:
    verb("jobs", account.jobs, "list what takes long and is not over, or failed")
    for name, action, text in (
        ("cancel", account.cancel, "end a job"),
        ("dismiss", account.dismiss, "show a job no more; what it made stays"),
    ):
        verb(name, action, text).add_argument("id", metavar="ID", help="as in jobs")
    retry = verb("retry", account.retry, "go on with a job that failed, where it failed")
    retry.add_argument("id", metavar="ID", help="as in jobs")
    _waiting(retry)
    answer = verb("answer", account.answer, "answer a job's question")
    answer.add_argument("id", metavar="ID", help="as in jobs")
    answer.add_argument("answer", choices=("yes", "no"))
    _waiting(answer)


def _name(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="NAME", help="the tunnel's name")
    return parser


def _waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help=NO_WAIT)
    parser.add_argument("--overwrite", choices=("yes", "no"), help=OVERWRITE)


def _place(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text):
        raise argparse.ArgumentTypeError(f"a place from 1 on, not “{inert(text)}”")
    return int(text)
