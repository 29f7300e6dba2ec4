"""What a thousand sessions cost the gateway while nothing happens in them.

Each client has a session, and each session a synthetic browser of its own (browser.c): real ones would need a
hundred gigabytes, and the gateway's share is the same. The clients answer the gateway's pings, as real ones do.
"""

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from bench.figures import Figure
from bench.machine import cpu, resident
from bench.serving import gateway
from bench.subjects import GATEWAY, allow_many_files

CLIENTS = 1000
AT_ONCE = 8  # connects under way

CPU = f"CPU of the gateway, {CLIENTS:,} idle clients"
MEMORY = f"memory (RSS) of the gateway per idle session, {CLIENTS:,} of them"
OPEN = "connect, a synthetic browser launched for each"

HERE = Path(__file__).parent
SOURCE = HERE / "browser.c"
BROWSER = HERE / ".cache" / "browser"
SETTLE = 5.0  # seconds between the last connect and the measurement

Progress = Callable[[str], None]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """CPU, memory and the time to connect, of CLIENTS idle clients. Raises RuntimeError if any of them is lost."""
    compile_browser()
    allow_many_files()  # the gateway inherits it: three sockets a session
    hold = 20 if quick else 60
    settings = {"browser": str(BROWSER), "max_sessions": str(CLIENTS + 100), "warm": "0"}
    loop = asyncio.get_running_loop()
    # At the end the gateway goes first: it puts its clients off, all at once.
    async with AsyncExitStack() as stack, gateway(**settings) as server:
        before = resident([server.pid])
        progress(f"idle: {CLIENTS} clients connect")
        free = asyncio.Semaphore(AT_ONCE)
        clients: list[ClientConnection] = []
        took: list[float] = []

        async def one() -> None:
            async with free:
                begin = loop.time()
                # No pings of its own, which the gateway would have to answer.
                opening = connect(server.endpoint, ping_interval=None, compression=None, proxy=None)
                clients.append(await stack.enter_async_context(opening))
                took.append(loop.time() - begin)

        begin = loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(one())
        whole = loop.time() - begin
        progress(f"idle: {CLIENTS} clients connected within {whole:.0f} s; {hold} s of nothing")
        await asyncio.sleep(SETTLE)
        used, since = cpu([server.pid]), loop.time()
        await asyncio.sleep(hold)
        share = (cpu([server.pid]) - used) / (loop.time() - since)
        memory = (resident([server.pid]) - before) / CLIENTS
        lost = sum(client.state is not State.OPEN for client in clients)
        if lost:
            raise RuntimeError(f"{lost} of {CLIENTS} idle clients lost their session")
    return [
        Figure(CPU, "% of a core", {GATEWAY: [100 * share]}),
        Figure(MEMORY, "KB", {GATEWAY: [memory]}),
        Figure(OPEN, "ms", {GATEWAY: [1000 * seconds for seconds in took]}),
    ]


def compile_browser() -> None:
    """Make the synthetic browser, if its source is newer. Raises CalledProcessError."""
    if BROWSER.exists() and BROWSER.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    BROWSER.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(BROWSER), str(SOURCE)], check=True)
