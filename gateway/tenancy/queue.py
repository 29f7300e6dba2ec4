"""How many browsers may run at once, and who waits for the next free one: first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from gateway.errors import Code, GatewayError


class Slots:
    """`limit` holders at once; at most `queue_length` wait, each at most `timeout` seconds."""

    def __init__(self, limit: int, queue_length: int, timeout: float) -> None:
        self.limit = limit
        self.used = 0
        self.queue_length = queue_length
        self._timeout = timeout
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot for the block. Raises GatewayError TOO_MANY_SESSIONS (429)."""
        await self._take()
        try:
            yield
        finally:
            self._give()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The slot of a browser that runs already, whatever the limit is now."""
        self.used += 1
        try:
            yield
        finally:
            self._give()

    async def _take(self) -> None:
        if self.used < self.limit and not self._waiting:
            self.used += 1
            return
        if len(self._waiting) >= self.queue_length:
            raise self._refusal("and the queue for them is full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give()  # the slot came in the very moment of giving up
            else:
                with suppress(ValueError):  # passed over already, in the moment between cancel and here
                    self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refusal(f"and none became free within {self._timeout:g} s") from None
            raise

    def _give(self) -> None:
        while self._waiting and self.used <= self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the slot passes on: `used` stays
                return
        self.used -= 1

    def _refusal(self, why: str) -> GatewayError:
        return GatewayError(
            Code.TOO_MANY_SESSIONS, f"all {self.limit} browsers of this gateway are in use {why}", retry_after=5
        )
