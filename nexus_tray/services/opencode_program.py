"""Where OpenCode's native program is, and which build fits this machine.

Owns the search and the names of npm's packages. npm installs a wrapper around a package
per platform; we start the native binary itself, because a wrapper would be one more
process that dies apart from the server. Reads files only; any thread.
"""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.model import Problem
from nexus_tray.services import opencode_faults as faults
from nexus_tray.services.shelf import Shelf
from nexus_tray.services.usual_places import usual

VERSION = "1.18.33"
"""The version that is installed where none is found, and that the tests run."""

_NATIVE = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_STUB = b"postinstall script was not run"
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "windows"}
_PROCESSORS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def executable() -> str:
    """The native binary's file name on this system."""
    return "opencode.exe" if sys.platform == "win32" else "opencode"


def packages() -> tuple[str, ...]:
    """npm's packages with a build for this machine, the fittest first; none: not supported."""
    system = _SYSTEMS.get(sys.platform)
    processor = _PROCESSORS.get(platform.machine().lower())
    if system is None or processor is None:
        return ()
    base = f"opencode-{system}-{processor}"
    names = [base]
    if processor == "x64":
        names = [base, f"{base}-baseline"] if _has_avx2() else [f"{base}-baseline"]
    if system == "linux" and _is_musl():
        names = [f"{name}-musl" for name in names]
    return tuple(names)


def shelf(tools: Path) -> Shelf:
    """Where `opencode_install` puts the program; there only after its SHA-256 was right."""
    return Shelf(tools / "opencode", executable())


def find(configured: str, tools: Path, environment: Mapping[str, str]) -> Path:
    """The native program: the configured one, else the one on PATH or in a usual place, else ours.

    Raises Problem (code `opencode-missing` and the like) when there is none to run.
    """
    if configured:
        path = Path(configured).expanduser()
        if not path.is_file():
            raise Problem(faults.not_there(path))
        return native(path)
    found = shutil.which("opencode", path=environment.get("PATH", os.defpath)) or usual("opencode")
    if found:
        return native(Path(found))
    own = shelf(tools).trusted()
    if own is not None:
        return own[1]
    raise Problem(faults.missing())


def native(program: Path) -> Path:
    """The native binary behind `program`, which may be npm's wrapper.

    A script of another kind (a package manager's own) is taken as it is. Raises Problem
    for npm's placeholder, which stands where its install script was not run.
    """
    path = program.resolve()
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise Problem(faults.not_spawned(path, error).reason) from error
    if head.startswith(_NATIVE):
        return path
    for folder in path.parents:
        for package in packages():
            for place in (folder / "node_modules" / package, folder / package):
                candidate = place / "bin" / executable()
                if candidate.is_file():
                    return candidate
    if _STUB in head:
        raise Problem(
            faults.reason(
                "incomplete",
                f"{path} is only npm's placeholder: OpenCode's install script did not run.",
                cure=faults.INSTALL,
            )
        )
    return path


def _has_avx2() -> bool:
    """Whether the processor has AVX2, which the ordinary x64 builds need; unknown: yes.

    Elsewhere than on Linux a missing instruction shows itself as SIGILL, which
    `opencode_faults` names together with the cure.
    """
    try:
        return " avx2" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True


def _is_musl() -> bool:
    """Whether the system's C library is musl: glibc's loader would not be there."""
    return any(Path("/lib").glob("ld-musl-*"))
