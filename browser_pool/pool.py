"""`async with pool.lease(spec) as browser:` is the only way to a browser.

Every browser has a directory of its own under the pool's root. Some are launched ahead (`warm.py`). Launches
are paced, so that a burst does not starve the browsers that already run, and none begins that the memory
would not bear.
"""

import asyncio
import os
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Self

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, Fill, launched
from browser_pool.errors import NoRoom
from browser_pool.memory import Memory, memory
from browser_pool.process import become_subreaper, processes_of
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import LaunchSpec
from browser_pool.warm import WarmSet

LAUNCHES_PER_CORE = 2


class BrowserPool:
    """All browsers of this process. Enter it once: `async with BrowserPool(root, binaries) as pool`.

    `warm` is the most browsers that are ever launched ahead; `extensions` the operator's directory of extensions;
    `weigh` says what memory there is.
    """

    def __init__(
        self,
        root: Path,
        binaries: Binaries,
        *,
        warm: int = 0,
        extensions: Path | None = None,
        weigh: Callable[[], Memory] = memory,
    ) -> None:
        self.root = root
        self.binaries = binaries
        self.browsers: set[Browser] = set()  # leased ones
        self.leases: Counter[str] = Counter()  # since the start, by where the browser came from: warm or launched
        self.warm = WarmSet(warm, self._launched, self._room)
        self._extensions = extensions
        self._weigh = weigh
        self._starting = 0  # launches that have not taken their memory yet
        self._launches = asyncio.Semaphore(LAUNCHES_PER_CORE * (os.cpu_count() or 1))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        become_subreaper()
        await asyncio.to_thread(self.sweep)
        if self.warm.limit:
            await self._stack.enter_async_context(self.warm.keeping())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self.browsers:
            raise RuntimeError(f"{len(self.browsers)} browsers are still leased")
        await self._stack.aclose()

    @asynccontextmanager
    async def lease(self, spec: LaunchSpec, *, fill: Fill | None = None) -> AsyncIterator[Browser]:
        """A browser for this block alone, ready in a moment if one was launched ahead.

        `fill` puts a saved profile in place, which takes a new process. Raises BrowserFailed, NoRoom among it.
        """
        async with AsyncExitStack() as stack:
            async with self.warm.leasing(spec):
                # A ready one has its memory already: it is handed over whatever is left.
                browser = await self.warm.take(spec, stack) if fill is None else None
                origin = "launched" if browser is None else "warm"
                if browser is None:
                    browser = await stack.enter_async_context(self._launched(spec, fill, self._launches))
                self.leases[origin] += 1
            self.browsers.add(browser)
            stack.callback(self.browsers.discard, browser)
            yield browser

    @property
    def short_of_memory(self) -> bool:
        """Whether a lease of the usual spec would be refused now."""
        return not self.warm.fits(LaunchSpec()) and self._room() + len(self.warm.ready) < 1

    @property
    def ready(self) -> Browser | None:
        """A browser of the usual spec that is nobody's yet: for a look at what all such have in common."""
        return next(iter(self.warm.ready_for(LaunchSpec())), None)

    def sweep(self) -> int:
        """End browsers and remove directories that an earlier process left here; returns how many directories."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = [entry for entry in self.root.iterdir() if entry.is_dir()]
        if left:
            for pid in processes_of(self.root):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for entry in left:
            BrowserDirectory(entry).remove()
        return len(left)

    @asynccontextmanager
    async def _launched(
        self, spec: LaunchSpec, fill: Fill | None = None, turn: asyncio.Semaphore | None = None
    ) -> AsyncIterator[Browser]:
        """A new browser, once it is its `turn`. Raises NoRoom at once if the memory would not bear it."""
        async with AsyncExitStack() as stack:
            self._starting += 1
            try:
                await self._make_room()
                async with turn or nullcontext():
                    place = self.root / secrets.token_hex(6)
                    browser = await stack.enter_async_context(
                        launched(spec, place, self.binaries, fill=fill, extensions=self._extensions)
                    )
            finally:
                self._starting -= 1
            yield browser

    def _room(self) -> int:
        return self._weigh().room(self._starting)

    async def _make_room(self) -> None:
        """Raises NoRoom if the reserve is being used up, after those launched ahead for others have been let go."""
        while self._room() < 0:
            if not await self.warm.shed():
                raise NoRoom(
                    f"this machine has no memory for another browser ({self._weigh().available >> 20} MiB available): "
                    "end sessions, or give it more"
                )
