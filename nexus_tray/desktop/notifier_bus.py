"""Notifications on Linux: the desktop's own service, over the session bus.

Owns one thread with one connection. The service may be absent, come late, be restarted or
never answer: nothing waits for it. What it lacks (buttons, markup) is asked, not assumed.
Only the service that showed a notification may report a click on it: who sends signals is
checked, for any program on the bus can send some. `show`, `withdraw` and `close` are for
any thread; all else runs on the notifier's own.

Source: Desktop Notifications Specification 1.3 (freedesktop.org).
"""

import html
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nexus_tray.desktop.bus import Bus
from nexus_tray.desktop.notice_words import Notice
from nexus_tray.desktop.notifier import NAME, OnClick

logger = logging.getLogger(__name__)

SERVICE = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
ICON = "nexus-tray"
BODY_CLICK = "default"
MOST = 50
"""Notifications that are kept in mind; beyond, the oldest is taken back."""
STALE = 60.0
"""Seconds after which news that could not be shown is no news."""
PATIENCE = 30.0
"""Seconds after which a service that did not answer is asked anew."""
GRACE = 0.5
"""Seconds for a service to name what it was asked to show just before the end."""
END_SECONDS = 2.0


@dataclass
class _Entry:
    """One notification. `serial`: the call that shows it and is not answered yet; `number`:
    its name at the service; `following`: what takes its place once that is known."""

    notice: Notice
    at: float
    serial: int = 0
    number: int = 0
    following: Notice | None = None


