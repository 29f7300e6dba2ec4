"""What the hop between two nodes of a fleet costs: the same session by way of its own node, and of another.

Alone: `python -m bench.fleet_hop [--quick]`; in a run it is part of `fleet`. Interleaved rounds, one machine: a network
between the nodes adds its own round trip.
"""

import asyncio
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from bench.figures import Figure
from bench.machine import cpu, describe
from bench.relay import Ledger, Progress, Trial, Values, client
from bench.serving import Server, gateway_in, scratch, serving
from bench.subjects import Subject, allow_many_files, compiled

OWN, OTHER = "its own node", "another node"
SUBJECTS = (OWN, OTHER)
ROUND_TRIP, ROUND_TRIP_99 = "CDP round trip in a fleet, p50", "CDP round trip in a fleet, p99"
CPU_HOP = "CPU of the nodes per CDP round trip"
PIPELINED = "commands without waiting in a fleet"
RESPONSE = "100 MB of CDP responses in a fleet"
REQUEST = "100 MB of CDP requests in a fleet"
CONNECT = "websocket handshake in a fleet, p50"
REST = "GET /session/ID in a fleet, p50"
UPLOAD = "100 MB file upload in a fleet"
UNITS = {
    ROUND_TRIP: "µs",
    ROUND_TRIP_99: "µs",
    CPU_HOP: "µs",
    PIPELINED: "commands/s",
    RESPONSE: "MB/s",
    REQUEST: "MB/s",
    CONNECT: "ms",
    REST: "ms",
    UPLOAD: "MB/s",
}
AN_HOUR = 3_600_000  # ms
MB = 1_000_000
PIECE = bytes(MB)


@dataclass(frozen=True, slots=True)
class Two:
    """Two nodes; the session that runs on the first, its page, and its secret, which says where it is."""

    own: Server
    other: Server
    session: str
    page: str
    secret: str

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """For the load client: it debugs beside no driver."""
        path = f"/session/{self.secret}/devtools/browser/{self.session}"
        pids = (self.own.pid, self.other.pid)
        return tuple(
            Subject(name, int(at.url.rpartition(":")[2].strip("/")), path, path, pids)
            for name, at in zip(SUBJECTS, (self.own, self.other), strict=True)
        )


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """All figures of the hop. Takes a minute, `quick` a third."""
    ledger = Ledger()
    allow_many_files()
    with TemporaryDirectory(prefix="cdp-bench-load-") as directory:
        load = compiled(Path(directory))
        async with two_nodes() as two:
            rounds = 3 if quick else 11
            for number in range(rounds):
                progress(f"hop: round {number + 1} of {rounds}")
                for trial in _trials(quick):
                    for subject in _rotated(two.subjects, number):
                        words = (trial.mode, str(trial.count), str(trial.size))
                        async with client(load, subject.port, subject.path, two.page, *words) as go:
                            before = cpu(subject.pids)
                            seen = await go()
                            after = cpu(subject.pids)
                        costs = {} if trial.cost is None else {trial.cost: (after - before) / trial.count * 1e6}
                        ledger.add(subject, trial.read(seen) | costs)
                for subject in _rotated(two.subjects, number):
                    ledger.add(subject, await _http(two, subject, quick))
    return [Figure(what, unit, ledger.rounds[what]) for what, unit in UNITS.items()]


def _trials(quick: bool) -> tuple[Trial, ...]:
    count = 1_000 if quick else 2_000
    pieces = 1 if quick else 5  # of 20 MB
    return (
        Trial("rtt", count, 0, lambda seen: {ROUND_TRIP: seen["p50"], ROUND_TRIP_99: seen["p99"]}, CPU_HOP),
        Trial("pipeline", 5_000, 0, lambda seen: {PIPELINED: 5_000 / seen["seconds"]}, None),
        Trial("response", pieces, 20 * MB, lambda seen: {RESPONSE: 20 * pieces / seen["seconds"]}, None),
        Trial("request", 4 * pieces, 5 * MB, lambda seen: {REQUEST: 20 * pieces / seen["seconds"]}, None),
    )


