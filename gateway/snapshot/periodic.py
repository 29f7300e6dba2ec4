"""When checkpoints are taken: at most every interval while a browser runs, and at once when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from gateway.errors import GatewayError
from gateway.snapshot.checkpoint import Checkpointer
from gateway.snapshot.document import ContextDocument

FIRST = 3.0  # seconds until the first one, if the interval is not shorter
SPARE = 0.5  # of the time at least nothing is taken or saved, however long that takes

Save = Callable[[ContextDocument], Awaitable[object]]


class Log(Protocol):
    """As far as it is needed of structlog's."""

    def warning(self, event: str, **fields: Any) -> object: ...
    def info(self, event: str, **fields: Any) -> object: ...


class Checkpoints:
    """Takes and saves for one session.

    `async with running(checkpoints.run(), "checkpoints")` while its browser is there; `park` and `wake` around the
    time that it is frozen.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        save: Save,
        *,
        devtools: DevTools,
        interval: float,
        log: Log | None = None,
    ) -> None:
        """`save` keeps a document and raises GatewayError if it cannot; `interval` in seconds."""
        self.interval = interval
        self._checkpointer = checkpointer
        self._save = save
        self._devtools = devtools
        self._log = log or structlog.get_logger()
        self._lock = asyncio.Lock()
        self._unsaved: ContextDocument | None = None  # taken, but not kept
        self._told = ""  # of what failed last

    async def run(self) -> None:
        """Until the browser is gone. What fails is told in the log, once, and tried again."""
        loop = asyncio.get_running_loop()
        wait = min(FIRST, self.interval)
        while not await self._gone_within(wait):
            begin = loop.time()
            try:
                await self.now(thorough=False)
                if self._told:
                    self._log.info("checkpoints_again")
                self._told = ""
            except (GatewayError, DevToolsError, DevToolsGone) as error:
                if not self._devtools.closed.is_set() and str(error) != self._told:
                    self._told = str(error)
                    self._log.warning("checkpoint_failed", error=self._told)
            took = loop.time() - begin
            wait = max(self.interval - took, took * SPARE / (1 - SPARE))

    async def now(self, *, thorough: bool = True) -> bool:
        """Take and save; True if something was saved, False if nothing has changed since.

        `thorough` as in `Checkpointer.take`. Raises DevToolsError and DevToolsGone, and GatewayError as `save` does;
        what could not be saved is saved next time.
        """
        async with self._lock:
            document = await self._checkpointer.take(thorough=thorough) or self._unsaved
            if document is None:
                return False
            self._unsaved = document
            await self._save(document)
            self._unsaved = None
            return True

    async def park(self) -> None:
        """Before the browser is frozen: one more, then none until `wake`. Raises as `now`, and then goes on."""
        await self.now()
        await self._checkpointer.pause()

    def wake(self) -> None:
        """The browser runs again."""
        self._checkpointer.resume()

    async def _gone_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._devtools.closed.wait()
        except TimeoutError:
            return False
        return True
