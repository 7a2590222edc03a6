"""A desktop's notification service for tests, speaking the specification's interface.

It remembers what stands on the screen, and invokes and closes as a person would.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

SERVICE = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
INTERFACE = f"""<node><interface name="{SERVICE}">
<method name="GetCapabilities"><arg direction="out" type="as"/></method>
<method name="GetServerInformation"><arg direction="out" type="s"/><arg direction="out" type="s"/>
<arg direction="out" type="s"/><arg direction="out" type="s"/></method>
<method name="Notify"><arg direction="in" type="s"/><arg direction="in" type="u"/>
<arg direction="in" type="s"/><arg direction="in" type="s"/><arg direction="in" type="s"/>
<arg direction="in" type="as"/><arg direction="in" type="a{{sv}}"/><arg direction="in" type="i"/>
<arg direction="out" type="u"/></method>
<method name="CloseNotification"><arg direction="in" type="u"/></method>
<signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
<signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>
</interface></node>"""
USUAL = ("actions", "body", "body-markup")


@dataclass(frozen=True)
class Shown:
    """One notification on the screen."""

    number: int
    title: str
    text: str
    actions: dict[str, str]
    urgency: int


class Desk:
    """The service. `mute`: it takes calls and answers none until `speak`."""

    def __init__(
        self, address: str, can: tuple[str, ...] = USUAL, *, mute: bool = False,
        refuses: bool = False, nonsense: bool = False, named: bool = True,
    ) -> None:  # fmt: skip
        self._connection = open_dbus_connection(address)
        self._can = can
        self._mute = mute
        self._refuses = refuses
        self._nonsense = nonsense
        self._held: list[Message] = []
        self._numbers = itertools.count(1)
        self._changed = threading.Condition(threading.RLock())
        self._ended = False
        self.screen: dict[int, Shown] = {}
        self.calls: list[str] = []
        self.notified = 0
        if named:
            self._connection.send(message_bus.RequestName(SERVICE, 4))
        self._thread = threading.Thread(target=self._serve, name="desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        self._thread.join(5)
        self._connection.close()

    def wait(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                assert time.monotonic() < end, "it did not happen in time"
                self._changed.wait(0.05)

    def find(self, title: str) -> Shown:
        """The notification with that title, as soon as it is there."""
        self.wait(lambda: any(shown.title == title for shown in self.screen.values()))
        return next(shown for shown in self.screen.values() if shown.title == title)

    def titles(self) -> list[str]:
        with self._changed:
            return [shown.title for shown in self.screen.values()]

    def invoke(self, number: int, action: str) -> None:
        """Somebody clicks: the service tells, and closes."""
        with self._changed:
            self.click(number, action)
            self.dismiss(number)

    def click(self, number: int, action: str) -> None:
        """The service tells of a click, and leaves it standing."""
        with self._changed:
            self._signal("ActionInvoked", "us", (number, action))

    def dismiss(self, number: int, why: int = 2) -> None:
        with self._changed:
            if self.screen.pop(number, None):
                self._signal("NotificationClosed", "uu", (number, why))

    def forge(self, to: str, number: int, action: str) -> None:
        """What any program on the bus can do: tell somebody of a click that was not."""
        with self._changed:
            signal = new_signal(
                DBusAddress(PATH, interface=SERVICE), "ActionInvoked", "us", (number, action)
            )
            signal.header.fields[HeaderFields.destination] = to
            self._connection.send(signal)

    def speak(self) -> None:
        """Answer everything that was held back, in its order, and from now on."""
        with self._changed:
            self._mute = False
            for message in self._held:
                self._connection.send(self._answer(message))

    def _signal(self, name: str, signature: str, body: Any) -> None:
        address = DBusAddress(PATH, interface=SERVICE)
        self._connection.send(new_signal(address, name, signature, body))

    def _serve(self) -> None:
        while not self._ended:
            try:
                message = self._connection.receive(timeout=0.02)
            except TimeoutError:
                continue
            if message.header.message_type is not MessageType.method_call:
                continue
            with self._changed:
                self.calls.append(message.header.fields[HeaderFields.sender])
                if self._mute:
                    self._held.append(message)
                else:
                    self._connection.send(self._answer(message))
                self._changed.notify_all()

    def _answer(self, message: Message) -> Message:
        member, body = message.header.fields[HeaderFields.member], message.body
        if member == "Introspect":
            return new_method_return(message, "s", (INTERFACE,))
        if member == "GetServerInformation":
            return new_method_return(message, "ssss", ("desk", "tests", "1", "1.2"))
        if member == "GetCapabilities" and self._nonsense:
            return new_method_return(message, "u", (7,))
        if member == "GetCapabilities":
            return new_method_return(message, "as", (list(self._can),))
        if member == "Notify" and not self._refuses:
            actions = dict(zip(body[5][::2], body[5][1::2], strict=True))
            number = body[1] or next(self._numbers)
            shown = Shown(number, body[3], body[4], actions, body[6]["urgency"][1])
            self.screen[number] = shown
            self.notified += 1
            return new_method_return(message, "u", (number,))
        if member == "CloseNotification":
            self.dismiss(body[0], 3)
            return new_method_return(message)
        return new_error(message, "org.freedesktop.DBus.Error.Failed", "s", (member,))
