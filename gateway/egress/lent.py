"""Roads without a browser, lent to whoever fetches a page by itself, and kept for a while for the next one.

So what is counted, limited and broken off on a road holds from one fetch to the next, as it does for a browser's pages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

from browser_pool.tasks import Start
from gateway.egress.breaker import LONGEST_WAIT
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage

KEPT = LONGEST_WAIT  # seconds after its last use: what is left alone for so long must not be asked on a new road
MOST = 500  # of more, those that nobody uses go, the one that was used longest ago first
Key = tuple[Hashable, Terms]


@dataclass(eq=False)
class Loan:
    """A road that is lent to one at a time or to several. `ready` is its port, on 127.0.0.1."""

    ready: asyncio.Future[int]
    users: int = 0
    until: float = 0.0  # of the event loop's time, while nobody uses it
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: Usage = field(default_factory=Usage)


class Lent:
    """All of a gateway. `led` opens a road with those terms for a block, `usage` is that of the road at a port.

    They are kept by tasks that `start` begins, and closed when these are cancelled.
    """

    def __init__(
        self,
        led: Callable[[Terms], AbstractAsyncContextManager[int]],
        usage: Callable[[int], Awaitable[Usage]],
        start: Start,
    ) -> None:
        self._led = led
        self._usage = usage
        self._start = start
        self._all: dict[Key, Loan] = {}

    @asynccontextmanager
    async def road(self, whose: Hashable, terms: Terms) -> AsyncIterator[Loan]:
        """One road for all that is `whose` with these terms, ready, for this block. Raises what `led` raises."""
        key = (whose, terms)
        loan = self._all.get(key)
        if loan is None:
            self._make_room()
            loan = self._all[key] = Loan(asyncio.get_running_loop().create_future())
            self._start(self._keep(key, loan), "egress-lent")
        loan.users += 1
        try:
            await asyncio.shield(loan.ready)
            yield loan
        finally:
            loan.users -= 1
            loan.until = asyncio.get_running_loop().time() + KEPT
            loan.changed.set()

    async def spent(self, loan: Loan) -> Usage:
        """What it was used for since this was asked last."""
        now = await self._usage(loan.ready.result())
        spent, loan.told = now.since(loan.told), now
        return spent

    def _make_room(self) -> None:
        idle = [(loan.until, key) for key, loan in self._all.items() if not loan.users]
        if len(self._all) >= MOST and idle:
            loan = self._all.pop(min(idle, key=lambda one: one[0])[1])
            loan.until = 0.0
            loan.changed.set()

    async def _keep(self, key: Key, loan: Loan) -> None:
        try:
            async with self._led(key[1]) as port:
                loan.ready.set_result(port)
                await _unused(loan)
                self._forget(key, loan)  # before it is closed, which takes a moment
        except (OSError, ValueError) as error:  # no port, no process, no pattern
            if loan.ready.done():
                raise
            loan.ready.set_exception(error)
            loan.ready.exception()  # there may be nobody any more who waits for it
        finally:
            self._forget(key, loan)
            loan.ready.cancel()

    def _forget(self, key: Key, loan: Loan) -> None:
        if self._all.get(key) is loan:
            del self._all[key]


async def _unused(loan: Loan) -> None:
    """Return once nobody has used it for as long as it is kept."""
    clock = asyncio.get_running_loop().time
    while loan.users or clock() < loan.until:
        loan.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if loan.users else loan.until):
                await loan.changed.wait()
