"""`make fuzz`: a million and more broken streams, visits and handshakes, from a seed that is told."""

import argparse
import asyncio
import logging
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import structlog

from tests.fuzz import frames, handshakes, legs
from tests.relay.rig import memory

ROUND = 50_000  # streams between two looks at the memory
GROWTH = 32 << 20  # bytes that a run may leave, at most


def measured(what: str, count: int, work: Callable[[], object]) -> None:
    """Do it; print how fast it was and what memory it left."""
    before, began = memory(), time.monotonic()
    found = work()
    took, left = time.monotonic() - began, memory() - before
    print(
        f"{what}: {count} in {took:.0f} s, {count / took:.0f}/s, {left / (1 << 20):+.1f} MiB {found or ''}", flush=True
    )
    assert left < GROWTH, f"{what} left {left} bytes"


def main() -> None:
    """Read the arguments and run all three; the exit code is 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="the same faults again")
    parser.add_argument("--frames", type=int, default=1_000_000, help="streams for the scanner (default %(default)s)")
    parser.add_argument("--visits", type=int, default=10_000, help="websockets through the relay")
    parser.add_argument("--handshakes", type=int, default=20_000, help="requests to the gateway")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {given.seed}", flush=True)
    frames.run(given.seed, 1000)  # what is loaded once is not counted
    tracemalloc.start()
    frames.run(given.seed, 5000)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"memory of 5000 streams: {kept >> 10} KiB kept, {most >> 10} KiB at most", flush=True)
    assert kept < 1 << 20

    def scan() -> None:
        for number in range(0, given.frames, ROUND):
            frames.run(given.seed + number, min(ROUND, given.frames - number))

    measured("streams", given.frames, scan)
    measured("visits", given.visits, lambda: asyncio.run(legs.run(given.seed, given.visits)))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        work = handshakes.run(given.seed, given.handshakes, Path(place))
        measured("handshakes", given.handshakes, lambda: dict(asyncio.run(work)))


if __name__ == "__main__":
    main()
