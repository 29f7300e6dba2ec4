"""Playwright for requests: a fresh context in a browser that a tenant's requests share, or a session's own browser.

Requests that want the same kind of browser begin in order of arrival, a few at once; what waits holds nothing but its
place. A client that goes leaves it, and its context is closed.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from playwright.async_api import Browser as Remote
from playwright.async_api import BrowserContext, Dialog
from playwright.async_api import Error as PlaywrightError

from browser_pool.tasks import Start, crew, to_the_end
from gateway.errors import Code, GatewayError
from gateway.pages.driver import Driver
from gateway.pages.line import Line
from gateway.pages.shared import IDLE, Breaking, Shared, Wanted
from gateway.session.life import Role
from gateway.session.registry import Registry
from gateway.session.session import Session

WAITING = 100  # requests of one tenant that may wait
FAIR = 20  # requests after which a browser gives way where somebody waits for one
HELD = 64 << 20  # bytes that these may hold, with those that work
PATIENCE = 120.0  # seconds that each may
MAKE = 20.0  # seconds for a context to be there, which takes some 10 ms
CLOSE = 10.0  # seconds for it to be gone

log = structlog.get_logger()


class Pages:
    """Page services of a gateway. Made by `open_pages`."""

    def __init__(
        self, registry: Registry, driver: Driver, start: Start, *, ttl: float, at_once: int, idle: float = IDLE
    ) -> None:
        self.driver = driver
        self._registry = registry
        self._begin = start
        self._ttl = ttl
        self._at_once = at_once
        self._idle = idle
        self._lines: dict[Wanted, Line] = {}
        self._browsers: dict[Wanted, Shared] = {}
        self._held: Counter[str] = Counter()  # bytes of requests, by tenant
        self._over = False

    @property
    def running(self) -> int:
        """Requests that have a context."""
        return sum(line.working for line in self._lines.values())

    @property
    def browsers(self) -> int:
        """Service browsers that there are, or will be in a moment."""
        return len(self._browsers)

    def waiting(self, tenant: str | None = None) -> int:
        """Requests that wait for their turn."""
        return sum(line.waiting for wanted, line in self._lines.items() if tenant in (None, wanted.tenant))

    @asynccontextmanager
    async def context(self, wanted: Wanted, *, weight: int = 0, **options: Any) -> AsyncIterator[BrowserContext]:
        """A context of one's own for this block; `options` are those of Playwright's `new_context`.

        `weight` is how many bytes the request holds while it waits.

        Raises GatewayError: TOO_MANY_SESSIONS (429) where too many wait, whatever a session may be refused for, and
        BROWSER_FAILED (503) when the browser ends in the middle of the block.
        """
        async with self._turn(wanted, weight):
            shared = self._browser(wanted)
            async with shared.used() as remote:
                made: list[BrowserContext] = []

                async def make() -> None:
                    try:
                        async with asyncio.timeout(MAKE):
                            made.append(await remote.new_context(**{"accept_downloads": False, **options}))
                    except TimeoutError:
                        shared.hangs()
                        raise

                try:
                    await to_the_end(make(), patience=CLOSE)
                    yield made[0]
                finally:
                    for context in made:
                        await to_the_end(_closed(shared, context))

    @asynccontextmanager
    async def within(self, session: Session, *, drive: bool = True) -> AsyncIterator[Remote]:
        """Playwright on a session's own browser, whose default context is `contexts[0]`; awake for this block.

        `drive`: as its driver, so that nobody else drives it meanwhile (DRIVER_CONNECTED, 409, where somebody does);
        else beside whoever does. What is set on pages ends with the block; pages that it opens and does not close stay.
        Raises GatewayError, also when the session ends in the middle of the block.
        """
        broken = Breaking()
        async with (
            session.attach(Role.DRIVER if drive else Role.OBSERVER) as seat,
            broken.block(),
            AsyncExitStack() as after,
        ):
            seat.evicted.add_done_callback(lambda done: broken.evicted(done.result()))
            after.enter_context(session.busy())  # its time without use begins when we have left
            after.push_async_callback(self._left, session, drive)
            remote = await after.enter_async_context(self.driver.connected(seat.admitted.result(), broken.gone))
            if not drive:
                # Playwright dismisses what nobody listens for, also a driver's dialogs.
                remote.contexts[0].on("dialog", _left_alone)
            yield remote

    @staticmethod
    async def _left(session: Session, drive: bool) -> None:
        """Our connection is gone: the gateway answers for its pages again, and what it holds is in force."""
        if drive and (holder := session.holder) is not None:
            await holder.leave()
        await session.parted()

    @asynccontextmanager
    async def _turn(self, wanted: Wanted, weight: int) -> AsyncIterator[None]:
        tenant = wanted.tenant
        line = self._lines.setdefault(wanted, Line(self._at_once, PATIENCE))
        full = self.waiting(tenant) >= WAITING or self._held[tenant] + weight > HELD
        self._held[tenant] += weight
        try:
            async with line.turn(full=full):
                yield
        finally:
            self._held[tenant] -= weight
            if not self._held[tenant]:
                del self._held[tenant]
            if line.empty and self._lines.get(wanted) is line:
                del self._lines[wanted]

    def _browser(self, wanted: Wanted) -> Shared:
        if self._over:
            raise GatewayError(Code.DRAINING, "the gateway is stopping", retry_after=5)
        slots, pool = self._registry.means.slots, self._registry.means.pool
        there = self._browsers.get(wanted)
        if there is not None:
            if there.usable and not (slots.waiting and there.served >= FAIR):
                return there
            there.retire()
        shared = Shared(wanted, lambda: bool(slots.waiting) or pool.short_of_memory, self._idle)
        self._browsers[wanted] = shared
        self._begin(self._run(shared), "service-browser")
        return shared

    async def _run(self, shared: Shared) -> None:
        structlog.contextvars.clear_contextvars()  # the request that wanted it ends long before it does
        try:
            await shared.run(self._registry, self.driver, self._ttl)
        except Exception:  # the outer edge of its task: a defect in one must not end the others
            log.exception("service_browser_fault")
        finally:
            if self._browsers.get(shared.wanted) is shared:
                del self._browsers[shared.wanted]

    def end(self) -> None:
        """Let every service browser go, once its last request is over."""
        self._over = True
        for shared in self._browsers.values():
            shared.retire()


def _left_alone(dialog: Dialog) -> None:
    """It is for whoever drives the page."""


async def _closed(shared: Shared, context: BrowserContext) -> None:
    try:
        async with asyncio.timeout(CLOSE):
            await context.close()
    except TimeoutError:  # nobody else shall have that browser
        log.warning("page_context_not_closed")
        shared.hangs()
    except PlaywrightError:
        pass  # it went with its browser


@asynccontextmanager
async def open_pages(
    registry: Registry, directory: Path, *, ttl: float, at_once: int | None = None, idle: float = IDLE
) -> AsyncIterator[Pages]:
    """Page services while the block lasts. `directory` is the driver's own, `ttl` a browser's longest life in seconds.

    `at_once` are requests in one browser, by default two for each core: some wait for the network.
    """
    cores = len(os.sched_getaffinity(0))
    async with Driver(directory) as driver, crew() as start:
        pages = Pages(registry, driver, start, ttl=ttl, at_once=at_once or max(2, 2 * cores), idle=idle)
        try:
            yield pages
        finally:
            pages.end()
