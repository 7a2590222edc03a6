"""The command line as it is written: nouns, verbs, options, and which action each is.

Owns the texts of --help. Pure; imports its own room only.
"""

import argparse
import re
from typing import Any

from nexus_tray import __version__
from nexus_tray.cli import access, actions, audit_view, doctor, log_view, programs
from nexus_tray.cli.console import EXIT_HELP
from nexus_tray.cli.sign_in_parser import add_sign_in
from nexus_tray.cli.tunnel_parser import add_tunnels
from nexus_tray.inert import inert
from nexus_tray.model import Level

DESCRIPTION = "Keeps OpenCode running and makes it safely reachable through a Cloudflare tunnel."


def build() -> argparse.ArgumentParser:
    """The whole parser. Parsed options have `action`, or `run` is True for `run`."""
    parser = argparse.ArgumentParser(
        prog="nexus-tray", description=DESCRIPTION, epilog=EXIT_HELP, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"nexus-tray {__version__}")
    nouns = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(nouns)
    _verb(nouns, "status", actions.status, "show the path of a request, and what is wrong")
    _add_services(nouns)
    _add_tunnels(nouns)
    _add_logs(nouns)
    _add_audit(nouns)
    _add_open(nouns)
    _add_dashboard(nouns)
    _add_password(nouns)
    _add_access(nouns)
    add_sign_in(nouns, _verb, _group)
    _add_config(nouns)
    _add_secret(nouns)
    _add_autostart(nouns)
    _add_doctor(nouns)
    _add_programs(nouns)
    text = "try whether this build can do its work; touches nothing that runs"
    _verb(nouns, "selftest", doctor.tell, text).set_defaults(report=False)
    ending = _verb(nouns, "quit", actions.quit_program, "end the program in order")
    ending.add_argument("--no-wait", action="store_true", help="do not wait until it has ended")
    return parser


def _verb(
    nouns: Any, name: str, action: Any, text: str, *, below: bool = False
) -> argparse.ArgumentParser:
    """One command that speaks to the running instance; `below` another, whose --json counts."""
    verb: argparse.ArgumentParser = nouns.add_parser(
        name, help=text, description=_sentence(text), epilog=EXIT_HELP, allow_abbrev=False
    )
    unsaid = argparse.SUPPRESS if below else False
    help_text = "print JSON instead of words"
    verb.add_argument("--json", action="store_true", default=unsaid, help=help_text)
    verb.set_defaults(action=action)
    return verb


def _group(nouns: Any, name: str, text: str) -> Any:
    group = nouns.add_parser(name, help=text, description=_sentence(text), allow_abbrev=False)
    return group.add_subparsers(metavar="VERB", required=True)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _add_run(nouns: Any) -> None:
    text = "run the program here, until it is ended"
    folder = "the folder OpenCode starts in, unless the setting opencode.directory names one"
    run = nouns.add_parser("run", help=text, description=_sentence(text), allow_abbrev=False)
    run.add_argument("--headless", action="store_true", help="without a tray icon")
    run.add_argument("--directory", metavar="D", default="", help=folder)
    run.set_defaults(action=None, json=False)


def _add_services(nouns: Any) -> None:
    for name, action, text, many in (
        ("start", actions.start, "start services, now and after the next start", "*"),
        ("stop", actions.stop, "stop services, now and after the next start", "*"),
        ("restart", actions.restart, "end services' processes and start them again", "+"),
    ):
        verb = _verb(nouns, name, action, text)
        every = "" if many == "+" else "; none: " + ("all but the gateway", "all")[name == "start"]
        help_text = f"names as in status{every}"
        verb.add_argument("services", metavar="SERVICE", nargs=many, help=help_text)


def _add_tunnels(nouns: Any) -> None:
    verbs = _group(nouns, "tunnel", "the ways from outside: made, led to places, deleted")

    def verb(name: str, action: Any, text: str, among: Any = verbs) -> argparse.ArgumentParser:
        return _verb(among, name, action, text)

    add_tunnels(verb, verbs, _group)


def _add_logs(nouns: Any) -> None:
    verb = _verb(nouns, "logs", log_view.logs, "print stored log lines; with --json one a line")
    add = verb.add_argument
    add("words", metavar="WORD", nargs="*", help="only lines in which all these words occur")
    add("-f", "--follow", action="store_true", help="go on with new lines as they come")
    add("-n", "--lines", metavar="N", type=_count, default=200, help="how many (default 200)")
    add("--source", metavar="S", action="append", default=[], help="a service, or nexus-tray")
    add("--level", choices=[level.value for level in Level], default="debug", help="at least")
    add("--pattern", metavar="RE", default="", help="a regular expression")
    add("--since", metavar="T", help="10m, 2h, 3d (ago), or 2026-11-30T18:00")
    add("--until", metavar="T", help="as --since")


def _add_audit(nouns: Any) -> None:
    about = "print what happened at the doors; with --json one row a line"
    add = _verb(nouns, "audit", audit_view.audit, about).add_argument
    add("words", metavar="WORD", nargs="*", help="only rows in which all these words occur")
    add("-n", "--lines", metavar="N", type=_count, default=200, help="how many (default 200)")
    every = "every match as a file on standard output, newest first: text, csv or jsonl"
    add("--export", metavar="F", choices=("text", "csv", "jsonl"), help=every)
    add("--event", metavar="E", action="append", default=[], help="sign-in, denied, panic, …")
    add("--since", metavar="T", help="10m, 2h, 3d (ago), or 2026-11-30T18:00")
    add("--until", metavar="T", help="as --since")


