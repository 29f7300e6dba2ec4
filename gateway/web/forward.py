"""Requests for what another node has: recognised, forwarded over one hop, and answered there for good.

A handler that raises `Elsewhere` says which node is to answer. There the request is known by its signed header
(`cluster/hop.py`): it counts as its client's own, is never forwarded again, and is 421 when that node is not the one;
then the first node asks its handler again.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from aiohttp import web

from browser_pool.tasks import Start, crew, to_the_end
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.hop import Asked, Hop, Hops, digest, within
from gateway.errors import CloseCode, Code, Farewell, GatewayError
from gateway.records import SessionId
from gateway.tenancy.capability import Capabilities, Claim
from gateway.web.arrival import HOP
from gateway.web.door import NUMBER, credential
from gateway.web.forward_http import CONNECT, Misdirected, OwnerUnreachable, Roads, Sent, Unrepeatable
from gateway.web.forward_socket import dialled, refused, upgrade_head
from gateway.web.forwarded_counts import Forwarded, Kind
from gateway.web.splice import GONE, Splice, splice
from gateway.web.under_way import UnderWay

log = structlog.get_logger()
FORWARDED = web.RequestKey("forwarded", str)  # the node that has answered it, and has counted and audited it
TRIES = 3
PATIENCE = 5.0  # seconds at the end of all for websockets that are still saying goodbye
RETRY = 2  # seconds, for a client whose session's node does not answer
STOPPING = Farewell(CloseCode.DRAINING, "the gateway is stopping: reconnect")


class Peers(Protocol):
    """What is asked of the fleet here (`cluster/cluster.py`)."""

    @property
    def name(self) -> str | None:
        """This node's."""

    def named_by(self, tag: str) -> str | None:
        """The live node with that tag (`tenancy/capability.py`)."""

    def gone(self, name: str) -> asyncio.Event:
        """Set when the node of that name has died or left."""

    async def release(self, lease: Lease) -> None:
        """See cluster/fleet.py."""


