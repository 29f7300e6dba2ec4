"""What other nodes are being asked, and its end when one of them dies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from browser_pool.tasks import Start
from gateway.web.forward_http import OwnerUnreachable


class UnderWay:
    """Requests to other nodes that are not answered yet. `gone` has the event of a node's death, which calls `died`."""

    def __init__(self, gone: Callable[[str], asyncio.Event], watch: Start, died: Callable[[str], None]) -> None:
        self._gone = gone
        self._watch = watch
        self._died = died
        self._watched: set[str] = set()
        self._asked: dict[str, set[asyncio.Timeout]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._asked.values()))

    @asynccontextmanager
    async def at(self, node: str) -> AsyncIterator[None]:
        """A request to `node`, which fails as soon as that is known to be gone. Raises OwnerUnreachable."""
        try:
            async with asyncio.timeout(None) as limit:
                asked = self._asked.setdefault(node, set())
                asked.add(limit)
                try:
                    yield
                finally:
                    asked.discard(limit)
                    if not asked and self._asked.get(node) is asked:
                        del self._asked[node]
        except TimeoutError:
            if not limit.expired():
                raise
            raise OwnerUnreachable("it is gone", gone=True) from None

    def end(self, node: str) -> None:
        """That node is gone: what it was asked fails now."""
        for limit in self._asked.get(node, ()):
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())

    def follow(self, node: str) -> None:
        """See to it that its death is noticed."""
        if node not in self._watched:
            self._watched.add(node)
            self._watch(self._until_gone(node), f"forwards-{node}")

    async def _until_gone(self, node: str) -> None:
        try:
            await self._gone(node).wait()
        finally:
            self._watched.discard(node)
        self._died(node)
