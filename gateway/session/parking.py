"""A session's browser between its clients: parked when nobody needs it, awake the moment somebody does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.errors import BrowserFailed
from browser_pool.park import freeze, thaw
from gateway.errors import GatewayError
from gateway.snapshot.periodic import Checkpoints

log = structlog.get_logger()
Begin = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Parking:
    """Of one browser. Before it is parked it is saved, if it has `checkpoints`, which pause until it is awake."""

    def __init__(self, browser: Browser, checkpoints: Checkpoints | None) -> None:
        self.parked = False
        self._browser = browser
        self._checkpoints = checkpoints
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def park(self, begin: Begin) -> None:
        """Park it as soon as no block of `used` needs it any more, in a task that `begin` starts."""
        self._task = begin(self._park())

    async def wake(self) -> None:
        """Let it run, if it does not. Whoever parks it just now is interrupted."""
        if (task := self._task) is None:
            return
        task.cancel()
        await asyncio.wait([task])
        async with self._turn:
            if not self._browser.gone.is_set():
                await thaw(self._browser)
            if self._checkpoints is not None:
                self._checkpoints.wake()
            self.parked = False
            if self._task is task:
                self._task = None

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Awake for this block."""
        self._users += 1
        self._unused.clear()
        try:
            await self.wake()
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def _park(self) -> None:
        async with self._turn:
            await self._unused.wait()
            try:
                if self._checkpoints is not None:
                    await self._save(self._checkpoints)
                await freeze(self._browser)
                self.parked = True
            except (BrowserFailed, DevToolsError, DevToolsGone, OSError) as error:
                # It runs on, which costs some processor time and nothing else; one that is gone is told otherwise.
                log.warning("browser_not_parked", error=str(error))
                if self._checkpoints is not None:
                    self._checkpoints.wake()

    async def _save(self, checkpoints: Checkpoints) -> None:
        try:
            await checkpoints.park()
        except GatewayError as error:
            # A full disk: what is only in its memory stays there, which is no reason to let it run.
            log.warning("checkpoint_failed", error=error.message)
