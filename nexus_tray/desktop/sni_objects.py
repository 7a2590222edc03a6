"""What panels may ask of the tray icon: its two objects, their properties and methods.

Owns the answers to calls; `sni` owns the bus they come by. Pure but for telling of clicks;
used on the thread of `sni` only. Wrong arguments are answered by an error, as unknown
methods are: anybody on the session bus may call.

Sources: StatusNotifierItem 0.1 (freedesktop.org); com.canonical.dbusmenu 3.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nexus_tray.desktop.dbusmenu import Change, Tree
from nexus_tray.desktop.icon import Picture, Pixels
from nexus_tray.desktop.items import Action, default_action
from nexus_tray.desktop.view import OnClick, View

ID = "nexus-tray"
ITEM, ITEM_PATH = "org.kde.StatusNotifierItem", "/StatusNotifierItem"
MENU, MENU_PATH = "com.canonical.dbusmenu", "/MenuBar"
PROPERTIES = "org.freedesktop.DBus.Properties"

Body = tuple[Any, ...]
Reply = tuple[str | None, Body]
"""Signature and body of an answer."""
Handler = Callable[[str, Body], Reply]

MENU_PROPERTIES = {
    "Version": ("u", 3),
    "TextDirection": ("s", "ltr"),
    "Status": ("s", "normal"),
    "IconThemePath": ("as", []),
}


class Objects:
    """The icon and its menu as they stand."""

    def __init__(self, on_click: OnClick) -> None:
        self._on_click = on_click
        self._pixmaps: list[tuple[int, int, bytes]] = []
        self._handlers: dict[str, dict[str, Handler]] = {
            ITEM_PATH: {PROPERTIES: self._item_property, ITEM: self._item_call},
            MENU_PATH: {PROPERTIES: self._menu_property, MENU: self._menu_call},
        }
        self.tree = Tree()
        self.view = View(Picture(), "Nexus Tray", ())

    def show(self, view: View) -> Change:
        """Answer by this view from now on; what of the menu is to be told."""
        self.view = view
        return self.tree.show(view.items)

    def show_picture(self, pixels: Sequence[Pixels]) -> None:
        """Answer by this picture from now on."""
        self._pixmaps = [(each.size, each.size, each.argb) for each in pixels]

    def answer(self, path: str, interface: str, member: str, body: Body) -> Reply:
        """What a call is answered by. Raises LookupError where there is no such thing.

        The interface may be left out (D-Bus Specification, "Message types").
        """
        there = self._handlers.get(path, {})
        asked = [handle for name, handle in there.items() if interface in ("", name)]
        for handle in asked:
            try:
                return handle(member, body)
            except (LookupError, TypeError, ValueError):
                continue
        raise LookupError(f"no {member} at {path}")

    def _item_property(self, member: str, body: Body) -> Reply:
        title = self.view.title
        return _property(
            member,
            body,
            {
                "Category": ("s", "ApplicationStatus"),
                "Id": ("s", ID),
                "Title": ("s", title),
                "Status": ("s", "Active"),
                "WindowId": ("i", 0),
                "IconName": ("s", ""),
                "IconPixmap": ("a(iiay)", self._pixmaps),
                "OverlayIconName": ("s", ""),
                "AttentionIconName": ("s", ""),
                "IconThemePath": ("s", ""),
                "ToolTip": ("(sa(iiay)ss)", ("", [], title, "")),
                "ItemIsMenu": ("b", False),
                "Menu": ("o", MENU_PATH),
            },
        )

    def _item_call(self, member: str, _: Body) -> Reply:
        if member == "Activate":
            self._click(default_action(self.view.items))
        elif member not in ("SecondaryActivate", "ContextMenu", "Scroll"):
            raise LookupError(member)
        return None, ()

    def _menu_property(self, member: str, body: Body) -> Reply:
        return _property(member, body, MENU_PROPERTIES)

    def _menu_call(self, member: str, body: Body) -> Reply:
        calls: dict[str, Callable[[], Reply]] = {
            "GetLayout": lambda: (
                "u(ia{sv}av)",
                (self.tree.revision, self.tree.layout(body[0], body[1])),
            ),
            "GetGroupProperties": lambda: ("a(ia{sv})", (self.tree.group(body[0]),)),
            "GetProperty": lambda: ("v", (self.tree.property(body[0], body[1]),)),
            "Event": lambda: self._events([body], None),
            "EventGroup": lambda: self._events(body[0], "ai"),
            "AboutToShow": lambda: ("b", (False,)),
            "AboutToShowGroup": lambda: ("aiai", ([], [])),
        }
        return calls[member]()

    def _events(self, events: list[Body], signature: str | None) -> Reply:
        for number, kind, *_ in events:
            if kind == "clicked":
                self._click(self.tree.action(number))
        return signature, ([],) if signature else ()

    def _click(self, action: Action | None) -> None:
        if action is not None:
            self._on_click(action)


def _property(member: str, body: Body, properties: Mapping[str, Any]) -> Reply:
    """The standard reading of properties. Raises LookupError for what there is not."""
    if member == "GetAll":
        return "a{sv}", (dict(properties),)
    if member == "Get":
        return "v", (properties[body[1]],)
    raise LookupError(member)
