"""The relay in a small server, as `web/connect.py` runs it, with a client by hand."""

import asyncio
import datetime
import gc
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from browser_pool.tasks import Start
from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import HIGH_WATER, BrowserLeg, dial
from gateway.relay.client_leg import ClientLeg, Pulse
from gateway.relay.commands import Answerable, CloseBrowser, Info, Reconnect, Snapshot, answer
from gateway.relay.overrides import Override
from gateway.relay.places import Places
from gateway.relay.relay import Relays, relaying
from gateway.web.connect import upgrade
from tests.fakes.chromium import PATIENCE, FakeChromium, Wire, soon

PATH = "/devtools/browser/0"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MOST_BUFFERED = HIGH_WATER + (1 << 20)  # bytes: the mark, and the reads that were under way


class Visit:
    """One websocket through the relay: its seat and what answers its commands."""

    rewrites = True
    places: Places | None = None

    def __init__(self, transport: asyncio.Transport, browser: BrowserLeg, start: Start) -> None:
        self.transport = transport
        self.browser = browser
        self.evicted: asyncio.Future[Farewell] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()
        self.left_in: list[asyncio.Task[object] | None] = []  # the tasks that called `leave`; None: a callback
        self.over = asyncio.Event()  # the relay has returned
        self.failure: BaseException | None = None  # or raised this
        self.saved = asyncio.Event()  # lets snapshots be answered
        self.performed: list[Answerable] = []
        self.noted: list[tuple[Override, ClientLeg]] = []
        self.letting: list[ClientLeg] = []
        self.waits = False  # what it sets waits until the test lets it go on
        self.pulse = Pulse(0.0)
        self._start = start

    def leave(self) -> None:
        assert not self.over.is_set()
        self.left_in.append(asyncio.current_task())
        self.left.set()

    def evict(self, code: CloseCode = CloseCode.STOPPED, words: str = "stopped") -> None:
        self.evicted.set_result(Farewell(code, words))

    def perform(self, command: Answerable, client: ClientLeg) -> None:
        self.performed.append(command)
        match command:
            case Info() | CloseBrowser():
                client.reply(answer(command, {"sessionId": "7"}))
            case Reconnect():
                client.reply(answer(command, {"timeout": 1}))
                if command.detach:
                    client.say_goodbye()
            case Snapshot():
                self._start(self._save(command, client), "snapshot")

    def note(self, override: Override, client: ClientLeg) -> bool:
        self.noted.append((override, client))
        return self.waits

    def let_go(self, client: ClientLeg) -> bool:
        self.letting.append(client)
        return self.waits

    def parting(self, browser: BrowserLeg) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def end(self, kind: object, failure: BaseException | None, traceback: object) -> None:
        """What the relay leaves last, with why."""
        self.failure = failure
        self.over.set()

    async def ended(self) -> None:
        """Wait until the relay has returned, or was cancelled."""
        await soon(self.over.wait())
        assert not isinstance(self.failure, Exception), repr(self.failure)

    async def _save(self, command: Snapshot, client: ClientLeg) -> None:
        await self.saved.wait()
        client.reply(answer(command, {"version": 1}))

    @property
    def buffered(self) -> int:
        """Bytes that wait in this process, in both directions."""
        waiting = self.transport.get_write_buffer_size() + self.browser.transport.get_write_buffer_size()
        return waiting + self.browser.queued


@dataclass
class Rig:
    """A server on `port`; `visits` yields each websocket as it opens."""

    fake: FakeChromium
    relays: Relays
    stop: Callable[[], Awaitable[None]]  # ends all relays
    runner: web.AppRunner
    tls: ssl.SSLContext | None  # for clients
    port: int = 0
    visits: "asyncio.Queue[Visit]" = field(default_factory=asyncio.Queue)
    _clients: list[Wire] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """As `Connect._sit` does it."""
        accept = upgrade(request)
        leg = await dial(self.fake.port, PATH)
        assert request.transport is not None
        visit = Visit(request.transport, leg, self.relays.start)
        self.visits.put_nowait(visit)
        async with AsyncExitStack() as held:
            held.push(visit.end)
            self.relays.begin(request, accept, leg, visit, evicted=visit.evicted, leave=visit.leave, held=held)
        return web.Response(status=101)

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/"

    async def open(self, early: bytes = b"", window: int | None = None) -> Wire:
        """A connection on which the upgrade was asked for, with `early` right behind the request.

        `window`: bytes that the client's kernel receives ahead, if not what it likes.
        """
        raw = socket.socket()
        raw.setblocking(False)
        if window is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)  # must be known before the connection is
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        name = "127.0.0.1" if self.tls else None
        reader, writer = await asyncio.open_connection(sock=raw, ssl=self.tls, server_hostname=name)
        client = Wire(reader, writer, masks=True)
        self._clients.append(client)
        writer.write(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()
            + early
        )
        return client

    async def connect(self, early: bytes = b"", window: int | None = None) -> tuple[Wire, Wire, Visit]:
        """A client, the browser's end of it, and what is between them."""
        client = await self.open(early, window)
        await upgraded(client)
        return client, await self.fake.connection(), await soon(self.visits.get())

    def end(self) -> None:
        """Drop the clients."""
        for client in self._clients:
            client.drop()


async def upgraded(client: Wire) -> None:
    """Read the 101."""
    head = await soon(client.reader.readuntil(b"\r\n\r\n"))
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: " + ACCEPT in head
    assert b"extensions" not in head.lower()


@asynccontextmanager
async def running_rig(fake: FakeChromium, contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None) -> AsyncIterator[Rig]:
    """A server while the block lasts; `contexts` are the server's and the client's for TLS."""
    server, client = contexts or (None, None)
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    async with AsyncExitStack() as relays:
        rig = Rig(fake, await relays.enter_async_context(relaying(patience=0.1)), relays.aclose, runner, client)
        app.router.add_get("/", rig.handle)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server)
            await site.start()
            rig.port = runner.addresses[0][1]
            yield rig
        finally:
            rig.end()
            fake.end()
            await runner.cleanup()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that nothing tells about, such as a full buffer."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def memory() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-made certificate for 127.0.0.1: the server's context and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))
