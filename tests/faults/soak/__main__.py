"""python -m tests.faults.soak --minutes 30 --seed 1

The whole product, the real OpenCode, and cloudflared (the real one, where NEXUS_CLOUDFLARED or PATH
has it) on the loopback Cloudflare. A failure prints the seed; the same seed plays the same faults.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.soak.house import House
from tests.faults.soak.play import play, told
from tests.opencode_lab.provider import Provider


def main() -> int:
    """Play, and say what came of it; exit code 1: something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nx-soak-"))
    with Provider() as provider:
        house = House(folder, provider)
        try:
            report = play(house, options.seed, options.minutes * 60)
            sys.stdout.write(told(report, house) + "\n")
        finally:
            house.close()
    for wrong in report.wrong:
        sys.stdout.write(f"WRONG: {wrong}\n")
    if report.wrong:
        sys.stdout.write(f"Again: --seed {options.seed} (what it left behind: {folder})\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
