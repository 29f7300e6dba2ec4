"""Who goes first when many sessions are made at once: their contexts, then the pages that they show."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Precedence:
    """Of one node. Pages that are loaded while other sessions are being made would only make both late."""

    def __init__(self) -> None:
        self._under_way = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @contextmanager
    def preparing(self) -> Iterator[Callable[[], None]]:
        """A session is being made ready, until what this yields is called, or the block ends."""
        over = False
        self._under_way += 1
        self._calm.clear()

        def done() -> None:
            nonlocal over
            if not over:
                over = True
                self._under_way -= 1
                if not self._under_way:
                    self._calm.set()

        try:
            yield done
        finally:
            done()

    async def give_way(self, most: float) -> None:
        """Return when no session is being made ready, or after `most` seconds."""
        try:
            async with asyncio.timeout(most):
                await self._calm.wait()
        except TimeoutError:
            pass  # they have had their chance
