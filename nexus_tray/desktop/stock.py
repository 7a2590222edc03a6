"""The tray icon by pystray: on macOS and Windows, and for old (XEmbed) trays on Linux.

Owns the translation of a View into pystray's menu and image. pystray and Pillow are
imported when an icon is made. macOS and Windows are untested; on Linux pystray's own
limits hold (its `xorg` back end has no menu, the left click works).
"""

import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nexus_tray.desktop import icon
from nexus_tray.desktop.icon import Panel, Picture
from nexus_tray.desktop.items import Action, Item
from nexus_tray.desktop.view import OnClick, View

SIZE = 64
"""Pixels: pystray makes of it what its system wants."""
LONGEST_SLEEP = 0.5
"""Seconds that an event of an old tray may wait unseen in another thread's hands."""


class StockIcon:
    """See `view.Icon`. Raises ImportError, or what the toolkit raises, where it cannot run."""

    def __init__(self, folder: Path, on_click: OnClick) -> None:
        import pystray

        self._pystray = pystray
        self._folder = folder
        self._on_click = on_click
        self._view = View(Picture(), "Nexus Tray", ())
        self._stopped = False
        self.seen: bool | None = None
        self._icon = _icon_class(pystray)(
            "nexus-tray", self._image(Picture()), self._view.title, menu=self._menu(())
        )

    def run(self) -> None:
        """See Icon."""
        self._icon.run(setup=self._begin)

    def show(self, view: View) -> None:
        """See Icon. Draws only what changed: some systems close an open menu for it."""
        before, self._view = self._view, view
        if before.picture != view.picture:
            self._icon.icon = self._image(view.picture)
        if before.title != view.title:
            self._icon.title = view.title
        if before.items != view.items:
            self._icon.menu = self._menu(view.items)

    def tell(self, title: str, text: str) -> None:
        """See Icon."""
        if self._icon.HAS_NOTIFICATION:
            self._icon.notify(text, title)

    def stop(self) -> None:
        """See Icon."""
        self._stopped = True
        if self.seen:
            self._icon.stop()

    def _begin(self, shown: Any) -> None:
        """Called by pystray, in a thread of its own, once its loop runs."""
        shown.visible = True
        self.seen = True
        if self._stopped:
            shown.stop()

    def _image(self, picture: Picture) -> Any:
        from PIL import Image

        panel = Panel.TEMPLATE if sys.platform == "darwin" else Panel.DARK
        with Image.open(icon.file(self._folder, picture, panel, SIZE)) as image:
            return image.convert("RGBA")

    def _menu(self, items: tuple[Item, ...]) -> Any:
        return self._pystray.Menu(*(self._item(item) for item in items))

    def _item(self, item: Item) -> Any:
        if not item.label:
            return self._pystray.Menu.SEPARATOR
        # Windows takes a single ampersand for the mark of a shortcut
        label = item.label.replace("&", "&&") if sys.platform == "win32" else item.label
        checked = None if item.checked is None else (lambda _, is_checked=item.checked: is_checked)
        deed = self._menu(item.items) if item.items else self._deed(item.action)
        return self._pystray.MenuItem(
            label, deed, checked=checked, default=item.default, enabled=item.enabled
        )

    def _deed(self, action: Action | None) -> Any:
        if action is None:
            return None
        return lambda: self._on_click(action)


def _icon_class(pystray: Any) -> Any:
    """pystray's icon, mended where it has to be."""
    if sys.platform == "darwin":
        return _template_icon(pystray)
    if pystray.Icon.__module__.endswith("_xorg"):
        return _clickable_icon(pystray)
    return pystray.Icon


def _template_icon(pystray: Any) -> Any:
    """On macOS the image is a template, coloured by the menu bar. Untested: none at hand."""

    class TemplateIcon(pystray.Icon):  # type: ignore[misc] # pystray has no types
        def _assert_image(self) -> None:
            super()._assert_image()
            self._icon_image.setTemplate_(True)

    return TemplateIcon


def _clickable_icon(pystray: Any) -> Any:
    """In an XEmbed tray, pystray 0.19.5 handles clicks but does not ask X for them.

    And it may sleep on: python-xlib can read an event in one thread while another waits for
    it in the kernel (measured: one end in ten hung). So nobody waits there for long.
    """
    from Xlib import X

    class ClickableIcon(pystray.Icon):  # type: ignore[misc] # pystray has no types
        def _create_window(self) -> Any:
            window = super()._create_window()
            window.change_attributes(
                event_mask=X.ExposureMask | X.StructureNotifyMask | X.ButtonPressMask
            )
            return window

        def _events(self) -> Iterator[Any]:
            while True:
                while self._display.pending_events():
                    yield self._display.next_event()
                select.select([self._display.fileno()], [], [], LONGEST_SLEEP)

    return ClickableIcon