class BusNotifier:
    """See `notifier.Notifier`. Raises Problem when there is no bus at this address."""

    def __init__(
        self, address: str, on_click: OnClick, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_click = on_click
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._orphans: deque[int] = deque(maxlen=MOST)  # calls whose notification nobody wants
        self._can: frozenset[str] | None = None
        self._owner = ""
        self._asked = 0
        self._asked_at = 0.0
        self._said = False
        self._ending = False
        self._over = False
        self._bus = Bus(address)
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        self._thread.start()

    def show(self, notice: Notice) -> None:
        """See Notifier."""
        self._post(lambda: self._show(notice))

    def withdraw(self, key: str) -> None:
        """See Notifier."""
        self._post(lambda: self._withdraw(key))

    def close(self) -> None:
        """See Notifier."""
        self._post(self._end)
        self._thread.join(GRACE)
        self._bus.stop()
        self._thread.join(END_SECONDS)

    def _post(self, call: Callable[[], None]) -> None:
        if not self._over:
            self._bus.post(call)

    def _run(self) -> None:
        try:
            self._listen()
            self._bus.run(self._receive)
        except (OSError, LookupError) as error:
            logger.warning("The desktop's message bus is gone: no more notifications. %s", error)
        finally:
            self._over = True
            self._bus.close()

    def _listen(self) -> None:
        from jeepney import MatchRule, message_bus

        comes = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
        comes.add_arg_condition(0, SERVICE)
        tells = MatchRule(type="signal", sender=SERVICE, interface=SERVICE, path=PATH)
        for rule in (comes, tells):
            self._bus.ask(message_bus.AddMatch(rule))

    def _show(self, notice: Notice) -> None:
        entry = self._entries.get(notice.key)
        if entry is not None and entry.serial:
            entry.following = notice
            return
        if entry is None:
            if len(self._entries) >= MOST:
                self._withdraw(next(iter(self._entries)))
            entry = self._entries[notice.key] = _Entry(notice, self._clock())
        entry.notice, entry.at = notice, self._clock()
        if self._can is None:
            self._ask()
        else:
            self._notify(entry)

    def _withdraw(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.serial and not entry.number:  # its number is not known yet: close it when it is
            self._orphans.append(entry.serial)
        elif entry.number:
            self._send("CloseNotification", "u", (entry.number,))

    def _end(self) -> None:
        """Take all back; over when the service has named what it was just asked to show."""
        self._ending = True
        for key in list(self._entries):
            self._withdraw(key)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._ending and not self._orphans:
            self._bus.stop()

    def _ask(self) -> None:
        """Ask what the service can; its answer shows what waits. The bus may start it for us."""
        now = self._clock()
        if self._asked and now - self._asked_at < PATIENCE:
            return
        self._asked, self._asked_at = self._send("GetCapabilities"), now

    def _notify(self, entry: _Entry) -> None:
        can, notice = self._can or frozenset(), entry.notice
        actions: list[str] = []
        if "actions" in can:
            actions = [BODY_CLICK, "Open"]
            for place, button in enumerate(notice.buttons):
                actions += [str(place), button.label]
        text = html.escape(notice.text, quote=False) if "body-markup" in can else notice.text
        hints = {
            "desktop-entry": ("s", ICON),
            "urgency": ("y", 2 if notice.urgent else 1),
        }
        body: Any = (NAME, entry.number, ICON, notice.title, text, actions, hints, -1)
        entry.serial = self._send("Notify", "susssasa{sv}i", body)

    def _send(self, member: str, signature: str | None = None, body: Any = ()) -> int:
        from jeepney import DBusAddress, new_method_call

        address = DBusAddress(PATH, SERVICE, SERVICE)
        return self._bus.send(new_method_call(address, member, signature, body))

    def _receive(self, message: Any) -> None:
        try:
            self._take(message)
        except (AttributeError, IndexError, TypeError):
            # a service of any make is there: one odd message must not end the rest
            logger.exception("The desktop's notification service said what makes no sense.")

    def _take(self, message: Any) -> None:
        from jeepney import HeaderFields, MessageType

        kind, fields = message.header.message_type, message.header.fields
        sender = fields.get(HeaderFields.sender, "")
        if kind is MessageType.signal:
            self._heard(fields.get(HeaderFields.member, ""), sender, message.body)
            return
        serial = fields.get(HeaderFields.reply_serial)
        if kind is MessageType.method_return:
            self._answered(serial, sender, message.body)
        elif kind is MessageType.error:
            self._refused(serial, fields.get(HeaderFields.error_name, ""))

    def _answered(self, serial: int | None, sender: str, body: tuple[Any, ...]) -> None:
        if serial == self._asked and serial:
            self._asked, self._owner, self._said = 0, sender, False
            self._can = frozenset(body[0])
            self._show_waiting()
            return
        if serial is not None and serial in self._orphans:
            self._orphans.remove(serial)
            self._send("CloseNotification", "u", (body[0],))
            self._end_if_done()
        entry = next((e for e in self._entries.values() if e.serial and e.serial == serial), None)
        if entry is None:
            return
        entry.serial, entry.number = 0, body[0]
        if entry.following is not None:
            entry.notice, entry.following = entry.following, None
            self._notify(entry)

    def _refused(self, serial: int | None, error: str) -> None:
        if serial == self._asked and serial:
            self._asked = 0
            if not self._said:
                self._said = True
                logger.warning(
                    "This desktop shows no notifications now (%s). Start its notification "
                    "service, or install one, such as dunst; it is used as soon as it is there.",
                    error,
                )
        if serial is not None and serial in self._orphans:
            self._orphans.remove(serial)
            self._end_if_done()
        for key, entry in list(self._entries.items()):
            if entry.serial and entry.serial == serial:
                logger.warning("The desktop did not show “%s” (%s).", entry.notice.title, error)
                del self._entries[key]

    def _show_waiting(self) -> None:
        """What came while there was no service, as far as it is still worth showing."""
        now = self._clock()
        for key, entry in list(self._entries.items()):
            if entry.serial or entry.number:
                continue
            if entry.notice.lasting or now - entry.at <= STALE:
                self._notify(entry)
            else:
                del self._entries[key]

    def _heard(self, signal: str, sender: str, body: tuple[Any, ...]) -> None:
        if signal == "NameOwnerChanged" and sender == "org.freedesktop.DBus":
            if body[0] == SERVICE:
                self._service_changed(body[2])
            return
        if sender != self._owner or not body:
            return
        shown = {entry.number: key for key, entry in self._entries.items() if entry.number}
        key = shown.get(body[0])
        if key is None:
            return
        if signal == "NotificationClosed" and not self._entries[key].serial:
            del self._entries[key]
        elif signal == "ActionInvoked":
            self._clicked(key, body[1])

    def _service_changed(self, owner: str) -> None:
        """It went or another came: what it showed is gone; what waited is shown by the next."""
        self._can, self._asked, self._owner = None, 0, ""
        self._orphans.clear()
        waiting = {k: e for k, e in self._entries.items() if not e.number}
        for entry in waiting.values():
            entry.serial = 0
        self._entries = waiting
        if owner and waiting:
            self._ask()

    def _clicked(self, key: str, action: str) -> None:
        """One click is all: a second, late one must not answer again."""
        entry = self._entries[key]
        if entry.serial:  # aimed at what is being replaced
            return
        if action == BODY_CLICK:
            button = None
        elif action.isdecimal() and int(action) < len(entry.notice.buttons):
            button = entry.notice.buttons[int(action)]
        else:
            return
        self._withdraw(key)
        self._on_click(entry.notice, button)
