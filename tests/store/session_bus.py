"""A private D-Bus session for tests: a real dbus-daemon, a real keyring, or one that hangs."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# No service folders: nothing is started by being asked for.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir={folder}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextmanager
def bus(folder: Path) -> Iterator[str]:
    """A session bus of the test's own; its address."""
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(folder=folder))
    daemon = subprocess.Popen(
        [needed("dbus-daemon"), f"--config-file={config}", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
    finally:
        end(daemon)


@contextmanager
def gnome_keyring(address: str, home: Path, password: str | None) -> Iterator[None]:
    """The real keyring on that bus; without a password it stays locked."""
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home),
        "DBUS_SESSION_BUS_ADDRESS": address,
    }
    command = [needed("gnome-keyring-daemon"), "--foreground", "--components=secrets"]
    daemon = subprocess.Popen(
        command if password is None else [*command, "--unlock"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert daemon.stdin is not None
        daemon.stdin.write(password or "")
        daemon.stdin.close()
        _wait_for_owner(address)
        yield
    finally:
        end(daemon)


@contextmanager
def hanging_keyring(address: str) -> Iterator[None]:
    """A Secret Service that takes every question and answers none."""
    stop = threading.Event()
    owns = threading.Event()

    def hang() -> None:
        with _connected(address) as ask:
            ask("RequestName", "su", "org.freedesktop.secrets", 0)
            owns.set()
            stop.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    try:
        assert owns.wait(10)
        yield
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def _connected(address: str) -> Iterator[Callable[..., Any]]:
    """A connection to the bus; a function that asks the bus itself something."""
    # Only where SecretStorage is: not on macOS and Windows, where these tests are skipped.
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    daemon = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
    with open_dbus_connection(address) as connection:

        def ask(method: str, signature: str, *body: object) -> Any:
            message = new_method_call(daemon, method, signature, body)
            return connection.send_and_get_reply(message, timeout=10).body[0]

        yield ask


def _wait_for_owner(address: str) -> None:
    """Until the keyring is on the bus."""
    deadline = time.monotonic() + 20
    with _connected(address) as ask:
        while not ask("NameHasOwner", "s", "org.freedesktop.secrets"):
            assert time.monotonic() < deadline, "the keyring did not come up"
            time.sleep(0.005)
