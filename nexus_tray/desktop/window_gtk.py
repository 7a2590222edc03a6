"""The dashboard's window by GTK and WebKitGTK: what pywebview leaves to its user.

Owns the window's place, coming to the front, zoom, downloads, and above all that nothing
but the dashboard's own origin is loaded in it. Imports GTK (`gi`), so only the window's
own process may load it, after pywebview has. Everything runs on GTK's thread.
"""

import logging
import os
from collections.abc import Callable
from typing import Any, cast

import gi
import msgspec
from gi.repository import Gdk, GLib, Gtk, WebKit2
from webview import Window
from webview.platforms.gtk import BrowserView

from nexus_tray.desktop.window_links import Target, target
from nexus_tray.desktop.window_place import Place, Screen, fitted

logger = logging.getLogger(__name__)

SETTLE_MS = 400
"""Milliseconds after the last movement until the place is written."""

IS_LOCKED = 'sessionStorage.getItem("nexus-token") === null'
"""Whether the page has no token, or no longer: ui/dashboard/api.js keeps and forgets it there."""

ZOOMS = (0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
PLUS = (Gdk.KEY_plus, Gdk.KEY_equal, Gdk.KEY_KP_Add)
MINUS = (Gdk.KEY_minus, Gdk.KEY_KP_Subtract)
ZERO = (Gdk.KEY_0, Gdk.KEY_KP_0)


class GtkHands:
    """One window. `keep` gets the place when it has changed; `tell` gets lines for the program."""

    def __init__(
        self,
        window: Window,
        own: str,
        place: Place,
        keep: Callable[[Place], None],
        tell: Callable[[str], None],
    ) -> None:
        self._own = own
        self._place = place
        self._keep = keep
        self._tell = tell
        self._settling = 0
        view = BrowserView.instances[window.uid]
        self._window = cast("Any", window.native)
        self._web: Any = view.webview
        # Ours decides alone: pywebview's hands any scheme to the browser, and keeps no origin.
        self._web.disconnect_by_func(view.on_navigation)
        self._web.connect("decide-policy", self._decide)
        self._web.connect("web-process-terminated", self._web_process_gone)
        self._web.get_context().connect("download-started", self._download)
        self._web.set_zoom_level(place.zoom)
        window.events.closing += self._closing
        self._window.connect("map-event", lambda *_: self._tell("shown"))
        self._window.connect("configure-event", lambda *_: self._moved())
        self._window.connect("window-state-event", lambda *_: self._moved())
        self._window.connect("key-press-event", self._key)
        self._put(fitted(place, self._screens()))

    def call(self, work: Callable[[], None]) -> None:
        """Have GTK's thread do this. Any thread."""

        def once() -> bool:
            work()
            return False

        GLib.idle_add(once)

    def load(self, link: str) -> None:
        """Go to a page by a fresh link; only ever to the dashboard."""
        if target(link, self._own) is Target.INSIDE:
            self._web.load_uri(link)

    def raise_(self) -> None:
        """Bring it to the front, with the keyboard; a window manager takes only what is recent."""
        self._window.present_with_time(self._now())
        self._tell("shown")
        self._web.evaluate_javascript(IS_LOCKED, -1, None, None, None, self._looked, None)

    def _looked(self, web: Any, task: Any, _: Any) -> None:
        """Whose access has ended (all was ended, many pages were opened) gets a new link."""
        try:
            locked = bool(web.evaluate_javascript_finish(task).to_boolean())
        except GLib.Error as error:
            logger.debug("the page does not say whether it is in: %s", error)
            return
        if locked:
            self._tell("renew")

    def close(self) -> None:
        """Close it, which ends the process."""
        self._window.close()

    def _closing(self) -> None:
        """The last movement may be a moment ago."""
        if self._settling:
            GLib.source_remove(self._settling)
            self._settled()

    def _screens(self) -> list[Screen]:
        display = Gdk.Display.get_default()
        areas = [display.get_monitor(n).get_workarea() for n in range(display.get_n_monitors())]
        return [Screen(area.x, area.y, area.width, area.height) for area in areas]

    def _put(self, place: Place) -> None:
        self._window.resize(place.width, place.height)
        if place.x is not None and place.y is not None:
            self._window.move(place.x, place.y)
        if place.maximized:
            self._window.maximize()

    def _moved(self) -> bool:
        if self._settling:
            GLib.source_remove(self._settling)
        self._settling = GLib.timeout_add(SETTLE_MS, self._settled)
        return False  # others hear of it too

    def _settled(self) -> bool:
        self._settling = 0
        before = self._place
        changed: dict[str, Any] = {"maximized": bool(self._window.is_maximized())}
        if not changed["maximized"]:  # the size to come back to is the one before
            changed["width"], changed["height"] = self._window.get_size()
            if "Wayland" not in type(self._window.get_display()).__name__:
                changed["x"], changed["y"] = self._window.get_position()
        self._place = replaced(before, zoom=self._web.get_zoom_level(), **changed)
        if self._place != before:
            self._keep(self._place)
        return False  # a timer of GLib's that is not to come again

    def _now(self) -> int:
        """A time stamp that X11 window managers accept as the person's wish."""
        try:
            gi.require_version("GdkX11", "3.0")
            from gi.repository import GdkX11

            surface = self._window.get_window()
            if isinstance(surface, GdkX11.X11Window):
                return int(GdkX11.x11_get_server_time(surface))
        except (ImportError, ValueError) as error:
            logger.debug("no X11 time: %s", error)
        return int(Gdk.CURRENT_TIME)

    def _decide(self, _web: Any, decision: Any, kind: Any) -> bool:
        """WebKit asks before it loads anything into a window. True: it is decided."""
        try:
            self._decided(decision, kind)
        except Exception:
            logger.exception("An address could not be judged; it is not loaded.")
            decision.ignore()
        return True

    def _decided(self, decision: Any, kind: Any) -> None:
        if kind == WebKit2.PolicyDecisionType.RESPONSE:
            if decision.is_mime_type_supported():
                decision.use()
            else:
                decision.download()
            return
        address = decision.get_navigation_action().get_request().get_uri() or ""
        found = target(address, self._own)
        new_window = kind == WebKit2.PolicyDecisionType.NEW_WINDOW_ACTION
        if found is Target.INSIDE and not new_window:
            decision.use()
            return
        if address.startswith(f"blob:{self._own}/") and not new_window:
            decision.download()  # what the page made for saving; it is never shown
            return
        decision.ignore()
        if found is not Target.NOWHERE:
            self._tell(f"browse {address}")

    def _download(self, _context: Any, download: Any) -> None:
        download.connect("decide-destination", self._destination)

    def _destination(self, download: Any, suggested: str) -> bool:
        dialog = Gtk.FileChooserNative.new(
            "Save", self._window, Gtk.FileChooserAction.SAVE, None, None
        )
        dialog.set_do_overwrite_confirmation(True)
        dialog.set_current_name(os.path.basename(suggested) or "nexus-tray")  # noqa: PTH119 - text
        downloads = GLib.get_user_special_dir(GLib.UserDirectory.DIRECTORY_DOWNLOAD)
        dialog.set_current_folder(downloads or GLib.get_home_dir())
        chosen = dialog.run() == Gtk.ResponseType.ACCEPT and dialog.get_uri()
        dialog.destroy()
        if chosen:
            download.set_allow_overwrite(True)  # the dialog has asked
            download.set_destination(chosen)
        else:
            download.cancel()
        return True

    def _web_process_gone(self, _web: Any, why: Any) -> None:
        """The page's process died: what it knew is lost, so it needs a new link."""
        logger.warning("The window's page ended unexpectedly (%s).", why.value_nick)
        self._tell("died")

    def _key(self, _window: Any, event: Any) -> bool:
        """Zoom and close, as in a browser; True: the page does not see the key."""
        if not event.state & Gdk.ModifierType.CONTROL_MASK:
            return False
        level = self._web.get_zoom_level()
        if event.keyval in PLUS:
            level = next((zoom for zoom in ZOOMS if zoom > level + 0.01), ZOOMS[-1])
        elif event.keyval in MINUS:
            level = next((zoom for zoom in reversed(ZOOMS) if zoom < level - 0.01), ZOOMS[0])
        elif event.keyval in ZERO:
            level = 1.0
        elif event.keyval == Gdk.KEY_w:
            self.close()
            return True
        else:
            return False
        self._web.set_zoom_level(level)
        self._moved()
        return True


def replaced(place: Place, **changed: Any) -> Place:
    """The place with these fields; what the toolkit says is checked like what a file says."""
    whole = {**msgspec.structs.asdict(place), **changed}
    try:
        return msgspec.convert(whole, Place)
    except msgspec.ValidationError as error:
        logger.debug("not a place: %s", error)
        return place
