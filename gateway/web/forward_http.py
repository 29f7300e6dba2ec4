"""A plain request that another node answers: passed on and back in pieces, so that its size does not matter."""

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.cluster.hop import HEADER, OWNER, REFUSED
from gateway.web.keepalive import kept_alive

CONNECT = 2.0  # seconds to connect to another node
IDLE = 15.0  # seconds that a connection is kept for the next request; the other node keeps it for longer
PIECE = 256 << 10  # bytes read at once
# RFC 9110 section 7.6.1: for the next hop alone. `Expect` was answered when the body began to come.
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate te trailer transfer-encoding upgrade expect".split()
) | {HEADER.lower(), OWNER.lower()}


class OwnerUnreachable(Exception):
    """The other node did not answer. `sent` if it may have got the request, `gone` if that node is known to be dead."""

    def __init__(self, words: str, *, sent: bool = True, gone: bool = False) -> None:
        super().__init__(words)
        self.sent = sent
        self.gone = gone


class Misdirected(Exception):
    """The other node says that it is not the one (421)."""


class Unrepeatable(Exception):
    """The body went to the other node, which broke off or was not the one: it cannot be sent again."""


@dataclass(slots=True)
class Sent:
    """How far a request came: `head` once the other node may know of it."""

    head: bool = False


def onward(headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> CIMultiDict[str]:
    """Headers without those that are for one hop."""
    named = {token.strip().lower() for line in headers.getall("Connection", ()) for token in line.split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP and k.lower() not in named)


def judge(status: int, headers: Mapping[str, str]) -> None:
    """Whether it is the answer to the client's request. Raises Misdirected, and OwnerUnreachable for a refused hop."""
    if status == 421 and OWNER in headers:
        raise Misdirected
    if status == 403 and headers.get(HEADER) == REFUSED:
        raise OwnerUnreachable("it refused the hop: do cluster_key, node_address and clocks agree?", sent=False)


class Roads:
    """Connections to other nodes, kept for the next request. `tls`: how certificates are judged; None: as usual."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        told = aiohttp.TraceConfig()

        async def headers_sent(session: object, context: SimpleNamespace, params: object) -> None:
            if isinstance(context.trace_request_ctx, Sent):
                context.trace_request_ctx.head = True

        told.on_request_headers_sent.append(headers_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls or True, keepalive_timeout=IDLE, socket_factory=kept_alive),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=2 * CONNECT, sock_connect=CONNECT),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trace_configs=[told],
            read_bufsize=PIECE,
            trust_env=False,
            max_line_size=64 << 10,
            max_field_size=64 << 10,
        )

    async def close(self) -> None:
        """Let all connections go."""
        await self._session.close()

    async def ask(self, method: str, node: str, path: str, header: str, body: bytes = b"") -> tuple[int, bytes]:
        """What the nodes ask of each other: status and body. Raises OwnerUnreachable."""
        headers = {HEADER: header, "Host": "localhost", "Content-Type": "application/json"}
        sent = Sent()
        try:
            async with self._session.request(
                method, URL(node + path, encoded=True), headers=headers, data=body, trace_request_ctx=sent
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OwnerUnreachable(type(error).__name__, sent=sent.head) from error

    async def look(self, request: web.Request, node: str, header: str) -> tuple[int, bytes]:
        """The answer of another node to the same GET. Raises OwnerUnreachable."""
        headers = onward(request.headers)
        headers[HEADER] = header
        headers.popall("Content-Length", None)
        headers["Accept-Encoding"] = "identity"
        sent = Sent()
        try:
            async with self._session.get(
                URL(node + request.rel_url.raw_path_qs, encoded=True), headers=headers, trace_request_ctx=sent
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OwnerUnreachable(type(error).__name__, sent=sent.head) from error

    async def forward(self, request: web.Request, node: str, header: str, sent: Sent) -> web.StreamResponse:
        """The other node's answer, as it comes.

        Raises OwnerUnreachable, Misdirected (421: ask again), and Unrepeatable where the body is gone with it. The
        client's connection is cut when the answer breaks off.
        """
        headers = onward(request.headers)
        headers[HEADER] = header
        body = _Body(request, headers)
        try:
            async with self._session.request(
                request.method,
                URL(node + request.rel_url.raw_path_qs, encoded=True),
                headers=headers,
                data=body.data,
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as answer:
                try:
                    judge(answer.status, answer.headers)
                except Misdirected:
                    if body.begun:
                        raise Unrepeatable from None
                    raise
                return await _passed_on(request, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            if body.failure is not None:  # the client's side: too slow, or gone
                raise body.failure from None
            raise OwnerUnreachable(type(error).__name__, sent=sent.head) from error


class _Body:
    """The client's body: what a handler has read is kept by aiohttp, and sent again; else it is sent as it comes."""

    def __init__(self, request: web.Request, headers: CIMultiDict[str]) -> None:
        self.begun = False
        self.failure: BaseException | None = None
        self.data: bytes | AsyncIterator[bytes] | None = None
        content = request.content
        read: bytes | None = request._read_bytes  # there is no other way to know whether a handler has read it
        whole = read is not None
        if whole or "Content-Encoding" in headers:  # aiohttp has unpacked it
            headers.popall("Content-Length", None)
            headers.popall("Content-Encoding", None)
        if read:
            self.data = read
        elif not whole and request.body_exists:
            if getattr(content, "_cursor", 0):  # a handler has read a part of it and thrown that away
                raise Unrepeatable
            self.data = self._pieces(content)
        else:
            headers.popall("Content-Length", None)
            if request.method in ("POST", "PUT", "PATCH"):
                self.data = b""

    async def _pieces(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        self.begun = True
        try:
            async for piece in content.iter_any():
                yield piece
        except Exception as error:  # whatever it was: aiohttp would say only that it could not send
            self.failure = error
            raise


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=onward(answer.headers))
    bodiless = request.method == "HEAD" or answer.status in (204, 304)
    if not bodiless and "Content-Length" not in answer.headers:
        response.enable_chunked_encoding() if request.version >= (1, 1) else response.force_close()
    await response.prepare(request)
    try:
        if not bodiless:
            async for piece in answer.content.iter_any():
                await response.write(piece)
    except BaseException:  # in the middle of an answer only an end of the connection says that it is none
        if request.transport is not None:
            request.transport.abort()
        raise
    await response.write_eof()
    return response
