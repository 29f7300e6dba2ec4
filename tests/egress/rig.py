"""A road, a server that it leads to, and names that resolve to whatever a test says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from gateway.egress.proxy import Proxy, Services, bound, serving
from gateway.egress.terms import Terms
from gateway.records import Egress, Rules

LOCAL = Rules(allow=("127.0.0.1",))


class Names:
    """A name server of the test's own: each name has answers, of which the last stays."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.names = {name.replace("__", "."): list(answers) for name, answers in names.items()}
        self.asked: list[str] = []

    async def resolve(self, name: str) -> Sequence[str]:
        """See gateway.egress.dial.Resolver."""
        self.asked.append(name)
        if name not in self.names:
            raise OSError(f"no address for {name}")
        answers = self.names[name]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Origin:
    """A server, what it was asked, and how many connections it has seen."""

    port: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """/status/N, /redirect?to=, /chunked, /echo by websocket, /break; all else is 200 with the body that it got."""
        self.connections.add(request.transport)
        body = await request.read()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        parts = request.path.strip("/").split("/")
        match parts[0]:
            case "status":
                return web.Response(status=int(parts[1]), text="")
            case "redirect":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "chunked":
                answer = web.StreamResponse()
                answer.enable_chunked_encoding()
                await answer.prepare(request)
                for number in range(3):
                    await answer.write(b"part %d;" % number)
                return answer
            case "break":
                answer = web.StreamResponse()
                answer.content_length = 1000
                await answer.prepare(request)
                await answer.write(b"only this")
                assert request.transport is not None
                request.transport.abort()
                return answer
            case "echo":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                async for message in socket:
                    await socket.send_str(f"echo {message.data}")
                return socket
        answer = web.Response(body=body or b"hello", content_type="text/html")
        if request.query_string == "close":
            answer.force_close()
        return answer


@asynccontextmanager
async def origin(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Origin]:
    """A server; `port` 0 takes a free one."""
    running = Origin()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", running.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        running.port = runner.addresses[0][1]
        yield running
    finally:
        await runner.cleanup()


@asynccontextmanager
async def road(services: Services | None = None, session: Egress | None = None) -> AsyncIterator[Proxy]:
    """A road that leads to 127.0.0.1 as well, and is assigned."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(serving(bound(), services or Services(node=LOCAL)))
        proxy.assign(Terms(session=session or Egress()))
        yield proxy


async def told(port: int, sent: bytes) -> bytes:
    """All that comes back for these bytes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


def get(url: str, *fields: str, method: str = "GET") -> bytes:
    """A proxy's request, after which the connection is closed."""
    place = url.partition("://")[2].partition("/")[0]
    return "\r\n".join((f"{method} {url} HTTP/1.1", f"Host: {place}", "Connection: close", *fields, "", "")).encode()


class GuardedRoads:
    """Roads of one pool in this process, as `browser_pool.road.Roads`; each is assigned `terms` at once."""

    def __init__(self, services: Services, terms: Terms | None = None) -> None:
        self.open_ones: list[Proxy] = []
        self._services = services
        self._terms = terms or Terms()

    @asynccontextmanager
    async def open(self, port: int | None = None) -> AsyncIterator[Proxy]:
        """See Roads."""
        async with serving(bound(port), self._services, self._terms) as proxy:
            self.open_ones.append(proxy)
            yield proxy