def _count(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"a number from 1 to 10000, not “{inert(text)}”")
    return number


def _add_open(nouns: Any) -> None:
    verb = _verb(nouns, "open", actions.open_door, "open OpenCode in this machine's browser")
    verb.add_argument("path", metavar="PATH", nargs="?", default="/", help="a path of OpenCode's")
    verb.add_argument("--print", action="store_true", help="print the one-time link instead")


def _add_dashboard(nouns: Any) -> None:
    text = "show the dashboard, in its window or the browser"
    verb = _verb(nouns, "dashboard", actions.open_dashboard, text)
    pages = "one of its pages: /tunnels, /access, /logs, /doctor, /settings"
    verb.add_argument("page", metavar="PAGE", nargs="?", default="/", help=pages)
    verb.add_argument("--print", action="store_true", help="print the one-time link instead")


def _add_password(nouns: Any) -> None:
    verbs = _group(nouns, "password", "the password for remote access")
    text = "set it: asks twice on a terminal, else reads one line of standard input"
    _verb(verbs, "set", actions.password_set, text)
    _verb(verbs, "clear", actions.password_clear, "remove it; ends remote access at once")


def _add_access(nouns: Any) -> None:
    pause = _verb(nouns, "pause", access.pause, "close remote access for a while; OpenCode goes on")
    lengths = "15m, 1h, 2d, or tomorrow (6:00); none: until resume"
    pause.add_argument("span", metavar="TIME", nargs="?", type=access.span, help=lengths)
    _verb(nouns, "resume", access.resume, "end a pause")
    text = "end all access now: tunnels, everybody signed in, every token and open link"
    panic = _verb(nouns, "panic", access.panic, text)
    panic.add_argument("--yes", action="store_true", help="do not ask")
    devices = _verb(nouns, "devices", access.devices, "list who is signed in")
    verbs = devices.add_subparsers(metavar="[VERB]")
    text = "sign one out; its open streams end at once"
    end = _verb(verbs, "end", access.end_device, text, below=True)
    end.add_argument("id", metavar="ID", help="as in the list")
    rename = _verb(verbs, "rename", access.rename_device, "call one something else", below=True)
    rename.add_argument("id", metavar="ID", help="as in the list")
    rename.add_argument("name", metavar="NAME", help="what it is to be called")
    _verb(verbs, "list", access.devices, "list who is signed in", below=True)
    _verb(verbs, "end-all", access.end_devices, "sign everybody out", below=True)


def _add_config(nouns: Any) -> None:
    verbs = _group(nouns, "config", "the settings")
    _verb(verbs, "list", actions.config_list, "print every setting")
    get = _verb(verbs, "get", actions.config_get, "print one setting or section")
    get.add_argument("key", metavar="KEY", help="such as opencode.directory")
    put = _verb(verbs, "set", actions.config_set, "change one setting")
    put.add_argument("key", metavar="KEY", help="such as tunnels.quick.enabled")
    put.add_argument("value", metavar="VALUE", help="text as it is, or JSON: true, 8080, [...]")


def _add_secret(nouns: Any) -> None:
    verbs = _group(nouns, "secret", "provider keys that OpenCode gets; never printed")
    put = _verb(verbs, "set", actions.secret_set, "store one: asks, or reads standard input")
    put.add_argument("name", metavar="NAME", help="an environment variable's name")
    drop = _verb(verbs, "unset", actions.secret_unset, "forget one")
    drop.add_argument("name", metavar="NAME", help="as given to set")
    _verb(verbs, "unlock", actions.secret_unlock, "open the encrypted file with its passphrase")


def _add_autostart(nouns: Any) -> None:
    verbs = _group(nouns, "autostart", "start at login")
    _verb(verbs, "on", actions.autostart_on, "start the program at login, as it runs now")
    _verb(verbs, "off", actions.autostart_off, "no longer start it at login")
    _verb(verbs, "status", actions.autostart_status, "say what is true, read from the system")


def _add_doctor(nouns: Any) -> None:
    text = "examine everything, and say what is wrong and what to do"
    verb = _verb(nouns, "doctor", doctor.doctor, text)
    add = verb.add_mutually_exclusive_group().add_argument
    add("--report", action="store_true", help="plain text for a bug report")
    text = "write what helps to help, without secrets, into a new zip, and say what it holds"
    add("--bundle", metavar="FILE", default="", help=text)
    add("--repair", metavar="CHECK", default="", help="do what is offered for this check")
    verb.set_defaults(alone=doctor.doctor_alone)


def _add_programs(nouns: Any) -> None:
    text = "where OpenCode and cloudflared are; fetch, update, go back"
    verb = _verb(nouns, "programs", programs.programs, text)
    verbs = verb.add_subparsers(metavar="[VERB]")
    for name, action, text in (
        ("fetch", programs.fetch, "fetch one that is missing, or update our own copy"),
        ("back", programs.back, "go back to the version that the last update replaced"),
    ):
        below = _verb(verbs, name, action, text, below=True)
        below.add_argument("name", metavar="PROGRAM", choices=("opencode", "cloudflared"))
