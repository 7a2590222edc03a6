"""The environment that children get: allow-lists, never what we happen to have been given.

What is not on a list stays out; `TUNNEL_*`, `NEXUS_*` and `OPENCODE_*` stay out even if
they match one (SECURITY 25: a stray TUNNEL_TOKEN changes nothing), unless the settings
name them. The PATH is the login shell's, for a program started from a menu has only the
session's short one, and then OpenCode finds none of the user's tools. `LoginPath` asks
in a thread of its own; the rest is pure.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from nexus_tray.services.process import ChildProcess

log = logging.getLogger(__name__)

TOOL = (
    "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "PATH",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""For a program that needs nothing of the user's session, such as cloudflared."""

AGENT = (
    *TOOL,
    "SHELL", "TERM", "COLORTERM", "EDITOR", "VISUAL", "PAGER", "XDG_*",
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GNUPGHOME", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
"""For OpenCode, whose shells work in the user's name: the session's agents and folders too."""

WINDOWS = (
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERNAME",
    "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA",
    "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "COMMONPROGRAMFILES",
    "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS",
)  # fmt: skip
"""Without these, programs on Windows do not start at all."""

SCRUBBED = ("TUNNEL_*", "NEXUS_*", "OPENCODE_*")
"""Steer cloudflared, ourselves and OpenCode; only the settings may let one through."""

USUAL_FOLDERS = (
    "~/.local/bin", "~/bin", "~/.opencode/bin", "~/.bun/bin", "~/.cargo/bin",
    "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin",
)  # fmt: skip
"""Where tools stand that a session's PATH often lacks; used if the shell gives no answer."""

LOGIN_SHELL_LIMIT = 8.0
"""Seconds for the user's profile to run. Version managers can take several."""

BEFORE, AFTER = "nexus-path:", ":nexus-path"


def child_environment(
    source: Mapping[str, str],
    allowed: Iterable[str],
    *,
    named: Iterable[str] = (),
    path: str | None = None,
    additions: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What a child gets of `source`: what `allowed` matches, and what the settings name.

    `path` replaces PATH; `additions` (what we set on purpose) win over everything. On
    Windows names have no case, and WINDOWS is always allowed.
    """
    windows = sys.platform == "win32"
    patterns = [*allowed, *(WINDOWS if windows else ())]
    asked = {_folded(name) for name in named}
    found = {
        name: value
        for name, value in source.items()
        if _folded(name) in asked or (_any(name, patterns) and not _any(name, SCRUBBED))
    }
    if path is not None:
        found["PATH"] = path
    return found | dict(additions or {})


def _folded(name: str) -> str:
    return name.upper() if sys.platform == "win32" else name


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(_folded(name), pattern) for pattern in patterns)


def usual_path(source: Mapping[str, str]) -> str:
    """The PATH we have, with the usual folders that exist and are missing from it."""
    home = source.get("HOME", "")
    folders = [folder for folder in source.get("PATH", "").split(os.pathsep) if folder]
    if sys.platform != "win32":
        usual = (f.replace("~", home, 1) for f in USUAL_FOLDERS if home or not f.startswith("~"))
        folders += [f for f in usual if f not in folders and Path(f).is_dir()]
    return os.pathsep.join(folders)


def path_in(line: str) -> str | None:
    """The PATH in a line of the login shell's output, if this is the line that has it."""
    start, end = line.rfind(BEFORE), line.rfind(AFTER)
    if start < 0 or end <= start:
        return None
    path = line[start + len(BEFORE) : end]
    return path if any(part.startswith("/") for part in path.split(":")) else None


class LoginPath:
    """The PATH of the user's login shell, asked once, at construction, in the background.

    `get` waits for the answer, but no longer than the time limit since then. A profile
    that is noisy, hangs, fails or starts another shell costs at most that time: then
    `usual_path` is the answer, and the log says so. Any thread may call.
    """

    def __init__(self, source: Mapping[str, str], limit: float = LOGIN_SHELL_LIMIT) -> None:
        self._source = dict(source)
        self._answer: str | None = None
        self._known = threading.Event()
        threading.Thread(target=self._ask, args=(limit,), name="login PATH", daemon=True).start()

    def get(self) -> str:
        """The PATH to give to children; blocks until it is known, at most the time limit."""
        self._known.wait()
        return self._answer or usual_path(self._source)

    def _ask(self, limit: float) -> None:
        shell = login_shell(self._source)
        try:
            if shell is not None:
                self._run(shell, limit)
        except OSError as error:
            log.warning("The login shell %s could not be started: %s", shell, error)
        finally:
            self._known.set()
        if shell is not None and self._answer is None:
            log.warning("The login shell %s gave no PATH within %.0f s", shell, limit)

    def _run(self, shell: str, limit: float) -> None:
        over = threading.Event()

        def on_line(_stream: str, text: str) -> None:
            path = path_in(text)
            if path is not None:
                self._answer = path
                self._known.set()
                over.set()

        env = child_environment(
            self._source,
            AGENT,
            # asked for by frameworks that would otherwise update themselves or draw prompts
            additions={"TERM": "dumb", "DISABLE_AUTO_UPDATE": "true", "SHLVL": "0"},
        )
        # printf and the quotes mean the same in sh, bash, zsh, ksh and fish (whose "$PATH"
        # joins the list with colons); the first \n ends what a noisy profile left unended
        script = f"printf '\\n{BEFORE}%s{AFTER}\\n' \"$PATH\""
        child = ChildProcess(
            [shell, "-l", "-i", "-c", script],
            env,
            self._source.get("HOME") or "/",
            on_line=on_line,
            on_exit=lambda _code: over.set(),
        )
        over.wait(limit)
        child.kill()


def login_shell(source: Mapping[str, str]) -> str | None:
    """The user's shell; None where there is none to ask (Windows, a service account)."""
    if sys.platform == "win32":
        return None
    import pwd

    shell = source.get("SHELL", "")
    if not shell:
        try:
            shell = pwd.getpwuid(os.getuid()).pw_shell
        except KeyError:
            return None
    usable = os.access(shell, os.X_OK) and Path(shell).name not in ("false", "nologin", "true")
    return shell if usable else None
