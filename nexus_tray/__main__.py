"""The entry: `nexus-tray run` becomes the guard, everything else is a command.

The guard lives as long as the product and must stay small, so for `run` nothing else is
imported; below it, this module is entered again as the program itself.
"""

import os
import sys


def main() -> int:
    """The program's exit code; see `cli.console.Exit` and `system.guard`."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and "-h" not in arguments and "--help" not in arguments:
        from nexus_tray.system import guard

        if guard.PIPE not in os.environ:
            # -P: the folder it is started in may be anybody's, and must bring no modules
            return guard.run([sys.executable, "-P", "-m", "nexus_tray", *arguments])
    from nexus_tray.app.entry import enter

    return enter(arguments)


if __name__ == "__main__":
    sys.exit(main())
