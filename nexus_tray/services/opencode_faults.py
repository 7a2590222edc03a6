"""What can go wrong with OpenCode, in words: each expected failure is one function.

Owns the reasons (text beside the decision that produces it); pure. Imports the model, the
driver's vocabulary and the log's plain text. Used by the driver's threads.
"""

import errno
import signal
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Reason
from nexus_tray.services.opencode_log import plain

INSTALL = "Install it with `npm install -g opencode-ai`, then start OpenCode again."
LONGEST_DETAIL = 400


def reason(code: str, what: str, meaning: str = "", cure: str = "") -> Reason:
    """A reason of the OpenCode hop."""
    return Reason(code=f"opencode-{code}", hop=Hop.OPENCODE, what=what, meaning=meaning, cure=cure)


def missing() -> Reason:
    """No OpenCode anywhere."""
    return reason(
        "missing",
        "OpenCode was not found on this machine.",
        "There is nothing to make reachable.",
        f"{INSTALL} If it is installed elsewhere, name its path in the setting opencode.program.",
    )


def not_there(program: Path) -> Reason:
    """The configured program is not there."""
    return reason(
        "missing",
        f"The OpenCode program {program} does not exist.",
        cure="Correct the setting opencode.program, or install OpenCode there.",
    )


def not_spawned(program: Path, error: OSError) -> Failure:
    """The system would not run the program. Lack of memory or descriptors may pass."""
    if isinstance(error, FileNotFoundError):
        return Failure(Cause.FATAL, not_there(program))
    if isinstance(error, PermissionError):
        what = f"The system does not allow {program} to be run."
        cure = f"Make it executable: chmod +x {program}"
        return Failure(Cause.FATAL, reason("not-allowed", what, cure=cure))
    if error.errno == errno.ENOEXEC:
        what = f"{program} is not a program for this machine."
        return Failure(Cause.FATAL, reason("wrong-kind", what, cure=INSTALL))
    what = f"OpenCode could not be started: {error.strerror or error}."
    return Failure(Cause.CRASH, reason("not-started", what))


def no_directory(directory: Path) -> Reason:
    """The folder OpenCode is to start in is not there."""
    return reason(
        "no-directory",
        f"The folder {directory} does not exist.",
        "OpenCode starts in a folder, its default project.",
        "Make the folder, or choose another in the setting opencode.directory.",
    )


def port_taken(port: int) -> Reason:
    """Another program took the port between our choice and OpenCode's start, repeatedly."""
    return reason(
        "port-taken",
        f"Another program took port {port} before OpenCode could.",
        "A new port is tried with each start.",
    )


def unforeseen() -> Reason:
    """A fault of ours: its traceback is in the log of Nexus Tray."""
    return reason(
        "unforeseen",
        "Something unforeseen happened in Nexus Tray while it looked after OpenCode.",
        cure="Please report it together with the log.",
    )


def wedged() -> Reason:
    """It has been silent for long although it computes: no longer believed to be busy."""
    return reason(
        "wedged",
        "OpenCode computes without end and does not answer.",
        "It seems to be stuck and is started again.",
    )


def starting() -> Reason:
    """It has been spawned and does not listen yet."""
    return reason("starting", "OpenCode is starting.")


def stopped() -> Reason:
    """It was stopped (SIGSTOP) before it was up."""
    return reason(
        "stopped",
        "OpenCode was stopped from outside while it started.",
        "It does nothing until it is told to go on.",
        "If this lasts it is started again.",
    )


def busy() -> Reason:
    """It does not answer in time, but it works: left alone."""
    return reason(
        "busy",
        "OpenCode is busy and does not answer in time.",
        "It is computing, so it is left alone; answers come late.",
    )


class ConfigError(msgspec.Struct):
    """The body of OpenCode's 400 when a configuration file cannot be used (1.18.33)."""

    name: str
    data: dict[str, object] = {}


def bad_config(body: bytes) -> Reason | None:
    """The reason when `GET /config` was refused over a configuration file, else None.

    Measured: `{"name":"ConfigJsonError","data":{"path":...,"message":...}}`; the server
    is otherwise healthy and answers 400 to every request about a project.
    """
    try:
        error = msgspec.json.decode(body, type=ConfigError)
    except msgspec.DecodeError:
        return None
    if not error.name.startswith("Config"):
        return None
    path = error.data.get("path")
    file = f"OpenCode's configuration file {path}" if path else "OpenCode's configuration"
    return reason(
        "bad-config",
        f"{file} cannot be used: {_detail(error)}.",
        "OpenCode answers nothing about any project until it is corrected.",
        "Correct the file and start OpenCode again.",
    )


def _detail(error: ConfigError) -> str:
    """The one line of OpenCode's message that says where and what."""
    issues = error.data.get("issues")
    if isinstance(issues, list) and issues:
        return msgspec.json.encode(issues[0]).decode()[:LONGEST_DETAIL]
    message = str(error.data.get("message", error.name))
    lines = [line.strip() for line in message.splitlines() if " at line " in line]
    return (lines[0] if lines else message.strip() or error.name)[:LONGEST_DETAIL]


def ended(code: int | None, tail: Iterable[str]) -> Failure:
    """OpenCode's process ended though it should run. `code` below 0 is a signal's number."""
    said = " ".join(plain(line).strip() for line in tail if line.strip())[-LONGEST_DETAIL:]
    said = f"Its last words: {said}" if said else ""
    if code == -signal.SIGILL:
        return Failure(Cause.FATAL, _wrong_cpu())
    if code is not None and code < 0:
        return Failure(Cause.CRASH, _killed(-code, said))
    what = f"OpenCode ended by itself (code {'unknown' if code is None else code})."
    return Failure(
        Cause.CRASH,
        reason("ended", what, said, "Its log says more: nexus-tray logs --source opencode"),
    )


def _wrong_cpu() -> Reason:
    return reason(
        "wrong-cpu",
        "OpenCode needs instructions that this processor does not have.",
        "The ordinary build needs AVX2.",
        "Install the package whose name ends in -baseline, such as opencode-linux-x64-baseline.",
    )


def _killed(number: int, said: str) -> Reason:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return reason(
            "killed",
            "OpenCode was killed (SIGKILL).",
            "Often the system does this when memory runs out; OpenCode is known to use much.",
        )
    return reason("killed", f"OpenCode was ended by {name}.", said)