def _rotated(subjects: tuple[Subject, ...], by: int) -> tuple[Subject, ...]:
    by %= len(subjects)
    return subjects[by:] + subjects[:by]


async def _http(two: Two, subject: Subject, quick: bool) -> Values:
    """What is asked without a driver."""
    count = 50 if quick else 100
    base = f"http://127.0.0.1:{subject.port}"
    async with aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {two.secret}"}) as http:
        shown = [await _timed(_shown(http, two.session)) for _ in range(count)]
        opened = [await _timed(_opened(http, subject.path)) for _ in range(count)]
        amount = 20 if quick else 100
        took = await _timed(_uploaded(http, two.session, amount))
    return {REST: _middle(shown), CONNECT: _middle(opened), UPLOAD: amount / took}


async def _shown(http: aiohttp.ClientSession, session: str) -> None:
    async with http.get(f"/session/{session}") as answer:
        answer.raise_for_status()
        await answer.read()


async def _opened(http: aiohttp.ClientSession, path: str) -> None:
    async with http.ws_connect(path):
        pass


async def _uploaded(http: aiohttp.ClientSession, session: str, amount: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(amount):
            yield PIECE

    async with http.post(f"/session/{session}/files?name=bench.bin", data=pieces()) as answer:
        answer.raise_for_status()


async def _timed(work: Any) -> float:
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


def _middle(seconds: list[float]) -> float:
    """Their median, in ms."""
    return sorted(seconds)[len(seconds) // 2] * 1000


@asynccontextmanager
async def two_nodes() -> AsyncIterator[Two]:
    """Two nodes with a Redis, and one session on the first of them. Raises NotServing."""
    redis_port, *ports = _free_ports(3)
    program = shutil.which("redis-server") or "/usr/bin/redis-server"
    async with scratch() as root:
        places = [root / name for name in ("redis", "own", "other")]
        for place in places:
            place.mkdir(mode=0o711)
        root.chmod(0o711)
        argv = [program, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(places[0])]
        settings = {
            "redis_url": f"redis://127.0.0.1:{redis_port}/0",
            "cluster_key": "the-key-of-the-bench",
            "token": "bench-token",
            "snapshot_store": f"file:{root / 'shared'}",
            "warm": "0",
            "max_sessions": "2",
            "log_level": "warning",
            "files_max": "1GiB",
            "audit_log": "none",
        }
        ready = re.compile("Ready to accept connections")
        async with (
            serving(argv, dict(os.environ), places[0], ready),
            gateway_in(places[1], **settings, **_address(ports[0])) as own,
            gateway_in(places[2], **settings, **_address(ports[1])) as other,
        ):
            headers = {"Authorization": "Bearer bench-token"}
            async with aiohttp.ClientSession(own.url.rstrip("/"), headers=headers) as http:
                body = {"ttl": AN_HOUR, "processKeepAlive": AN_HOUR, "persist": False, "park": False}
                async with http.post("/session", json=body) as answer:
                    answer.raise_for_status()
                    made = await answer.json()
                session, secret = made["id"], made["connect"].rpartition("token=")[2]
                async with http.get(f"/session/{session}/json/list") as answer:
                    page = next(one["id"] for one in await answer.json() if one["type"] == "page")
            yield Two(own, other, session, page, secret)


def _address(port: int) -> dict[str, str]:
    return {"port": str(port), "node_address": f"http://127.0.0.1:{port}"}


def _free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in taken]
    finally:
        for one in taken:
            one.close()


async def _main(quick: bool) -> None:
    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    say(await describe())
    for figure in await measure(say, quick=quick):
        own, other = figure.median(OWN), figure.median(OTHER)
        say(f"{figure.what:42} {own:10,.1f} {other:10,.1f} {figure.unit:12} {figure.ratio(OTHER, OWN):6.2f}")


if __name__ == "__main__":
    asyncio.run(_main("--quick" in sys.argv[1:]))
