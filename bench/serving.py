"""Servers under measurement as real processes: the gateway here, Browserless in `browserless.py`."""

import asyncio
import os
import re
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from bench import processes

COMMAND = Path(sys.executable).with_name("cdp-gateway")
START_SECONDS = 30
STOP_SECONDS = 60  # for a thousand browsers
LOCAL = "127.0.0.0/8,::1"  # what is visited is on this machine
POLL = 0.002  # seconds between looks at /proc: the ends of processes are measured with it


class NotServing(Exception):
    """A server did not start; says what it wrote."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running one. Every process of its browsers has a path under `directory` on its command line."""

    pid: int
    url: str
    token: str
    directory: Path

    @property
    def endpoint(self) -> str:
        """Where Puppeteer connects to for a browser of its own."""
        return f"{self.url.replace('http', 'ws', 1)}?token={self.token}"

    def browsers(self) -> set[int]:
        """All processes of its browsers."""
        return processes.of_directory(self.directory)


@asynccontextmanager
async def gateway(**settings: str) -> AsyncIterator[Server]:
    """`cdp-gateway serve` with these settings, all others at their defaults. Raises NotServing."""
    async with scratch() as directory, gateway_in(directory, **settings) as server:
        yield server


@asynccontextmanager
async def gateway_in(directory: Path, **settings: str) -> AsyncIterator[Server]:
    """The same on the data that an earlier one has left in `directory`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    given = {"port": "0", "data_dir": str(directory / "data"), "token": secrets.token_hex(16), "egress_allow": LOCAL}
    given |= settings
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    listening = re.compile(r"^listening on (\S+)", re.MULTILINE)
    async with serving([str(COMMAND), "serve", *flags], environment, directory, listening) as (pid, found):
        yield Server(pid, found[1], given["token"], directory)


@asynccontextmanager
async def scratch() -> AsyncIterator[Path]:
    """A directory for this block, with a short path: that of a browser's socket in it may have 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield directory
    finally:
        await asyncio.to_thread(rmtree, directory, ignore_errors=True)


@asynccontextmanager
async def serving(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, ready: re.Pattern[str]
) -> AsyncIterator[tuple[int, re.Match[str]]]:
    """Run a server for this block, from when `ready` is found in what it writes; its pid and what was found.

    At the end it gets SIGTERM, and whatever browsers it left under `directory` are ended. Raises NotServing.
    """
    log = directory / "log"
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # an interrupt at the terminal is for the bench, which then ends it in order
        )
    try:
        yield child.pid, await _written(child, log, ready)
    finally:
        await end(child, STOP_SECONDS)
        for pid in processes.of_directory(directory):
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)


async def end(child: asyncio.subprocess.Process, timeout: float) -> None:
    """Ask it to end (SIGTERM), and kill it if it has not within `timeout` seconds."""
    with suppress(ProcessLookupError):  # it ended by itself
        child.terminate()
    try:
        async with asyncio.timeout(timeout):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


async def _written(child: asyncio.subprocess.Process, log: Path, ready: re.Pattern[str]) -> re.Match[str]:
    text = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while child.returncode is None:
                text = _text(log)
                if found := ready.search(text):
                    return found
                await asyncio.sleep(0.05)
    raise NotServing(text.strip()[-500:] or f"no word within {START_SECONDS} s")


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


async def gone(pids: set[int], timeout: float = 15.0) -> float:
    """Wait until none of these processes runs; the seconds that it took. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.timeout(timeout):
        while True:
            pids = processes.alive(pids)
            if not pids:
                return loop.time() - begin
            await asyncio.sleep(POLL)
