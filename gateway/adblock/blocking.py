"""Holds every request of a browser for the moment it takes to see whether it is wanted (CDP's Fetch).

On a connection of its own: Chromium asks each of several clients in turn, so that a driver's own interception and
the keeper's work as they do without it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params, open_devtools
from browser_pool.tasks import Start, crew
from gateway.adblock.asking import Documents
from gateway.adblock.filters import Filter

PATIENCE = 0.2  # seconds for what is under way at the end
FAREWELL = 2.0  # seconds for the browser to let go of us


@dataclass
class Blocked:
    """How many requests of a browser were."""

    requests: int = 0


@asynccontextmanager
async def blocking(url: str, wanted: Filter) -> AsyncIterator[Blocked]:
    """Block what `wanted` says in the browser at the DevTools endpoint `url`, while the block lasts.

    Raises DevToolsError and DevToolsGone on entering; later the browser may go at any moment.
    """
    async with open_devtools(url) as devtools, crew(patience=PATIENCE) as start:
        blocker = _Blocker(devtools, wanted, start)
        with devtools.listening(blocker.look):
            pages = [{"type": "page"}]
            await devtools.send("Target.setDiscoverTargets", {"discover": True, "filter": pages})
            await devtools.send("Fetch.enable", {"patterns": [{"urlPattern": "http*"}]})
            try:
                yield blocker.blocked
            finally:
                with suppress(DevToolsError, DevToolsGone):  # a browser that is gone has let go of us
                    await devtools.send("Fetch.disable", timeout=FAREWELL)


@dataclass
class _Blocker:
    devtools: DevTools
    wanted: Filter
    start: Start
    documents: Documents = field(default_factory=Documents)
    blocked: Blocked = field(default_factory=Blocked)

    def look(self, method: str, params: Params, session: str | None) -> None:
        """Every event of the connection, in its order: a page is known before its first request."""
        if method != "Fetch.requestPaused":
            self.documents.target(method, params)
            return
        asked = self.documents.asked(params)
        if asked is not None and self.wanted.blocks(asked.url, asked.source, asked.kind):
            self.blocked.requests += 1
            refusal = {"requestId": params["requestId"], "errorReason": "BlockedByClient"}
            self.start(self._say("Fetch.failRequest", refusal), "blocked-request")
        else:
            self.start(self._say("Fetch.continueRequest", {"requestId": params["requestId"]}), "passed-request")

    async def _say(self, method: str, params: Params) -> None:
        # Who asked may be gone by now, and so may the browser.
        with suppress(DevToolsError, DevToolsGone):
            await self.devtools.send(method, params)
