"""What survives what, measured: a session is filled, something ends, and a client looks for what it left.

Each row is an end, each column something that a session has (bench/traces.py); 1 is for "it was there again".
"""

import asyncio
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import processes
from bench.figures import Figure
from bench.report import YES_NO
from bench.serving import Server, gateway_in, gone, scratch
from bench.traces import COLUMNS, found, leave
from bench.visitor import PATIENCE, Rest, rest, until, visiting
from browser_pool.binary import Binaries
from browser_pool.devtools import DevToolsGone
from tests.site.app import serving

INTERVAL = 1.0  # seconds between checkpoints
LEFT_ALONE = 3.0  # seconds between the last thing that was done and a kill

Progress = Callable[[str], None]


@dataclass
class House:
    """A gateway that can be killed and started again on the same data and the same port."""

    directory: Path
    stack: AsyncExitStack
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    server: Server | None = None

    async def start(self) -> Rest:
        """Start it, anew after a kill; its REST side."""
        port = self.server.url.rpartition(":")[2] if self.server else "0"
        settings = {"token": self.token, "port": port, "warm": "0", "park_after": "1s"}
        settings["checkpoint_interval"] = f"{INTERVAL:g}s"
        self.server = await self.stack.enter_async_context(gateway_in(self.directory, **settings))
        return await self.stack.enter_async_context(rest(self.server))

    def browsers(self) -> set[int]:
        """All processes of its browsers."""
        return processes.of_directory(self.directory)


@dataclass(frozen=True)
class Stay:
    """A session that a client has just left."""

    house: House
    api: Rest
    session: Any


# --- ends: each gives the URL to connect to afterwards ---


async def left_by_its_client(stay: Stay) -> str:
    """Nothing else happens."""
    return str(stay.session["connect"])


async def parked(stay: Stay) -> str:
    """No process of the browser runs any more, until somebody comes."""

    async def frozen() -> bool:
        return all(processes.is_stopped(pid) for pid in stay.house.browsers())

    await until(frozen)
    return str(stay.session["connect"])


async def stopped(stay: Stay) -> str:
    """DELETE, and a restore as another session."""
    await stay.api.ask("DELETE", f"/session/{stay.session['id']}")
    return str((await stay.api.ask("POST", f"/session/{stay.session['id']}/restore"))["connect"])


async def put_away(stay: Stay) -> str:
    """The gateway ends the browser since nobody comes; connecting revives it."""
    await stay.api.ask("PATCH", f"/session/{stay.session['id']}", {"processKeepAlive": 1})
    await stay.api.status(stay.session["id"], "suspended")
    return str(stay.session["connect"])


async def browser_killed(stay: Stay) -> str:
    """SIGKILL to every process of the browser."""
    await asyncio.sleep(LEFT_ALONE)
    await _kill(stay.house.browsers())
    await stay.api.status(stay.session["id"], "suspended")
    return str(stay.session["connect"])


async def gateway_killed(stay: Stay) -> str:
    """SIGKILL to the gateway, which is then started again."""
    assert stay.house.server is not None
    await asyncio.sleep(LEFT_ALONE)
    await _kill({stay.house.server.pid})
    await stay.house.start()
    return str(stay.session["connect"])


async def all_killed(stay: Stay) -> str:
    """SIGKILL to the gateway and its browsers at once."""
    assert stay.house.server is not None
    await asyncio.sleep(LEFT_ALONE)
    await _kill({stay.house.server.pid} | stay.house.browsers())
    await stay.house.start()
    return str(stay.session["connect"])


@dataclass(frozen=True, slots=True)
class End:
    """A row: what is done to a session, and of which browser."""

    what: str
    does: Callable[[Stay], Awaitable[str]]
    headless: bool | str = True


SHELL = "shell"
ENDS = (
    End("the client disconnects", left_by_its_client),
    End("parked for want of a client, connect", parked),
    End("stop and restore", stopped),
    End("stop and restore, headless shell", stopped, SHELL),
    End("put away for want of a client, connect", put_away),
    End("kill -9 of Chromium, connect", browser_killed),
    End("kill -9 of Chromium, connect, headless shell", browser_killed, SHELL),
    End("kill -9 of the gateway, start it again, connect", gateway_killed),
    End("kill -9 of the gateway and all browsers, the same", all_killed),
)


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """A figure for each end; `quick` makes no difference. Without the headless shell's where that is not installed."""
    ends = [end for end in ENDS if end.headless != SHELL or Binaries().shell is not None]
    figures = []
    for end in ends:
        progress(f"survival: {end.what}")
        answers = await outcome(end)
        figures.append(Figure(end.what, YES_NO, {column: [float(answers[column])] for column in COLUMNS}))
    return figures


async def outcome(end: End) -> Mapping[str, bool]:
    """Fill a session, end it, and look: for each of COLUMNS whether it is there again."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(serving())
        house = House(await stack.enter_async_context(scratch()), stack)
        api = await house.start()
        session = await api.create(headless=end.headless)
        async with visiting(session["connect"]) as client:
            left = await leave(client, site)
        await api.status(session["id"], "detached")
        endpoint = await end.does(Stay(house, api, session))
        try:
            async with asyncio.timeout(PATIENCE), visiting(endpoint) as client:
                return await found(client, site, left)
        except (DevToolsGone, TimeoutError):  # refused, or it shows nothing
            return dict.fromkeys(COLUMNS, False)


async def _kill(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await gone(pids)
