"""Small gateways in the test's process: the real middleware around handlers that say where a session is."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from browser_pool.tasks import running
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.hop import Hops, granted, take_grant
from gateway.records import SessionId
from gateway.tenancy.access import Access
from gateway.tenancy.capability import tag
from gateway.web.arrival import arriving
from gateway.web.connection import Connection, watched
from gateway.web.connections import Bounds, Connections
from gateway.web.door import NUMBER, Door
from gateway.web.forward import Forwards, forwarding
from gateway.web.forwarded import Proxies, believed
from gateway.web.middleware import middleware

KEY = b"the fleet's own key"
ACCESS = Access("the-token", bytes(32))
AUTH = {"Authorization": "Bearer the-token"}
PIECE = bytes(range(256)) * 256


@dataclass
class World:
    """What Redis would know: where each session is, and which nodes there are."""

    nodes: list[str] = field(default_factory=list)
    at: dict[str, str] = field(default_factory=dict)
    grants: dict[str, Lease] = field(default_factory=dict)  # places that are given to the next who ask
    released: list[Lease] = field(default_factory=list)
    gone: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: int = 0  # how often somebody had to look
    toss: int = 0  # so often everybody says that it is another


class Neighbours:
    """A fleet of nodes that all live."""

    def __init__(self, world: World, name: str) -> None:
        self.name: str | None = name
        self._world = world

    def named_by(self, wanted: str) -> str | None:
        return next((name for name in self._world.nodes if tag(name) == wanted), None)

    def gone(self, name: str) -> asyncio.Event:
        return self._world.gone.setdefault(name, asyncio.Event())

    async def release(self, lease: Lease) -> None:
        self._world.released.append(lease)


@dataclass
class Node:
    """One of them. `took` are the places that its handler used; `got` the bytes that came to its uploads."""

    name: str
    world: World
    forwards: Forwards
    connections: Connections
    took: list[Lease] = field(default_factory=list)
    got: int = 0
    closes: list[int | None] = field(default_factory=list)
    asked: int = 0  # requests that came as far as a handler
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def here(self, session: str) -> None:
        """Go on only where the session is."""
        self.asked += 1
        if self.world.toss and self.world.asked < self.world.toss:
            self.world.asked += 1
            raise Elsewhere(next(name for name in self.world.nodes if name != self.name))
        if self.forwards_by_itself(session):
            return
        self.world.asked += 1
        if (grant := self.world.grants.pop(session, None)) is not None:
            raise Elsewhere(grant.node, grant)
        if (owner := self.world.at.get(session)) is not None and owner != self.name:
            raise Elsewhere(owner)

    def forwards_by_itself(self, session: str) -> bool:
        """A place that came with the request is for its session."""
        lease = granted()
        if lease is None or lease.session != session or self.world.at.get(session) != self.name:
            return False
        taken = take_grant(lease.session)
        assert taken is not None
        self.took.append(taken)
        return True

    async def show(self, request: web.Request) -> web.Response:
        body = await request.read() if request.can_read_body else b""
        self.here(request.match_info["key"].partition(".")[0])
        said = {
            "node": self.name,
            "remote": request.remote,
            "scheme": request.scheme,
            "host": request.host,
            "number": request[NUMBER],
            "path": request.rel_url.raw_path_qs,
            "method": request.method,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": body.decode("latin-1"),
        }
        answer = web.json_response(said)
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        return answer

    async def upload(self, request: web.Request) -> web.Response:
        self.here(request.match_info["key"])
        self.begun.set()
        if "wait" in request.query:
            await self.go_on.wait()
        seen = hashlib.sha256()
        try:
            async for piece in request.content.iter_any():
                seen.update(piece)
                self.got += len(piece)
        except BaseException:
            self.cancelled.set()
            raise
        return web.json_response({"node": self.name, "size": self.got, "sha": seen.hexdigest()})

    async def download(self, request: web.Request) -> web.StreamResponse:
        self.here(request.match_info["key"])
        pieces = int(request.query["pieces"])
        answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "X-Node": self.name})
        if "length" in request.query:
            answer.content_length = pieces * len(PIECE)
        await answer.prepare(request)
        try:
            for number in range(pieces):
                if number == 1:
                    self.begun.set()
                    if "wait" in request.query:
                        await self.go_on.wait()
                    if "break" in request.query:
                        assert request.transport is not None
                        request.transport.abort()
                await answer.write(PIECE)
                self.got += len(PIECE)
        except BaseException:
            self.cancelled.set()
            raise
        await answer.write_eof()
        return answer

    async def hang(self, request: web.Request) -> web.Response:
        self.here(request.match_info["key"])
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response(text="done")

    async def talk(self, request: web.Request) -> web.StreamResponse:
        """A websocket that says what it hears; `close` ends it, `big N` gets N MiB."""
        self.here(request.match_info["key"].partition(".")[0])
        answer = web.WebSocketResponse(max_msg_size=0, compress=False)
        await answer.prepare(request)
        try:
            async for message in answer:
                if message.type is WSMsgType.TEXT and message.data == "close":
                    await answer.close(code=4004, message=b"rotated")
                elif message.type is WSMsgType.TEXT and message.data.startswith("big "):
                    await answer.send_str("x" * (int(message.data[4:]) << 20))
                elif message.type is WSMsgType.TEXT:
                    await answer.send_str(message.data)
                else:
                    await answer.send_bytes(message.data)
        finally:
            self.closes.append(answer.close_code)
            self.cancelled.set()
        return answer


@asynccontextmanager
async def node(
    world: World,
    *,
    key: bytes = KEY,
    bounds: Bounds | None = None,
    proxies: Proxies | None = None,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    alias: str | None = None,
) -> AsyncIterator[Node]:
    """One gateway while the block lasts. `server` and `client`: it speaks TLS, and judges others' certificates."""
    async with AsyncExitStack() as stack:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        name = f"http{'s' if server else ''}://127.0.0.1:{listening.getsockname()[1]}"
        hops = Hops(key, alias or name)
        peers = Neighbours(world, name)

        def lives(session: SessionId) -> bool:
            return world.at.get(session) == name

        forwards = await stack.enter_async_context(forwarding(peers, hops, ACCESS.capabilities, lives, tls=client))
        proxies = proxies or Proxies()
        connections = Connections(bounds or Bounds(10_000, 10_000), proxies)
        made = Node(name, world, forwards, connections)
        around = [
            believed(proxies),
            arriving(hops),
            watched,
            middleware(Door(ACCESS, None, ()), frozenset(), None, forwards),
        ]
        app = web.Application(middlewares=around, client_max_size=1 << 20)
        app.router.add_route("*", "/session/{key}", made.show)
        app.router.add_post("/session/{key}/files", made.upload)
        app.router.add_get("/session/{key}/files", made.download)
        app.router.add_get("/session/{key}/live", made.hang)
        app.router.add_get("/session/connect/{key}", made.talk)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        answering = runner.server
        site = await asyncio.get_running_loop().create_server(
            lambda: Connection(connections, answering, access_log=None), sock=listening, ssl=server
        )
        stack.push_async_callback(site.wait_closed)
        stack.callback(site.close)
        await stack.enter_async_context(running(connections.watch(), "slow clients"))
        world.nodes.append(name)
        yield made
        world.nodes.remove(name)


@asynccontextmanager
async def nodes(count: int, world: World | None = None) -> AsyncIterator[list[Node]]:
    """Several in one world."""
    world = world or World()
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(node(world)) for _ in range(count)]
