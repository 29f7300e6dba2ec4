"""What became of the work that was asked for, counted for Browserless's /metrics and /pressure."""

import math
import time
from collections import Counter, deque

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.web.forward import FORWARDED

# Routes that give a browser, or the work of one. The length of those that are sockets nobody knows here.
GIVE = frozenset({"/", "/chromium", "/chrome", "/session"})
SERVE = frozenset(f"{engine}/{what}" for engine in ("", "/{engine}") for what in (
    "content", "screenshot", "pdf", "scrape", "performance",
))  # fmt: skip
REMEMBERED = 1000  # lengths of page requests, and refusals
RECENT = 300.0  # seconds
UNIT = 30_000  # ms: what Browserless bills by


class Tally:
    """Counts since the gateway's start."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.most = 0  # requests of pages at once
        self._running = 0
        self._took: deque[int] = deque(maxlen=REMEMBERED)
        self._refused: deque[float] = deque(maxlen=REMEMBERED)

    def middleware(self) -> Middleware:
        """To be put around the one that answers refusals."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            path = "" if resource is None else resource.canonical
            if path in SERVE:
                return await self._served(request, handler)
            response = await handler(request)
            if FORWARDED not in request and path in GIVE and (request.method == "POST" or "Upgrade" in request.headers):
                self.note(response.status)
            return response

        return around

    async def _served(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._running += 1
        self.most = max(self.most, self._running)
        began, status = time.monotonic(), 499  # the client left before there was an answer
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            self._running -= 1
            if FORWARDED not in request:  # the node that answered counts it
                self.note(status)
            if FORWARDED not in request and status == 200:
                self._took.append(round((time.monotonic() - began) * 1000))

    def note(self, status: int) -> None:
        """One request ended so."""
        if status < 300:
            self.counts["successful"] += 1
        elif status == 401:
            self.counts["unauthorized"] += 1
        elif status == 408:
            self.counts["timedout"] += 1
        elif status == 429:
            self.counts["rejected"] += 1
            self._refused.append(time.monotonic())
        elif status >= 500:
            self.counts["error"] += 1

    @property
    def recently_rejected(self) -> int:
        """Within the last five minutes."""
        since = time.monotonic() - RECENT
        return sum(1 for when in self._refused if when >= since)

    def shown(self, *, running: int, queued: int) -> dict[str, int | float | list[int]]:
        """In Browserless's words; `running` and `queued` as they are now. Times in ms, of page requests only."""
        took = list(self._took)
        names = ("successful", "error", "rejected", "timedout", "unauthorized")
        return {
            **{name: self.counts[name] for name in names},
            "unhealthy": 0,
            "running": running,
            "queued": queued,
            "maxConcurrent": max(self.most, running),
            "sessionTimes": took,
            "maxTime": max(took, default=0),
            "minTime": min(took, default=0),
            "meanTime": sum(took) / len(took) if took else 0,
            "totalTime": sum(took),
            "units": sum(math.ceil(one / UNIT) for one in took),
            "date": round(time.time() * 1000),
        }
