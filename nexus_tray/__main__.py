"""The entry: `nexus-tray run` becomes the guard, everything else is a command.

The guard lives as long as the product and must stay small, so for `run` nothing else is
imported; below it, this module is entered again as the program itself. The window and the opener
of the person's browser are processes of their own, and enter here too (`system.itself`).
"""

import os
import sys

from nexus_tray.system import itself


def main() -> int:
    """The program's exit code; see `cli.console.Exit` and `system.guard`."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and "-h" not in arguments and "--help" not in arguments:
        from nexus_tray.system import guard

        if guard.PIPE not in os.environ:
            return guard.run(itself.command(*arguments))
    if arguments[:1] == [itself.WINDOW]:
        from nexus_tray.desktop import window

        return window.main(arguments[1:])
    if arguments == [itself.OPENER]:
        import webbrowser

        return 0 if webbrowser.open(sys.stdin.read()) else 1
    from nexus_tray.app.entry import enter

    return enter(arguments)


if __name__ == "__main__":
    sys.exit(main())
