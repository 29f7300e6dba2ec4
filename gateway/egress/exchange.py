"""One connection of a browser to its road: requests and tunnels, one after the other, until either side is done."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from browser_pool.tasks import running
from gateway.egress import refusal
from gateway.egress.address import written
from gateway.egress.channel import Channel, Gone, spliced
from gateway.egress.domains import Domain, Domains
from gateway.egress.idle import Idle
from gateway.egress.message import BadMessage, Framing, Request, Response, request, response
from gateway.egress.refusal import Refused
from gateway.egress.upstream import Road, refused_by

BETWEEN_REQUESTS = 300.0  # seconds that an open connection may be silent; Chromium closes its own after as long
HEAD_TIMEOUT = 30.0  # seconds from a request's first byte to the end of its head
ANSWER_TIMEOUT = 300.0  # seconds for a server to begin its answer
LINGER = 5.0  # seconds for a browser to take what it is told last
REFUSING = (403, 429)  # statuses that make a wave for the breaker
FAILURES = ("not-resolved", "not-reached", "timed-out", "broken-off")  # rules that do, too
# What the network did, not a rule: told as the network would. A page's fetch fails, a driver's goto raises, as they
# would without us; an answer that the server never gave would be taken for its own.
UNTOLD = (*FAILURES, "bad-response")


@dataclass(frozen=True, slots=True)
class Way:
    """What holds for a browser. `told` gets the rule and the domain of the first refusal of each kind."""

    road: Road
    domains: Domains
    idle: Idle
    told: Callable[[str, str], None]


class Broken(Exception):
    """An answer broke off in the middle."""


class Exchange:
    """A client's connection; `way` gives None while the browser is nobody's."""

    def __init__(self, client: Channel, way: Callable[[], Awaitable[Way | None]]) -> None:
        self._client = client
        self._way = way

    async def run(self) -> None:
        """Serve it until it ends."""
        try:
            while await self._next():
                pass
            self._client.close()
        except Gone:
            self._client.close()
        except TimeoutError:  # nothing was asked, or nothing in time
            self._client.close()
        except Broken:  # the browser must not take it for whole
            self._client.abort()
        except BaseException:  # cancelled: the browser or the road is gone
            self._client.abort()
            raise

    async def _next(self) -> bool:
        """One request; False if the connection is done."""
        client = self._client
        async with asyncio.timeout(BETWEEN_REQUESTS):
            while not client.buffer:
                await client.more()
        try:
            async with asyncio.timeout(HEAD_TIMEOUT):
                asked = request(await client.head())
        except BadMessage as error:
            refused = Refused("bad-request", status=error.status, why=str(error))
            return await self._tell(refused, "the request", persistent=False)
        place = written(asked.host, asked.port)
        way = await self._way()
        # Behind a CONNECT the client may have sent what was meant for the tunnel.
        persistent = asked.persistent and asked.framing is Framing.NONE and not asked.tunnel
        if way is None:
            return await self._tell(Refused("not-assigned"), place, persistent=persistent)
        domain = way.domains.of(written(asked.host))
        try:
            way.road.judge(asked.host, asked.port)
            await way.domains.admitted(domain)
            async with way.domains.connection(domain):
                work = self._tunnel if asked.tunnel else self._forward
                return await work(asked, way, domain)
        except Refused as refused:
            if way.domains.refused(refused.rule, domain.name) and refused.rule not in UNTOLD:
                way.told(refused.rule, domain.name)
            if refused.rule in FAILURES:
                self._outcome(way, domain, failed=True)
            else:
                domain.breaker.release()
            if refused.rule in UNTOLD and not asked.tunnel:
                return False
            return await self._tell(refused, place, persistent=persistent)

    async def _tell(self, refused: Refused, place: str, *, persistent: bool) -> bool:
        self._client.write(refusal.page(refused, place, persistent=persistent))
        await self._client.drained()
        if not persistent:
            self._client.finish()
            # A connection that is closed with bytes unread is reset, and the answer with it.
            async with asyncio.timeout(LINGER):
                while not self._client.ended:
                    self._client.buffer.clear()
                    await self._client.more()
        return persistent

    def _outcome(self, way: Way, domain: Domain, *, failed: bool) -> None:
        if way.domains.outcome(domain, failed=failed):
            way.told("circuit-open", domain.name)

    async def _tunnel(self, asked: Request, way: Way, domain: Domain) -> bool:
        client = self._client
        with client.watched(_canceller()):
            server = await way.road.tunnel(asked.host, asked.port)
        try:
            server.meter = domain
            client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            sent = domain.bytes_out
            await spliced(client, server, lambda: self._outcome(way, domain, failed=False))
            if not server.received and domain.bytes_out > sent:
                # Asked, and hung up without a word: what a refusal looks like from outside of TLS.
                self._outcome(way, domain, failed=True)
            elif not server.received:
                domain.breaker.release()  # opened for later, and not used
        finally:
            server.close()
        return False

    async def _forward(self, asked: Request, way: Way, domain: Domain) -> bool:
        with self._client.watched(_canceller()):
            while True:
                server = way.idle.take((asked.host, asked.port)) if asked.repeatable else None
                fresh = server is None
                if server is None:
                    server = await way.road.plain(asked.host, asked.port)
                    server.meter = domain
                try:
                    return await self._asked(asked, server, way, domain)
                except Gone:
                    if fresh:
                        raise Refused("broken-off") from None
                    # The server had closed it in the same moment: the next one is asked, at last a new one.
                except TimeoutError:
                    raise Refused("timed-out") from None
                except BadMessage as error:
                    raise Refused("bad-response", why=f"its answer was no proper HTTP: {error}") from error
                finally:
                    if not server.resting:
                        server.abort()

    async def _asked(self, asked: Request, server: Channel, way: Way, domain: Domain) -> bool:
        """Send the request, pass the answer on; whether the client's connection goes on.

        Raises Gone, TimeoutError, BadMessage and Refused before the client was told anything, Broken after that.
        """
        absolute, more = way.road.form(asked.host, asked.port)
        server.write(asked.head(absolute=absolute, more=more))
        sent = asyncio.Event()
        async with AsyncExitStack() as stack:
            if asked.framing is Framing.NONE:
                sent.set()
            else:
                await stack.enter_async_context(running(self._upload(asked, server, sent), "egress-upload"))
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await self._head(asked, server)
            if absolute and answer.status == 407:
                raise refused_by(answer.status)
            self._outcome(way, domain, failed=answer.status in REFUSING)
            try:
                if answer.status == 101:
                    self._client.write(answer.head(persistent=True))
                    await spliced(self._client, server, lambda: None)
                    return False
                goes_on = asked.persistent and answer.framing is not Framing.CLOSE and sent.is_set()
                await server.body(answer.framing, answer.length, self._client, answer.head(persistent=goes_on))
            except (Gone, BadMessage) as error:
                raise Broken from error
            if answer.persistent and sent.is_set():
                way.idle.put((asked.host, asked.port), server)
            return goes_on

    async def _head(self, asked: Request, server: Channel) -> Response:
        """The head of the last answer; those before it (1xx) are passed on."""
        while (answer := response(await server.head(), asked.method)).interim:
            self._client.write(answer.head(persistent=True))
        if answer.status == 101 and (asked.upgrade is None or answer.upgrade is None):
            raise BadMessage("it changed to a protocol that was not asked for")
        return answer

    async def _upload(self, asked: Request, server: Channel, sent: asyncio.Event) -> None:
        try:
            await self._client.body(asked.framing, asked.length, server)
        except Gone:
            return  # the server has heard enough, or the client is gone, and with it this exchange
        except BadMessage:
            server.abort()  # half a request is none
            return
        sent.set()


def _canceller() -> Callable[[], None]:
    """Ends the exchange: nobody waits for the answer any more."""
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        task.cancel()

    return cancel
