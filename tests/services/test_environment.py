"""What children are given, and that any login profile yields a PATH in time. Real shells."""

import shutil
import time
from pathlib import Path

import pytest

from nexus_tray.services.environment import (
    AGENT,
    TOOL,
    LoginPath,
    child_environment,
    login_shell,
    path_in,
    usual_path,
)

SOURCE = {
    "HOME": "/home/ann",
    "PATH": "/usr/bin",
    "LANG": "de_DE.UTF-8",
    "LC_TIME": "C",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "SSH_AUTH_SOCK": "/run/ssh",
    "HTTPS_PROXY": "http://proxy",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "ANTHROPIC_API_KEY": "canary",
    "TUNNEL_TOKEN": "canary",
    "NEXUS_TRAY_GUARD": "7",
    "OPENCODE_SERVER_PASSWORD": "canary",
    "LD_PRELOAD": "/tmp/evil.so",
    "PYTHONPATH": "/somewhere",
}


def test_a_tool_gets_the_least() -> None:
    assert set(child_environment(SOURCE, TOOL)) == {
        "HOME", "PATH", "LANG", "LC_TIME", "HTTPS_PROXY",
    }  # fmt: skip


def test_the_agent_gets_the_session_too() -> None:
    more = set(child_environment(SOURCE, AGENT)) - set(child_environment(SOURCE, TOOL))
    assert more == {"XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"}


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "OPENCODE_SERVER_PASSWORD", "TUNNEL_TOKEN"])
def test_what_the_settings_name_goes_through(name: str) -> None:
    assert child_environment(SOURCE, TOOL, named=[name])[name] == "canary"


@pytest.mark.parametrize("pattern", ["*", "TUNNEL_*", "NEXUS_TRAY_GUARD"])
def test_a_list_alone_lets_no_steering_variable_through(pattern: str) -> None:
    found = child_environment(SOURCE, [pattern])
    assert not [name for name in found if name.startswith(("TUNNEL_", "NEXUS_", "OPENCODE_"))]


def test_a_name_in_the_settings_is_no_pattern() -> None:
    assert "AWS_SECRET_ACCESS_KEY" not in child_environment(SOURCE, TOOL, named=["*", "AWS_*"])


def test_path_and_additions_win() -> None:
    found = child_environment(SOURCE, TOOL, path="/a:/b", additions={"TUNNEL_TAG": "Gw=x"})
    assert (found["PATH"], found["TUNNEL_TAG"]) == ("/a:/b", "Gw=x")
    assert child_environment(SOURCE, TOOL, path="/a", additions={"PATH": "/c"})["PATH"] == "/c"


def test_usual_path_keeps_the_order_and_adds_what_exists(tmp_path: Path) -> None:
    (tmp_path / ".local/bin").mkdir(parents=True)
    folders = usual_path({"HOME": str(tmp_path), "PATH": "/first:/usr/bin::"}).split(":")
    assert folders[:2] == ["/first", "/usr/bin"]
    assert str(tmp_path / ".local/bin") in folders
    assert str(tmp_path / ".bun/bin") not in folders
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("nexus-path:/usr/bin:/bin:nexus-path", "/usr/bin:/bin"),
        ("\x1b[0mnexus-path:/a b/bin:nexus-path\x1b[?2004l", "/a b/bin"),
        ("nexus-path::nexus-path", None),
        ("nexus-path:relative:nexus-path", None),
        ("printf '\\nnexus-path:%s:nexus-path\\n' \"$PATH\"", None),  # set -v echoes it
        ("nothing", None),
        (":nexus-path nexus-path:", None),
    ],
)
def test_the_line_with_the_path(line: str, path: str | None) -> None:
    assert path_in(line) == path


@pytest.mark.parametrize(
    ("shell", "expected"),
    [("/bin/sh", "/bin/sh"), ("/usr/sbin/nologin", None), ("/bin/false", None), ("/none", None)],
)
def test_which_shell_is_asked(shell: str, expected: str | None) -> None:
    assert login_shell({"SHELL": shell}) == expected


PROFILES = {
    "quiet": "export PATH=/from/profile:$PATH",
    "noisy": "export PATH=/from/profile:$PATH; echo hello; printf 'no end'; echo oops >&2",
    "loud": "export PATH=/from/profile:$PATH; yes | head -c 3000000",
    "verbose": "export PATH=/from/profile:$PATH; set -xv",
    "daemon": "export PATH=/from/profile:$PATH; sleep 300 &",
    "reading": "export PATH=/from/profile:$PATH; read answer",
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("shell", ["bash", "sh", "zsh", "fish"])
def test_the_profile_decides(tmp_path: Path, shell: str, profile: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    if shell == "fish":
        (tmp_path / ".config/fish").mkdir(parents=True)
        (tmp_path / ".config/fish/config.fish").write_text("set -gx PATH /from/profile $PATH")
    for name in (".profile", ".bash_profile", ".zprofile"):
        (tmp_path / name).write_text(PROFILES[profile])
    source = {"SHELL": program, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert LoginPath(source, limit=20).get().split(":")[0] == "/from/profile"


@pytest.mark.parametrize(
    "profile", ["sleep 300", "exit 3", "trap '' TERM; while :; do :; done", "exec sleep 300"]
)
def test_a_profile_without_an_answer_costs_the_limit_at_most(tmp_path: Path, profile: str) -> None:
    for name in (".profile", ".bash_profile"):
        (tmp_path / name).write_text(profile)
    source = {"SHELL": "/bin/bash", "HOME": str(tmp_path), "PATH": "/only/ours"}
    began = time.monotonic()
    assert LoginPath(source, limit=1).get().startswith("/only/ours:")
    assert time.monotonic() - began < 5


def test_no_home_and_no_shell_still_give_a_path(tmp_path: Path) -> None:
    assert "/usr/bin" in LoginPath({"SHELL": "/bin/false"}).get()
    source = {"SHELL": "/bin/sh", "HOME": str(tmp_path / "gone"), "PATH": "/x"}
    assert LoginPath(source, limit=5).get().startswith("/x")
