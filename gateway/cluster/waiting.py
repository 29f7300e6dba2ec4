"""Asking the fleet for a place, and waiting for one's turn in the queue that is one over all nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from browser_pool.tasks import Start, running, to_the_end
from gateway.cluster.placement import Answer, Outcome
from gateway.cluster.scripts import Scripts
from gateway.errors import GatewayError
from gateway.records import SessionId, Tenant
from gateway.store.connection import PREFIX, Connection

log = structlog.get_logger()
ASK_AGAIN = 1.0  # seconds: a word that got lost costs no more
LISTEN_AGAIN = 1.0  # seconds until Redis is asked for messages again, after a failure


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for what; `nonce` is of this request alone."""

    session: SessionId
    tenant: str
    nonce: str
    name: str
    again: bool
    here: bool


class Waiting:
    """Those of this node who ask for a place. `queue_length` of the whole fleet wait, each for `timeout` seconds.

    `ask_again` in seconds: a ticket that is not asked for runs out.
    """

    def __init__(
        self,
        scripts: Scripts,
        start: Start,
        *,
        node: str,
        tenant_of: Callable[[str], Tenant],
        queue_length: int,
        timeout: float,
        ask_again: float,
    ) -> None:
        self._scripts = scripts
        self._start = start
        self._node = node
        self._tenant_of = tenant_of
        self._queue_length = queue_length
        self._timeout = timeout
        self._ask_again = min(ASK_AGAIN, ask_again)
        self._told: dict[SessionId, asyncio.Event] = {}

    @property
    def count(self) -> int:
        """How many ask or wait now."""
        return len(self._told)

    async def __call__(self, wish: Wish, epoch: int) -> Answer:
        """Granted or elsewhere. Raises GatewayError: TOO_MANY_SESSIONS, FORBIDDEN, NAME_IN_USE, STORE_UNAVAILABLE.

        Where it raises anything, no ticket and no lease of the request stays.
        """
        answer: Answer | None = None
        try:
            with self._listed(wish.session) as told:
                async with asyncio.timeout(self._timeout):
                    while True:
                        answer = await self._asked(wish, epoch, answer)
                        if answer.outcome is not Outcome.QUEUED:
                            break
                        await _first(told, self._ask_again)
        except GatewayError:
            # Redis is away: nobody shall wait for it a second time. If it is not told, the ticket runs out.
            self._start(self._withdrawn(wish), f"withdraw-{wish.session}")
            raise
        except TimeoutError:
            await to_the_end(self._withdrawn(wish))
            if answer is None:
                answer = Answer(Outcome.FULL)  # it was asked only once, and took longer than a turn may
            raise answer.refusal(f"and none became free within {self._timeout:g} s") from None
        except BaseException:
            await to_the_end(self._withdrawn(wish))
            raise
        if answer.outcome is Outcome.FULL:
            raise answer.refusal("and the queue for them is full")
        if answer.outcome is Outcome.NAME:
            raise answer.name_in_use(wish.name)
        return answer

    async def listen(self, connection: Connection) -> None:
        """Hear for ever whose turn it is. Without it they ask every ASK_AGAIN seconds."""
        while True:
            try:
                async with connection.listening(f"{PREFIX}turns:{self._node}") as messages:
                    async for session in messages:
                        if (told := self._told.get(SessionId(session.decode("ascii", "replace")))) is not None:
                            told.set()
            except GatewayError:  # the heartbeat says so in the log
                await asyncio.sleep(LISTEN_AGAIN)

    async def _asked(self, wish: Wish, epoch: int, before: Answer | None) -> Answer:
        tenant = self._tenant_of(wish.tenant)  # as it is now
        own = tenant.queue_length
        asked: Mapping[str, Any] = {
            "session": wish.session,
            "tenant": wish.tenant,
            "nonce": wish.nonce,
            "name": wish.name,
            "again": wish.again,
            "here": wish.here,
            "me": self._node,
            "epoch": epoch,
            "most": -1 if tenant.max_sessions is None else tenant.max_sessions,
            "length": self._queue_length,
            "own_length": self._queue_length if own is None else min(own, self._queue_length),
            "turn": None if before is None else before.turn,
        }
        return Answer.read(await self._scripts.read("place", **asked))

    async def _withdrawn(self, wish: Wish) -> None:
        try:
            await self._scripts.run("withdraw", session=wish.session, tenant=wish.tenant, nonce=wish.nonce)
        except GatewayError as error:  # what it has in Redis runs out by itself
            log.info("not_withdrawn", session=wish.session, error=error.message)

    @contextmanager
    def _listed(self, session: SessionId) -> Iterator[asyncio.Event]:
        told = self._told[session] = asyncio.Event()
        try:
            yield told
        finally:
            if self._told.get(session) is told:
                del self._told[session]


@asynccontextmanager
async def listening(waiting: Waiting, connection: Connection) -> AsyncIterator[None]:
    """Hear in this block whose turn it is."""
    async with running(waiting.listen(connection), "turns"):
        yield


async def _first(told: asyncio.Event, seconds: float) -> None:
    """Wait until `told`, or so long."""
    try:
        async with asyncio.timeout(seconds):
            await told.wait()
    except TimeoutError:
        return
    told.clear()
