"""A service browser: one of a tenant's sessions, in which page requests have a fresh context each.

One task has it from its launch to its end. Whatever ends it meanwhile, a crash, a stop, the gateway's own end, fails
the requests in it in words; nobody else notices, for the next request gets another one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from playwright.async_api import Browser as Remote
from playwright.async_api import Error as PlaywrightError

from browser_pool.spec import LaunchSpec
from gateway.errors import CloseCode, Code, Farewell, GatewayError
from gateway.pages.driver import Driver
from gateway.records import Egress, Identity, Kind, SessionSpec
from gateway.session.registry import Registry
from gateway.session.seat import Seat

NOTICED = 1.0  # seconds until the end of a browser is seen that a call has failed for
GLANCE = 0.25  # seconds between looks whether an unused one is in somebody's way
IDLE = 30.0  # seconds that it waits for another request
SERVED = 500  # requests, and
AGE = 1800.0  # seconds, after which it gives way to a new one: pages leave traces in a browser's memory
LABEL = ("service", "pages")  # by which a tenant tells these sessions from its own

PLAIN = LaunchSpec()
OPEN = Egress()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What kind of browser a page request wants: those that want the same share one, never two tenants."""

    tenant: str
    launch: LaunchSpec = PLAIN
    egress: Egress = OPEN
    identity: Identity | None = None
    block_ads: bool = False

    def spec(self, ttl: float) -> SessionSpec:
        """The session that it is, at most `ttl` seconds; it ends when its driver goes, which is us."""
        return SessionSpec(
            tenant=self.tenant,
            kind=Kind.STANDARD,
            launch=self.launch,
            ttl=ttl,
            keep=0,
            labels=(LABEL,),
            identity=self.identity,
            egress=self.egress,
            block_ads=self.block_ads,
        )


class Breaking:
    """Blocks that end, with an error of ours, the moment that what they use is gone."""

    def __init__(self) -> None:
        self.why: GatewayError | None = None
        self._scopes: set[asyncio.Timeout] = set()
        self._ended = asyncio.Event()

    def end(self, why: GatewayError) -> None:
        """It is gone: each block ends now, and no other begins."""
        if self.why is not None:
            return
        self.why = why
        self._ended.set()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

    def gone(self) -> None:
        """Nobody said that it would end."""
        words = "the browser of this request, or what drives it, has ended in the middle of it: send it again"
        self.end(GatewayError(Code.BROWSER_FAILED, words, retry_after=1))

    def evicted(self, farewell: Farewell) -> None:
        """Its session is not ours any more."""
        code = Code.DRAINING if farewell.close is CloseCode.DRAINING else Code.BROWSER_FAILED
        words = f"the browser of this request is gone: {farewell.words}; send it again"
        self.end(GatewayError(code, words, retry_after=5 if code is Code.DRAINING else 1))

    @asynccontextmanager
    async def block(self) -> AsyncIterator[None]:
        """Raises the error that `end` was given, in place of those that follow from it."""
        self._check()
        try:
            async with asyncio.timeout(None) as scope:
                self._scopes.add(scope)
                try:
                    yield
                finally:
                    self._scopes.discard(scope)
        except (TimeoutError, PlaywrightError, GatewayError) as error:
            if _lost(error.__cause__ or error):
                with suppress(TimeoutError):  # it may have been the page alone
                    async with asyncio.timeout(NOTICED):
                        await self._ended.wait()
            self._check()
            raise

    def _check(self) -> None:
        if (why := self.why) is not None:
            raise GatewayError(why.code, why.message, retry_after=why.retry_after) from None


def _lost(error: BaseException) -> bool:
    """Whether it may be of a browser that is gone, which is about to be noticed."""
    return isinstance(error, PlaywrightError) and ("has been closed" in error.message or "Connection" in error.message)


class Shared:
    """One service browser. `in_the_way` says whether somebody waits for what an unused one holds."""

    def __init__(self, wanted: Wanted, in_the_way: Callable[[], bool], idle: float = IDLE) -> None:
        self.wanted = wanted
        self.retired = False  # it takes no new requests
        self.users = 0
        self.served = 0
        self.breaking = Breaking()
        self._in_the_way = in_the_way
        self._idle = idle
        self._began = self._unused = asyncio.get_running_loop().time()
        self._remote: Remote | None = None
        self._ready = asyncio.Event()
        self._stirred = asyncio.Event()

    @property
    def usable(self) -> bool:
        """It may take another request."""
        tired = self.served >= SERVED or asyncio.get_running_loop().time() - self._began > AGE
        return not self.retired and not tired and self.breaking.why is None

    def retire(self) -> None:
        """End once its last request is over."""
        self.retired = True
        self._stirred.set()

    def hangs(self) -> None:
        """It does not do as it is told: those in it are told so, and it is ended."""
        words = "the browser of this request does not answer any more: send it again"
        self.breaking.end(GatewayError(Code.BROWSER_FAILED, words, retry_after=1))
        self._stirred.set()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Remote]:
        """For one request, once it is there. Raises GatewayError: whatever kept it from coming, or ended it."""
        self.users += 1
        self.served += 1
        try:
            async with self.breaking.block():
                await self._ready.wait()
                assert self._remote is not None
                yield self._remote
        finally:
            self.users -= 1
            self._unused = asyncio.get_running_loop().time()
            self._stirred.set()

    async def run(self, registry: Registry, driver: Driver, ttl: float) -> None:
        """From its launch to its end; all that fails is told to those who wait for it."""
        try:
            session = await registry.create(self.wanted.spec(ttl), here=True)
            async with session.attach() as seat:
                seat.evicted.add_done_callback(lambda _: self._stirred.set())
                async with driver.connected(seat.admitted.result(), self._gone) as self._remote:
                    self._ready.set()
                    await self._until_over(seat)
        except GatewayError as error:
            log.info("service_browser_failed", code=error.code.word)
            self.breaking.end(error)
        finally:
            self.retired = True
            self.breaking.gone()  # for whoever came in the last moment

    def _gone(self) -> None:
        self.breaking.gone()
        self._stirred.set()

    async def _until_over(self, seat: Seat) -> None:
        loop = asyncio.get_running_loop()
        while self.breaking.why is None:
            if seat.evicted.done():
                self.breaking.evicted(seat.evicted.result())
                return
            unused = not self.users
            if unused and (self.retired or self._in_the_way() or loop.time() >= self._unused + self._idle):
                self.retired = True  # at once: nobody may come while it ends
                return
            self._stirred.clear()
            try:
                async with asyncio.timeout(GLANCE if unused else None):
                    await self._stirred.wait()
            except TimeoutError:
                pass
