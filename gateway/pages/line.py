"""Who is next: requests of one kind, in order of arrival, some at once, a bounded number waiting."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.errors import Code, GatewayError

WEIGHT = 0.2  # of the last request among those that the pace is made of
LONGEST = 60  # seconds that a client is told to wait at most


class Line:
    """`most` at once; others wait `patience` seconds at most, unless it is `full`."""

    def __init__(self, most: int, patience: float, full: Callable[[], bool] = lambda: False) -> None:
        self._most = most
        self._full = full
        self._patience = patience
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pace: float | None = None  # seconds that a request takes, lately
        self.working = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def empty(self) -> bool:
        """Nobody works or waits."""
        return not self.working and not self._waiting

    @asynccontextmanager
    async def turn(self, *, full: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn, unless it is `full` for this one; it lasts for the block. A cancel leaves the line.

        Raises TOO_MANY_SESSIONS (429).
        """
        await self._take(full)
        began = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            took = asyncio.get_running_loop().time() - began
            self._pace = took if self._pace is None else self._pace + WEIGHT * (took - self._pace)
            self._give()

    async def _take(self, full: bool) -> None:
        if self.working < self._most:
            self.working += 1
            return
        if full or self._full():
            raise self._refusal("as many wait as may")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give()  # it came in the very moment of giving up
            else:
                with suppress(ValueError):  # who gave its turn on has passed it over
                    self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refusal(f"none began within {self._patience:g} s") from None
            raise

    def _give(self) -> None:
        """The turn goes on to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.working -= 1

    def _refusal(self, why: str) -> GatewayError:
        wait = 5 if self._pace is None else math.ceil(self._pace * (len(self._waiting) + 1) / self._most)
        return GatewayError(
            Code.TOO_MANY_SESSIONS,
            f"too many page requests of this tenant at once: {why}",
            retry_after=max(1, min(wait, LONGEST)),
        )
