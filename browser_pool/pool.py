"""`async with pool.lease(spec) as browser:` is the only way to a browser.

Every browser has a directory of its own under the pool's root. Launches are paced, so that a burst does
not starve the browsers that already run.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, Fill, launched
from browser_pool.process import become_subreaper, processes_of
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import LaunchSpec

LAUNCHES_PER_CORE = 2


class BrowserPool:
    """All browsers of this process. Enter it once: `async with BrowserPool(root, binaries) as pool`."""

    def __init__(self, root: Path, binaries: Binaries) -> None:
        self.root = root
        self.binaries = binaries
        self.browsers: set[Browser] = set()
        self._launches = asyncio.Semaphore(LAUNCHES_PER_CORE * (os.cpu_count() or 1))

    async def __aenter__(self) -> "BrowserPool":
        become_subreaper()
        await asyncio.to_thread(self.sweep)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self.browsers:
            raise RuntimeError(f"{len(self.browsers)} browsers are still leased")

    @asynccontextmanager
    async def lease(self, spec: LaunchSpec, *, fill: Fill | None = None) -> AsyncIterator[Browser]:
        """A browser for this block alone. `fill` puts a saved profile in place. Raises BrowserFailed."""
        async with AsyncExitStack() as stack:
            async with self._launches:
                place = self.root / secrets.token_hex(6)
                browser = await stack.enter_async_context(launched(spec, place, self.binaries, fill=fill))
            self.browsers.add(browser)
            stack.callback(self.browsers.discard, browser)
            yield browser

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
