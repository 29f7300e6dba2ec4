"""Three gateways, a Redis and a directory that they share: a fleet on this machine, and what can happen to it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import psutil

from tests.conftest import assert_nothing_left
from tests.journeys.running import Gateway, command_line, eventually_asked, start
from tests.ports import free_ports
from tests.redis_server import RedisServer

TIMEOUT = 3.0  # seconds of silence until a node counts as dead, where one is to die
SETTINGS = {
    "cluster_key": "a-key-that-all-nodes-know",
    "checkpoint_interval": "1s",
    "max_sessions": "4",
    "drain_timeout": "8s",
    "park_after": "60s",
}


class Wire:
    """A way to one port of this machine that can be cut: then nothing passes, and nobody is told."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._links: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        """It is there for this block."""
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._whole.set()
            for writer in tuple(self._links):
                writer.transport.abort()
            await server.wait_closed()

    def lead(self, port: int) -> None:
        """To another port from now on; connections from before are reset."""
        self._target = port
        self.mend()

    def cut(self) -> None:
        """From now on what is sent is lost on the way, for as long as `mend` is not called."""
        self._whole.clear()

    def mend(self) -> None:
        """What comes now passes; connections from before are reset."""
        self._whole.set()
        for writer in tuple(self._links):
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        try:
            await self._whole.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._links.add(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back))
                group.create_task(self._pass(there, writer))
            back.transport.abort()
            self._links.discard(back)
        except OSError:
            pass  # nobody listens there
        finally:
            writer.transport.abort()
            self._links.discard(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # one of the two ends has gone
            while data := await reader.read(1 << 16):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()


@dataclass
class Node:
    """One gateway of the fleet; `gateway` is its process now."""

    place: Path
    port: int
    to_redis: Wire
    to_it: Wire  # for other nodes
    gateway: Gateway | None = None

    @property
    def runs(self) -> Gateway:
        assert self.gateway is not None
        return self.gateway

    def client(self) -> aiohttp.ClientSession:
        """Without a credential."""
        return aiohttp.ClientSession(self.runs.url)

    def freeze(self) -> None:
        """The process stands still, its browsers run on."""
        self.runs.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.runs.process.send_signal(signal.SIGCONT)

    def cut(self) -> None:
        """Neither Redis nor other nodes can be reached from it, nor it by them. What it runs goes on."""
        self.to_redis.cut()
        self.to_it.cut()

    def mend(self) -> None:
        """They can again."""
        self.to_redis.mend()
        self.to_it.mend()

    def lose(self) -> None:
        """The machine is gone: the gateway and every process that it ran, by kill -9."""
        gateway = self.runs
        gateway.process.kill()  # first, so that it notices nothing
        for process in gateway.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        gateway.kill()

    def sessions(self) -> set[str]:
        """The ids of sessions whose browser it runs, as the notes beside the browsers say."""
        found = set()
        for process in self.runs.browsers():
            for word in command_line(process):
                if word.startswith("--user-data-dir="):
                    with suppress(OSError, ValueError):  # it is just beginning, or ending
                        note = Path(word.partition("=")[2]).parent / "note.json"
                        found.add(json.loads(note.read_text())["owner"])
        return found


@dataclass
class Fleet:
    """Its nodes, in the order in which they were started."""

    redis: RedisServer
    shared: Path
    nodes: list[Node]
    logs: Path
    settings: dict[str, str] = field(default_factory=dict)

    async def start(self, node: Node, **settings: str) -> Gateway:
        """Start it, or start it again: with its own data, on its own port."""
        given = {
            **SETTINGS,
            **self.settings,
            "redis_url": f"redis://127.0.0.1:{node.to_redis.port}/0",
            "snapshot_store": f"file:{self.shared}",
            "port": str(node.port),
            "node_address": f"http{'s' if 'tls_cert' in self.settings else ''}://127.0.0.1:{node.to_it.port}",
            **settings,
        }
        node.gateway = await asyncio.to_thread(start, node.place, self.logs, given)
        return node.gateway

    async def owner(self, session: str) -> Node:
        """The node that runs the session's browser."""

        async def look() -> list[Node]:
            return await asyncio.to_thread(self._owner, session)  # the nodes' wires are in this loop

        return (await eventually_asked(f"a node runs {session}", look, 60))[0]

    def _owner(self, session: str) -> list[Node]:
        return [node for node in self.nodes if node.gateway and session in node.sessions()]

    def others(self, node: Node) -> list[Node]:
        return [other for other in self.nodes if other is not node]

    def browsers(self) -> int:
        """How many run, on all nodes."""
        return sum(len(node.gateway.browsers()) for node in self.nodes if node.gateway is not None)


@asynccontextmanager
async def fleet(logs: Path, count: int = 3, *, keeps: bool = True, **settings: str) -> AsyncIterator[Fleet]:
    """A fleet for this block, with the usual `node_timeout` unless `settings` say otherwise.

    At the end no node may leave a browser, a directory, or a key in Redis without an end.
    """
    async with AsyncExitStack() as stack:
        with TemporaryDirectory(prefix="gw-") as directory:
            os.chmod(directory, 0o711)  # as root each browser has a user of its own, who must pass it
            root = Path(directory)
            redis = RedisServer(root / "redis", keeps=keeps)
            stack.push_async_callback(redis.end)
            await redis.start()
            nodes = []
            for number, port in enumerate(free_ports(count)):
                place = root / f"n{number}"
                place.mkdir(mode=0o711)
                to_redis = await stack.enter_async_context(Wire(redis.port).laid())
                to_it = await stack.enter_async_context(Wire(port).laid())
                nodes.append(Node(place, port, to_redis, to_it))
            made = Fleet(redis, root / "shared", nodes, logs, settings)
            try:
                async with asyncio.TaskGroup() as group:
                    for node in nodes:
                        group.create_task(made.start(node))
                yield made
                for node in nodes:
                    if node.gateway is not None:
                        await asyncio.to_thread(node.gateway.stop)
                        assert_nothing_left(node.gateway)
            finally:
                for node in nodes:
                    if node.gateway is not None and node.gateway.process.poll() is None:
                        node.lose()
