"""The moment of a websocket's 101: the connection goes from aiohttp to the client's leg."""

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg, Commands

DEAD_AFTER = 300_000  # ms without an acknowledgement; a reader paused in a debugger looks the same as a dead one


class _Tail:
    """Handed to aiohttp as the parser of the upgraded connection: collects what came behind the request."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called with bytes that aiohttp had read already."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to end."""


def take_over(
    request: web.Request, accept: str, browser: BrowserLeg, commands: Commands, leave: Callable[[], None]
) -> ClientLeg:
    """Answer the upgrade with 101 and take the connection from aiohttp. Raises ConnectionResetError if it is gone.

    `accept` is the Sec-WebSocket-Accept of RFC 6455 section 4.2.2. Works on asyncio and uvloop transports,
    plain and TLS. aiohttp forgets the connection, and lets go of all that it kept for it.
    """
    transport, early = accepted(
        request,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode(),
    )
    client = ClientLeg(transport, browser, commands, leave)
    transport.set_protocol(client)
    browser.attach(client)
    client.start(early)
    let_go(request)
    return client


def accepted(request: web.Request, head: bytes) -> tuple[asyncio.Transport, bytes]:
    """Answer with `head`; the connection's transport, and what the client sent behind its request.

    The transport gets a new protocol at once, and then aiohttp is made to `let_go`. Raises ConnectionResetError if the
    client is gone.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client left before the upgrade")
    transport.write(head)
    _detect_death(transport)
    tail = _Tail()
    request.protocol.set_parser(tail)  # type: ignore[arg-type]  # marks the upgrade as taken, yields early bytes
    return transport, tail.data


def let_go(request: web.Request) -> None:
    """Let aiohttp forget a connection that it would close when the handler returns."""
    request.protocol.transport = None
    request.protocol.connection_lost(None)


def _detect_death(transport: asyncio.Transport) -> None:
    """A client whose machine vanished sends no end of stream; unacknowledged pings end it instead."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER)
