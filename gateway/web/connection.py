"""One connection while aiohttp has it: aiohttp's protocol, with what that does not bound.

aiohttp bounds lines and the number of headers. It knows no size of a whole head, no time for it to arrive apart from
that for which an idle connection is kept, and no speed for bodies and replies.
"""

import asyncio
import json
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.typedefs import Handler

from gateway.errors import Code, GatewayError
from gateway.web.connections import Bounds, Connections, Flow, acked
from gateway.web.headers import HEADERS, SERVER

END = b"\r\n\r\n"  # of a head (RFC 9112 section 2.1)
LINGER = 1.0  # seconds for a client to read why it is refused before the connection is closed
SLOWEST = 1024  # bytes a second; who sends a body or reads a reply more slowly is cut off


class Connection(web.RequestHandler):
    """aiohttp's protocol with bounds. `raw` is its transport, `client` who it is for, `address` who is at its end."""

    __slots__ = (
        "_answered",
        "_came",
        "_desk",
        "_ended",
        "_flow",
        "_head",
        "_head_since",
        "_refused_at",
        "_request",
        "_sent",
        "_tail",
        "address",
        "client",
        "counted",
        "node",
        "raw",
    )

    def __init__(self, desk: Connections, server: web.Server, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._desk = desk
        self._head = 0  # bytes of a head that has not ended
        self._tail = b""  # their last ones
        self._ended = False  # a head has ended, and aiohttp makes a request of it
        self._head_since: float | None = None  # None: between two requests, or in one
        self._request: web.BaseRequest | None = None  # the last one
        self._answered = True
        self._came = 0  # bytes in all
        self._flow: Flow | None = None  # of a body
        self._sent: Flow | None = None  # of a reply
        self._refused_at: float | None = None
        self.node = False  # another node of ours is at its end

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.raw = cast(asyncio.Transport, transport)
        peer = self.raw.get_extra_info("peername")
        self.address = self.client = str(peer[0]) if isinstance(peer, list | tuple) else str(peer)
        self.counted = not self._desk.proxies.trust(self.address)
        error = self._desk.admit(self)
        if error is None:
            self._head_since = asyncio.get_running_loop().time()
            super().connection_made(transport)
        elif self._desk.refused(self):
            self._refuse(error)
        else:
            self.raw.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._refused_at is not None:
            return
        self._came += len(data)
        if self._in_head and not self._within_head(data):
            self._desk.count("head_too_large", self.client)
            words = f"request line and headers together hold at most {self._desk.bounds.head} bytes (max_head)"
            self._refuse(GatewayError(Code.HEAD_TOO_LARGE, words))
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol; also called with the 101, when somebody else has the transport."""
        self._desk.left(self, upgraded=not self.raw.is_closing())
        super().connection_lost(exc)

    # --- from the middleware ---

    def begin(self, request: web.BaseRequest) -> None:
        """The head of `request` is here, and it is being answered."""
        self._request, self._answered = request, False
        self._head_since = self._flow = None
        self._head, self._tail, self._ended = 0, b"", False
        self.client = request.remote or self.address

    def end(self) -> None:
        """There is an answer; what is left of the body is read and dropped by aiohttp."""
        self._answered, self._flow = True, None

    def check(self, request: web.Request) -> None:
        """Refuse one more websocket to a client behind a proxy of ours, if it has its number (429)."""
        if not self.counted and not self.node and "Upgrade" in request.headers and self._desk.full_for(self.client):
            words = "too many websockets from your address (max_connections_per_address)"
            raise GatewayError(Code.TOO_MANY_CONNECTIONS, words, retry_after=5)

    def vouched(self) -> None:
        """Another node of ours is at its end: it has counted its client itself."""
        if not self.node:
            self.node = True
            self._desk.vouched(self)

    # --- within ---

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What aiohttp refuses or fails at itself, in our words: its own repeat what was sent, maybe a secret."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500:
            self.logger.error("aiohttp could not answer", exc_info=exc)
            error = GatewayError(Code.INTERNAL, "a fault in the gateway; its log has more")
        elif isinstance(exc, LineTooLong) or (message or "").startswith("Too many headers"):
            error = GatewayError(Code.HEAD_TOO_LARGE, "a line is too long (max_line), or there are too many headers")
        else:
            error = GatewayError(Code.BAD_REQUEST, "this is not HTTP/1.1 as RFC 9112 has it")
        self._desk.refusals[error.code.word] += 1
        response = web.Response(body=body(error), status=error.code.status, content_type="application/json")
        response.headers.update(HEADERS)
        response.headers["Server"] = SERVER
        response.force_close()
        return response

    def log_exception(self, *args: Any, **more: Any) -> None:
        """aiohttp meets what ended a slow body once more when it drops the rest of it: that is no fault."""
        if not isinstance(more.get("exc_info"), GatewayError):
            super().log_exception(*args, **more)

    def look(self, now: float, bounds: Bounds) -> str | None:
        """Cut it off if it is too slow; why, or None."""
        if self._refused_at is not None:
            if now - self._refused_at > 2 * LINGER:
                self.raw.abort()  # it reads nothing, so that even this waits
            elif now - self._refused_at > LINGER:
                self.raw.close()
            return None
        if self.raw.is_closing():
            return None
        if self.raw.get_write_buffer_size() > 0:
            return self._look_at_reply(now, bounds)
        self._sent = None
        if self._request is not None and not self._answered:
            return self._look_at_body(self._request, now, bounds)
        if self._head_since is not None and now - self._head_since > bounds.head_time:
            if not self._head:  # a web browser that connected ahead would take our words for its next answer
                self.force_close()
                return "no_request"
            self._refuse(GatewayError(Code.REQUEST_TIMEOUT, f"no whole request within {bounds.head_time:g} s"))
            return "slow_head"
        return None

    def _look_at_reply(self, now: float, bounds: Bounds) -> str | None:
        gone = acked(self.raw)
        if gone is None:
            return None
        if self._sent is None or gone - self._sent.amount >= SLOWEST * (now - self._sent.since):
            if self._sent is None or now - self._sent.since > bounds.stall_time:
                self._sent = Flow(gone, now)
        elif now - self._sent.since > bounds.stall_time:
            self.raw.abort()
            return "reply_not_read"
        return None

    def _look_at_body(self, request: web.BaseRequest, now: float, bounds: Bounds) -> str | None:
        if request.content.is_eof() or not self.raw.is_reading():  # it is whole, or we are the slow ones
            self._flow = None
        elif self._flow is None:
            self._flow = Flow(self._came, now)
        elif now - self._flow.since > bounds.stall_time:
            if self._came - self._flow.amount >= SLOWEST * (now - self._flow.since):
                self._flow = Flow(self._came, now)
            elif request.content.exception() is None:
                # Who reads the body fails with it, which the middleware turns into an answer.
                words = "the body comes too slowly"
                request.content.set_exception(GatewayError(Code.REQUEST_TIMEOUT, words))
                self._flow = Flow(self._came, now)
                return "slow_body"
            else:
                self.raw.abort()
        return None

    @property
    def _in_head(self) -> bool:
        """Between two requests, as far as bytes go."""
        return not self._ended and (self._request is None or (self._answered and self._request.content.is_eof()))

    def _within_head(self, data: bytes) -> bool:
        """Follow a head; whether it is within its bound."""
        if not self._head and self._head_since is None:
            self._head_since = asyncio.get_running_loop().time()
        if not self._tail:  # empty lines before a request are skipped (RFC 9112 section 2.2)
            size = len(data)
            data = data.lstrip(b"\r\n")
            self._head += size - len(data)
        joined = self._tail + data
        at = joined.find(END)
        if at >= 0:
            size = self._head - len(self._tail) + at + len(END)
            self._head, self._tail, self._ended, self._head_since = 0, b"", True, None
            return size <= self._desk.bounds.head
        self._head += len(data)
        self._tail = joined[-3:]
        return self._head <= self._desk.bounds.head

    def _refuse(self, error: GatewayError) -> None:
        """Say why and end it; what the client still sends is not looked at."""
        self._refused_at = asyncio.get_running_loop().time()
        text = body(error)
        lines = [
            f"HTTP/1.1 {error.code.status} {error.code.word}",
            *(f"{name}: {value}" for name, value in HEADERS.items()),
            "Content-Type: application/json",
            f"Content-Length: {len(text)}",
            "Connection: close",
        ]
        if error.retry_after is not None:
            lines.append(f"Retry-After: {error.retry_after}")
        self.raw.write("\r\n".join((*lines, "", "")).encode() + text)


def body(error: GatewayError) -> bytes:
    """A refusal that comes before there is a request."""
    return json.dumps({"error": {"code": error.code.word, "message": error.message}, "requestId": ""}).encode()


@web.middleware
async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: lets a connection know that it is in a request, and whose."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return await handler(request)
    connection.begin(request)
    try:
        return await handler(request)
    finally:
        connection.end()