class Forwards:
    """All requests that other nodes answer, and those of other nodes that are answered here. Made by `forwarding`.

    `here` says whether a session runs on this node.
    """

    def __init__(
        self,
        peers: Peers,
        hops: Hops,
        capabilities: Capabilities,
        here: Callable[[SessionId], bool],
        roads: Roads,
        start: Start,
        watch: Start,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.hops = hops
        self.counted = Forwarded(lambda: len(self._splices))
        self._peers = peers
        self._capabilities = capabilities
        self._here = here
        self._roads = roads
        self._start = start
        self._tls = tls
        self._splices: set[Splice] = set()
        self._under_way = UnderWay(peers.gone, watch, self.died)

    @property
    def name(self) -> str:
        """This node's."""
        return self._peers.name or ""

    @property
    def open(self) -> int:
        """Websockets that are forwarded now."""
        return len(self._splices)

    @property
    def under_way(self) -> int:
        """Requests that other nodes have not answered yet."""
        return len(self._under_way)

    def died(self, node: str) -> None:
        """That node is gone: its websockets are closed (1012), and requests that it was answering fail."""
        for spliced in self._splices:
            if spliced.node == node:
                spliced.end(GONE)
        self._under_way.end(node)

    def close_all(self) -> None:
        """This node stops: all forwarded websockets are closed (1001)."""
        for spliced in self._splices:
            spliced.end(STOPPING)

    async def answered(
        self, request: web.Request, handle: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What `handle` answers, or the node that it says.

        Raises Elsewhere to be answered 421, for a request that came over a hop; and GatewayError NODE_UNREACHABLE.
        """
        hop = request.get(HOP)
        if hop is not None:
            return await self._finally(hop, handle)
        if (hint := self._hinted(request)) is not None:
            response = await self._by_hint(request, *hint)
            if response is not None:
                return response
        for _ in range(TRIES):
            try:
                return await handle()
            except Elsewhere as elsewhere:
                node, grant = elsewhere.node, elsewhere.grant
            try:
                return await self._forward(request, node, grant)
            except Misdirected:
                log.info("forward_misdirected", node=node)
        words = "the session is moving from node to node: try again"
        raise GatewayError(Code.STORE_UNAVAILABLE, words, retry_after=1)

    async def ask(
        self, node: str, method: str, path: str, *, tenant: str, body: bytes = b"", grant: Lease | None = None
    ) -> tuple[int, bytes]:
        """An internal route of another node, in the name of a tenant: status and body.

        `path` with its query. Raises NODE_UNREACHABLE, when a `grant` that did not get there is released.
        """
        hop = Hop(self.name, "", "http", "localhost", "", grant, tenant, digest(body))
        header = self.hops.signed(hop, node, Asked(method, path))
        try:
            async with self._under_way.at(node):
                return await self._roads.ask(method, node, path, header, body)
        except OwnerUnreachable as error:
            if grant is not None and not error.sent:
                await to_the_end(self._peers.release(grant))
            raise unreachable(node, error.sent) from error

    async def look(self, request: web.Request, node: str) -> tuple[int, bytes]:
        """What another node answers to the same GET for what it has itself. Raises NODE_UNREACHABLE."""
        header = self.hops.signed(self._hop(request), node, Asked("GET", request.rel_url.raw_path_qs))
        try:
            async with self._under_way.at(node):
                return await self._roads.look(request, node, header)
        except OwnerUnreachable as error:
            raise unreachable(node, error.sent) from error

    # --- within ---

    async def _finally(self, hop: Hop, handle: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """Answer here; a place that was granted for it and not used goes back."""
        with within(hop):
            try:
                if hop.only is not None and not self._here(hop.only):
                    raise Elsewhere("")  # who asked can find out, and wake it, as well as we
                return await handle()
            except Elsewhere as elsewhere:
                if elsewhere.grant is not None:
                    await to_the_end(self._peers.release(elsewhere.grant))
                raise
            finally:
                if (lease := hop.take()) is not None:
                    await to_the_end(self._peers.release(lease))

    def _hinted(self, request: web.Request) -> tuple[str, SessionId] | None:
        """Where a capability says that its session is, if that is another node that is there, and the session."""
        if request.method not in ("GET", "HEAD", "DELETE") or request.body_exists:
            return None
        key = request.match_info.get("key", "")
        given = key if "." in key else credential(request)
        claim: Claim | None = None if given is None else self._capabilities.read(given, time.time())
        if claim is None or claim.hint is None or claim.session is None or self._here(claim.session):
            return None
        node = self._peers.named_by(claim.hint)
        return None if node is None or node == self._peers.name else (node, claim.session)

    async def _by_hint(self, request: web.Request, node: str, session: SessionId) -> web.StreamResponse | None:
        """The answer of the node that a hint says; None if it is not the one any more."""
        sent = Sent()
        try:
            return await self._over(request, node, self._hop(request, only=session), sent)
        except Misdirected:
            return None
        except OwnerUnreachable as error:
            if sent.head:
                _refuse_unless_repeatable(request, node, error)
            return None

    async def _forward(self, request: web.Request, node: str, grant: Lease | None) -> web.StreamResponse:
        """The other node's answer. What it was granted and never heard of goes back."""
        sent = Sent()
        try:
            return await self._over(request, node, self._hop(request, grant), sent)
        except OwnerUnreachable as error:
            _refuse_unless_repeatable(request, node, error)
            raise Misdirected from error
        except Unrepeatable:
            words = "what was sent went to a node that does not have the session any more: send it again"
            raise GatewayError(Code.NODE_UNREACHABLE, words, retry_after=RETRY) from None
        finally:
            if grant is not None and not sent.head:
                await to_the_end(self._peers.release(grant))

    async def _over(self, request: web.Request, node: str, hop: Hop, sent: Sent) -> web.StreamResponse:
        """Over the hop. Raises OwnerUnreachable, Misdirected, Unrepeatable."""
        self._under_way.follow(node)
        header = self.hops.signed(hop, node, Asked(request.method, request.rel_url.raw_path_qs))
        socket = request.headers.get("Upgrade", "").lower() == "websocket"
        began = time.monotonic()
        kind: Kind = "websocket" if socket else "http"
        try:
            if socket:
                response = await self._socket(request, node, header, sent)
            else:
                async with self._under_way.at(node):
                    response = await self._roads.forward(request, node, header, sent)
        except OwnerUnreachable as error:
            sent.head = sent.head and error.sent
            self.counted.failed += 1
            log.warning("node_unreachable", node=node, why=str(error), sent=sent.head)
            raise
        except asyncio.CancelledError:  # the client has gone
            if sent.head:
                request[FORWARDED] = node
            raise
        self.counted.add(kind, time.monotonic() - began)
        request[FORWARDED] = node
        return response

    async def _socket(self, request: web.Request, node: str, header: str, sent: Sent) -> web.StreamResponse:
        owner = await dialled(node, CONNECT, self._tls)
        try:
            async with self._under_way.at(node):
                sent.head = True
                owner.transport.write(upgrade_head(request, header))
                head = await owner.head
                if head is None:
                    raise OwnerUnreachable("it broke the connection off")
                if head.status != 101:
                    return await refused(head, owner)
            spliced = splice(request, node, head, owner)
        except BaseException:  # a cancel too: nobody else knows of this connection
            owner.abort()
            raise
        self._splices.add(spliced)
        self._start(self._run(spliced), "forwarded")
        return web.Response(status=101)

    async def _run(self, spliced: Splice) -> None:
        try:
            await spliced.run()
        except Exception:  # the outer edge of a connection's task: a defect in one must not end the others
            log.exception("forward_fault")
        finally:
            self._splices.discard(spliced)
            log.info("forwarded_client_gone", node=spliced.node)

    def _hop(self, request: web.Request, grant: Lease | None = None, *, only: SessionId | None = None) -> Hop:
        number = request.get(NUMBER, "")
        client, scheme, host = request.remote or "", request.scheme, request.host
        return Hop(self.name, client, scheme, host, number, grant, only=only)


@asynccontextmanager
async def forwarding(
    peers: Peers,
    hops: Hops,
    capabilities: Capabilities,
    here: Callable[[SessionId], bool],
    *,
    tls: ssl.SSLContext | None = None,
    patience: float = PATIENCE,
) -> AsyncIterator[Forwards]:
    """Forward while the block lasts. At its end websockets are closed (1001), and cut after `patience` seconds.

    `tls` judges the certificates of nodes whose names begin with https; None: by the authorities of this machine.
    """
    roads = Roads(tls)
    try:
        async with crew(patience) as start, crew(0) as watch:
            forwards = Forwards(peers, hops, capabilities, here, roads, start, watch, tls)
            try:
                yield forwards
            finally:
                forwards.close_all()
    finally:
        await roads.close()


def _refuse_unless_repeatable(request: web.Request, node: str, error: OwnerUnreachable) -> None:
    """Raise for a request that a node did not answer, unless that is dead and another may be asked the same."""
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the answer broke off, or the client has gone") from error
    if not error.gone or request.method not in ("GET", "HEAD"):
        raise unreachable(node, error.sent) from error


def unreachable(node: str, sent: bool) -> GatewayError:
    """Its address is for the log alone."""
    words = "the node that has the session went away while it answered: see whether it was done, or try again"
    if not sent:
        words = "the node that has the session cannot be reached: try again"
    return GatewayError(Code.NODE_UNREACHABLE, words, retry_after=RETRY)
