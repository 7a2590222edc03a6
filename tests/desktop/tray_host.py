"""A panel for tests: StatusNotifierWatcher, host and notification service on a session bus.

Two connections: one answers in a thread, the other asks for the test. Reads the icon and
its menu as panels do, clicks entries, and writes down signals and notifications.
"""

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_call,
    new_method_return,
)
from jeepney.io.blocking import open_dbus_connection

WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"
NOTIFICATIONS = "org.freedesktop.Notifications"
PORTAL = "org.freedesktop.portal.Desktop"
SETTINGS = "org.freedesktop.portal.Settings"


@contextmanager
def private_bus() -> Iterator[str]:
    """A session bus of the test's own; its address."""
    command = ["dbus-daemon", "--session", "--nofork", "--nosyslog", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as bus:
        assert bus.stdout is not None
        try:
            yield bus.stdout.readline().decode().strip()
        finally:
            bus.terminate()
            bus.wait(10)


@dataclass
class Entry:
    """One entry of a menu, as a host understands it."""

    number: int
    label: str
    enabled: bool
    checked: bool | None
    separator: bool
    children: list["Entry"] = field(default_factory=list)


class Host:
    """The panel. `dark`: the colour scheme that its settings portal tells, or no portal."""

    def __init__(self, address: str, dark: bool | None = None) -> None:
        self._server = open_dbus_connection(address)
        self._caller = open_dbus_connection(address)
        self._changed = threading.Condition()
        self._ended = False
        self._numbers = itertools.count(1)
        self._dark = dark
        self.items: list[str] = []
        self.signals: list[str] = []
        self.notifications: list[tuple[str, str]] = []
        for interface in (ITEM, MENU, "org.freedesktop.DBus"):
            rule = MatchRule(type="signal", interface=interface)
            self._server.send_and_get_reply(message_bus.AddMatch(rule))
        # Names last, and without waiting: calls that came meanwhile would be dropped.
        names = [NOTIFICATIONS, *([] if dark is None else [PORTAL]), WATCHER]
        for name in names:
            self._server.send(message_bus.RequestName(name, 4))
        self._thread = threading.Thread(target=self._serve, name="tray host", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        self._thread.join(5)
        self._server.close()
        self._caller.close()

    def wait(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        """Until it is so; looked at whenever something comes, and every 50 ms."""
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                assert time.monotonic() < end, "it did not happen in time"
                self._changed.wait(0.05)

    def item(self) -> "Item":
        """The icon, as soon as one is registered."""
        self.wait(lambda: self.items)
        return Item(self, self.items[-1])

    def call(self, to: str, path: str, interface: str, member: str, signature: str | None = None,
             body: tuple[Any, ...] = ()) -> Any:  # fmt: skip
        message = new_method_call(DBusAddress(path, to, interface), member, signature, body)
        answer = self._caller.send_and_get_reply(message, timeout=5)
        if answer.header.message_type is MessageType.error:
            raise LookupError(answer.body)
        return answer.body

    def tell_colours(self, *, dark: bool) -> None:
        """The user changed the colour scheme."""
        from jeepney import new_signal

        self._dark = dark
        address = DBusAddress("/org/freedesktop/portal/desktop", interface=SETTINGS)
        body = ("org.freedesktop.appearance", "color-scheme", ("u", int(dark)))
        self._server.send(new_signal(address, "SettingChanged", "ssv", body))

    def _serve(self) -> None:
        while not self._ended:
            try:
                message = self._server.receive(timeout=0.05)
            except TimeoutError:
                continue
            kind = message.header.message_type
            if kind is MessageType.signal:
                self._hear(message)
            elif kind is MessageType.method_call:
                self._server.send(self._answer(message))

    def _hear(self, message: Message) -> None:
        with self._changed:
            self.signals.append(message.header.fields[HeaderFields.member])
            if self.signals[-1] == "NameOwnerChanged" and not message.body[2]:
                self.items = [item for item in self.items if item != message.body[0]]
            self._changed.notify_all()

    def _answer(self, message: Message) -> Message:
        member = message.header.fields[HeaderFields.member]
        with self._changed:
            if member == "RegisterStatusNotifierItem":
                self.items.append(message.body[0])
                self._changed.notify_all()
                return new_method_return(message)
            if member == "Notify":
                self.notifications.append(message.body[3:5])
                self._changed.notify_all()
                return new_method_return(message, "u", (next(self._numbers),))
        if member == "Read" and self._dark is not None:
            return new_method_return(message, "v", (("v", ("u", int(self._dark))),))
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", (member,))


class Item:
    """The icon as the panel sees it."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name = host, name

    def property(self, name: str) -> Any:
        body = (ITEM, name)
        read = "org.freedesktop.DBus.Properties"
        return self.host.call(self.name, "/StatusNotifierItem", read, "Get", "ss", body)[0][1]

    def all_properties(self) -> dict[str, Any]:
        read = "org.freedesktop.DBus.Properties"
        found = self.host.call(self.name, "/StatusNotifierItem", read, "GetAll", "s", (ITEM,))[0]
        return {name: value[1] for name, value in found.items()}

    def left_click(self) -> None:
        self.host.call(self.name, "/StatusNotifierItem", ITEM, "Activate", "ii", (0, 0))

    def menu(self) -> list[Entry]:
        """The whole menu, asked for as it is when somebody opens it."""
        path = self.property("Menu")
        self.host.call(self.name, path, MENU, "AboutToShow", "i", (0,))
        _, root = self.host.call(self.name, path, MENU, "GetLayout", "iias", (0, -1, []))
        return _entry(root).children

    def find(self, *labels: str) -> Entry:
        entries, found = self.menu(), None
        for label in labels:
            found = next((e for e in entries if e.label.startswith(label)), None)
            if found is None:
                raise LookupError(f"{label!r} is not in {[e.label for e in entries]}")
            entries = found.children
        assert found is not None
        return found

    def has(self, *labels: str) -> bool:
        try:
            self.find(*labels)
        except LookupError:
            return False
        return True

    def click(self, *labels: str) -> Entry:
        found = self.find(*labels)
        self.event(found.number)
        return found

    def event(self, number: int, kind: str = "clicked") -> None:
        body = (number, kind, ("s", ""), 0)
        self.host.call(self.name, self.property("Menu"), MENU, "Event", "isvu", body)


def _entry(node: Any) -> Entry:
    if isinstance(node[0], str):  # a variant
        node = node[1]
    number, properties, children = node
    plain = {name: value[1] for name, value in properties.items()}
    state = bool(plain["toggle-state"]) if "toggle-type" in plain else None
    return Entry(
        number, plain.get("label", "").replace("__", "_"), plain.get("enabled", True), state,
        plain.get("type") == "separator", [_entry(child) for child in children],
    )  # fmt: skip
