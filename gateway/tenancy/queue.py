"""How many browsers may run at once, and who waits for the next free one. Who is next, `turns.py` says."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from gateway.errors import Code, GatewayError
from gateway.records import Tenant
from gateway.tenancy.turns import Turns, Verdict

PATIENCE = 5  # seconds that a client is told to wait while nobody knows how long it takes
LONGEST = 60  # seconds that it is told at most
WEIGHT = 0.25  # of the last observation among those that the pace is made of


@dataclass(frozen=True, slots=True)
class Share:
    """What a tenant has of the slots; `positions` are the places in the queue of its own that wait, from 1."""

    running: int
    waiting: int
    positions: tuple[int, ...]
    most: int
    most_waiting: int


class Slots:
    """`limit` holders at once; at most `queue_length` wait, each at most `timeout` seconds."""

    def __init__(
        self, limit: int, queue_length: int, timeout: float, tenant_of: Callable[[str], Tenant] = Tenant
    ) -> None:
        self._turns = Turns(limit, queue_length, tenant_of)
        self._timeout = timeout
        self._tickets = itertools.count(1)
        # Done with None when the slot is theirs, with a refusal when their place was given to another.
        self._waiting: dict[int, tuple[str, asyncio.Future[GatewayError | None]]] = {}
        self._given: float | None = None  # when a slot came back last, on the loop's clock
        self._pace: float | None = None  # seconds from one to the next, lately

    @property
    def limit(self) -> int:
        """Slots that there are."""
        return self._turns.limit

    @property
    def queue_length(self) -> int:
        """How many may wait."""
        return self._turns.length

    @property
    def used(self) -> int:
        """Slots that are taken."""
        return self._turns.used

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._turns.waiting()

    def share(self, tenant: str) -> Share:
        """What one tenant has, and may have."""
        turns = self._turns
        return Share(
            turns.running[tenant],
            turns.waiting(tenant),
            turns.positions(tenant),
            turns.most(tenant),
            turns.most_waiting(tenant),
        )

    def tenants(self) -> tuple[str, ...]:
        """Those who have a slot or wait for one."""
        return self._turns.tenants()

    @asynccontextmanager
    async def taken(self, tenant: str, *, again: bool = False) -> AsyncIterator[None]:
        """Hold a slot for the block. `again`: for a session that had one before, which goes before what is new.

        Raises GatewayError: TOO_MANY_SESSIONS (429), FORBIDDEN (403) for a tenant that is no more.
        """
        await self._take(tenant, again)
        try:
            yield
        finally:
            self._give(tenant)

    @contextmanager
    def kept(self, tenant: str) -> Iterator[None]:
        """The slot of a browser that runs already, whatever the limit is now."""
        self._turns.keep(tenant)
        try:
            yield
        finally:
            self._give(tenant)

    def settle(self) -> None:
        """Give what there is to give: also for when the limits have changed."""
        while (ticket := self._turns.next()) is not None:
            tenant, turn = self._waiting[ticket]
            if turn.done():  # it is about to leave
                self._turns.give(tenant)
            else:
                turn.set_result(None)

    async def _take(self, tenant: str, again: bool) -> None:
        ticket = next(self._tickets)
        verdict, displaced = self._turns.ask(tenant, ticket, again=again)
        if verdict is Verdict.GRANTED:
            return
        if verdict is not Verdict.QUEUED:
            raise self._refusal(tenant, "and the queue for them is full")
        turn: asyncio.Future[GatewayError | None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = (tenant, turn)
        if displaced is not None:
            other, place = self._waiting[displaced]
            if not place.done():
                place.set_result(self._refusal(other, "and the queue for them is full"))
        try:
            async with asyncio.timeout(self._timeout):
                refused = await turn
        except BaseException as error:
            if not turn.done() or turn.cancelled():
                self._turns.leave(tenant, ticket)
            elif turn.result() is None:
                self._give(tenant)  # the slot came in the very moment of giving up
            if isinstance(error, TimeoutError):
                raise self._refusal(tenant, f"and none became free within {self._timeout:g} s") from None
            raise
        finally:
            del self._waiting[ticket]
        if refused is not None:
            raise refused

    def _give(self, tenant: str) -> None:
        self._turns.give(tenant)
        now = asyncio.get_running_loop().time()
        if self._given is not None:
            last = now - self._given
            self._pace = last if self._pace is None else self._pace + WEIGHT * (last - self._pace)
        self._given = now
        self.settle()

    def _refusal(self, tenant: str, why: str) -> GatewayError:
        turns = self._turns
        if turns.most(tenant) == 0:
            return GatewayError(Code.FORBIDDEN, "this gateway gives its tenant no browsers any more")
        own = turns.running[tenant] >= turns.most(tenant) < turns.limit
        whose = (
            f"all {turns.most(tenant)} browsers that this tenant may have" if own else "all browsers of this gateway"
        )
        wait = PATIENCE if self._pace is None else math.ceil(self._pace * (turns.waiting(tenant) + 1))
        return GatewayError(Code.TOO_MANY_SESSIONS, f"{whose} are in use {why}", retry_after=max(1, min(wait, LONGEST)))
