"""`python -m bench [PART …] [--quick] [--check] [--output DIR] [--show FILE]`; the parts are in PARTS.

Measures, prints tables, keeps the raw figures (latest.json) and draws the plot (performance.svg) of what is fast.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench import figures
from bench.figures import Figure
from bench.goals import SPEED, Row, rows
from bench.machine import describe
from bench.report import goal_table, tables

# Modules with `measure(progress, *, quick) -> list[Figure]`.
PARTS = (
    "relay",
    "sessions",
    "idle",
    "restore",
    "fork",
    "park",
    "checkpoint",
    "survival",
    "egress",
    "pages",
    "shared",
    "fleet",
)
OUTPUT = Path(__file__).parent / "results"


def main() -> int:
    """0, also where a goal was missed; 1 then with --check."""
    options = _options()
    if options.show is not None:
        machine, measured = figures.load(options.show)
    else:
        machine, measured = asyncio.run(_measure(options.parts or PARTS, quick=options.quick))
        figures.save(measured, machine, options.output / "latest.json")
    found = rows(measured)
    if options.parts:  # of the others' goals there is nothing to say
        found = [row for row in found if row.met is not None]
    _tell(machine, measured, found)
    speed = rows(measured, SPEED)
    if any(row.met is not None for row in speed):
        from bench.plot import draw  # only here: it takes a second, and matplotlib

        options.output.mkdir(parents=True, exist_ok=True)
        draw(measured, speed, machine, options.output / "performance.svg")
        print(f"\nplot: {options.output / 'performance.svg'}")
    missed = [row.what for row in found if row.met is False]
    if missed:
        print(f"\n*** {len(missed)} of {len(found)} goals missed: {'; '.join(missed)} ***")
    return 1 if missed and options.check else 0


async def _measure(parts: Sequence[str], *, quick: bool) -> tuple[str, list[Figure]]:
    begin = time.monotonic()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - begin:5.0f} s  {line}", flush=True)

    machine = await describe()
    print(machine, flush=True)
    found: list[Figure] = []
    for part in parts:
        found += await import_module(f"bench.{part}").measure(progress, quick=quick)
    return machine, found


def _tell(machine: str, measured: list[Figure], found: list[Row]) -> None:
    for line in tables(measured):
        print(line)
    print(f"\n{machine}\n")
    if found:
        for line in goal_table(found):
            print(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway beside its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none is given")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a result")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="directory of latest.json and performance.svg")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing: show what an earlier run kept")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part}: one of {', '.join(PARTS)} is wanted")
    return options


if __name__ == "__main__":
    sys.exit(main())
