"""The tray icon on Linux: a StatusNotifierItem with its menu, over the session bus.

Owns the two objects that panels talk to. Without a toolkit it takes half the memory of
one, its menu stays open while it changes, and a panel that comes late, or again, gets the
icon. Everything but `show`, `tell`, `stop` and `seen` runs on the thread of `run`.

Sources: StatusNotifierItem 0.1 (freedesktop.org); com.canonical.dbusmenu 3; Desktop
Notifications 1.2; FACTS on what panels really ask.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_tray.desktop import icon, panel
from nexus_tray.desktop.bus import Bus
from nexus_tray.desktop.dbusmenu import ROOT
from nexus_tray.desktop.icon import Panel
from nexus_tray.desktop.sni_objects import ID, ITEM, ITEM_PATH, MENU, MENU_PATH, Objects
from nexus_tray.desktop.view import OnClick, View

logger = logging.getLogger(__name__)

WATCHER = "org.kde.StatusNotifierWatcher"
NOTIFICATIONS = "org.freedesktop.Notifications"


class SniIcon:
    """See `view.Icon`. `folder` holds the icons. Raises Problem when there is no bus."""

    def __init__(
        self, address: str, environment: Mapping[str, str], folder: Path, on_click: OnClick
    ) -> None:
        self._bus = Bus(address)
        self._folder = folder
        self._objects = Objects(on_click)
        self._always_dark = panel.is_always_dark(environment)
        self._panel = Panel.DARK if self._always_dark else Panel.LIGHT
        self._name = f"{ITEM}-{os.getpid()}-1"
        self._registering = 0
        self.seen: bool | None = None

    def has_panel(self) -> bool:
        """Whether a panel is there now. Before `run`, on its thread."""
        from jeepney import message_bus

        (there,) = self._bus.ask(message_bus.NameHasOwner(WATCHER))
        return bool(there)

    def close(self) -> None:
        """Give it up instead of running it."""
        self._bus.close()

    def run(self) -> None:
        """See Icon."""
        try:
            self._begin()
            self._bus.run(self._receive)
        except (OSError, LookupError) as error:
            logger.warning("The desktop's message bus is gone, and the icon with it: %s", error)
        finally:
            self.seen = False
            self._bus.close()

    def show(self, view: View) -> None:
        """See Icon."""
        self._bus.post(lambda: self._draw(view))

    def tell(self, title: str, text: str) -> None:
        """See Icon. The notification service may be absent: then nothing is shown."""
        self._bus.post(lambda: self._notify(title, text))

    def stop(self) -> None:
        """See Icon."""
        self._bus.stop()

    def _begin(self) -> None:
        """Take a name, listen for panels and colours, and register if a panel is there."""
        from jeepney import MatchRule, message_bus

        appears = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
        appears.add_arg_condition(0, WATCHER)
        colours = MatchRule(type="signal", interface=panel.SETTINGS, member="SettingChanged")
        for rule in (appears, colours):
            self._bus.ask(message_bus.AddMatch(rule))
        self._bus.ask(message_bus.RequestName(self._name, 4))  # 4: do not queue
        if not self._always_dark:
            try:
                self._panel = panel.panel_for(self._bus.ask(panel.question())[0])
            except LookupError as error:
                logger.debug("The desktop does not tell its colours: %s", error)
        self._draw_picture()
        # Last: from here on calls may come, which only the loop answers.
        self._panel_came() if self.has_panel() else self._panel_went()

    def _panel_came(self) -> None:
        from jeepney import DBusAddress, new_method_call

        watcher = DBusAddress("/StatusNotifierWatcher", WATCHER, WATCHER)
        call = new_method_call(watcher, "RegisterStatusNotifierItem", "s", (self._name,))
        self._registering = self._bus.send(call)

    def _panel_went(self) -> None:
        self.seen = False

    def _draw(self, view: View) -> None:
        before = self._objects.view
        change = self._objects.show(view)
        if before.picture != view.picture:
            self._draw_picture()
        if before.title != view.title:
            self._signal("NewTitle")
            self._signal("NewToolTip")
        if change.layout:
            layout = (self._objects.tree.revision, ROOT)
            self._signal("LayoutUpdated", "ui", layout)
        elif change.properties:
            changed: Any = (list(change.properties), [])
            self._signal("ItemsPropertiesUpdated", "a(ia{sv})a(ias)", changed)

    def _draw_picture(self) -> None:
        pixels = icon.load(self._folder, self._objects.view.picture, self._panel)
        self._objects.show_picture(pixels)
        self._signal("NewIcon")

    def _notify(self, title: str, text: str) -> None:
        from jeepney import DBusAddress, MessageFlag, new_method_call

        address = DBusAddress("/org/freedesktop/Notifications", NOTIFICATIONS, NOTIFICATIONS)
        body: Any = ("Nexus Tray", 0, ID, title, text, [], {"desktop-entry": ("s", ID)}, -1)
        call = new_method_call(address, "Notify", "susssasa{sv}i", body)
        call.header.flags |= MessageFlag.no_reply_expected
        self._bus.send(call)

    def _receive(self, message: Any) -> None:
        from jeepney import HeaderFields, MessageType

        kind, fields = message.header.message_type, message.header.fields
        if kind is MessageType.method_call:
            self._bus.send(self._answer(message))
        elif kind is MessageType.signal:
            self._heard(fields[HeaderFields.member], message.body)
        elif fields.get(HeaderFields.reply_serial) == self._registering:
            self.seen = kind is MessageType.method_return
            if not self.seen:
                logger.warning("The panel refused the icon: %s", message.body)

    def _heard(self, signal: str, body: tuple[Any, ...]) -> None:
        if signal == "NameOwnerChanged" and body[0] == WATCHER:
            self._panel_came() if body[2] else self._panel_went()
        elif signal == "SettingChanged" and not self._always_dark:
            now = panel.changed(body)
            if now is not None and now is not self._panel:
                self._panel = now
                self._draw_picture()

    def _answer(self, message: Any) -> Any:
        from jeepney import HeaderFields, new_error, new_method_return

        fields = message.header.fields
        path, member = fields[HeaderFields.path], fields[HeaderFields.member]
        try:
            signature, body = self._objects.answer(
                path, fields.get(HeaderFields.interface, ""), member, message.body
            )
        except LookupError as error:
            unknown = "org.freedesktop.DBus.Error.UnknownMethod"
            return new_error(message, unknown, "s", (str(error),))
        return new_method_return(message, signature, body)

    def _signal(self, name: str, signature: str | None = None, body: Any = ()) -> None:
        """A signal with a signature is the menu's, one without the icon's."""
        from jeepney import DBusAddress, new_signal

        path, interface = (MENU_PATH, MENU) if signature else (ITEM_PATH, ITEM)
        address = DBusAddress(path, interface=interface)
        self._bus.send(new_signal(address, name, signature, body))
