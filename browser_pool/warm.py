"""Browsers launched ahead, each for one who will come: checked when it is handed out, replaced in quiet moments.

`demand.py` says how many of which spec. A browser leaves the set before anything is awaited, so none is ever
handed to two; whoever takes it has the block that ends it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import structlog

from browser_pool.browser import Browser
from browser_pool.demand import Demand
from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.errors import BrowserFailed
from browser_pool.memory import BROWSER_COST, held_by
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stealth import fits
from browser_pool.tasks import running

log = structlog.get_logger()

QUIET = 0.5  # seconds without a lease or a launch before the next one ahead: nobody shall wait for its sake
PROBE_TIMEOUT = 1.0  # seconds for a ready browser to answer the one who gets it
INSPECTION = 60.0  # seconds between looks at age and memory
MOST_AGE = 3600.0  # seconds
MOST_MEMORY = 2 * BROWSER_COST  # bytes
RETRY = 30.0  # seconds after a launch that failed
AFTER_A_DEATH = 3.0  # seconds until one that died while it was ready is replaced: what killed it may be at it still
PUT_OFF = 2.0  # seconds that others' leases can put off a launch ahead, where there is never a quiet moment
ON_ITS_WAY = 5.0  # seconds to wait for one that is being launched, before a launch of one's own
LEAST_WINDOW = (500, 300)  # pixels: below, Chromium's own minimum shows in a window that is made smaller later

Launch = Callable[[LaunchSpec], AbstractAsyncContextManager[Browser]]


def base_of(spec: LaunchSpec) -> LaunchSpec:
    """The spec of a ready browser that can serve `spec`; `fit` does the rest.

    Full headless Chromium opens all windows in the size of the last one, so that the size can be set later. The
    shell's windows and screen keep that of its command line, and one with a window may stand on a real screen.
    """
    if spec.mode is not Mode.HEADLESS or spec.viewport is None or (spec.stealth and not fits(spec)):
        return spec
    (width, height), (least_width, least_height) = spec.viewport, LEAST_WINDOW
    return replace(spec, viewport=None) if width >= least_width and height >= least_height else spec


async def fit(browser: Browser, spec: LaunchSpec) -> None:
    """Make a browser of `base_of(spec)` one of `spec` (Browser.setWindowBounds)."""
    if spec.viewport is not None and base_of(spec).viewport is None:
        width, height = spec.viewport
        page = next(iter(browser.pages))
        window = await browser.devtools.send("Browser.getWindowForTarget", {"targetId": page}, timeout=PROBE_TIMEOUT)
        bounds = {"windowId": window["windowId"], "bounds": {"width": width, "height": height}}
        await browser.devtools.send("Browser.setWindowBounds", bounds, timeout=PROBE_TIMEOUT)


@dataclass(eq=False, slots=True)
class _Ready:
    """A browser ahead, or on its way: `done` is set once `browser` is there, or its launch has come to nothing."""

    spec: LaunchSpec
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    browser: Browser | None = None
    born: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class WarmSet:
    """At most `limit` browsers, launched by `launch`; `room()` is how many more the memory takes.

    `keeping()` is what fills it; without it the set stays empty.
    """

    def __init__(self, limit: int, launch: Launch, room: Callable[[], int]) -> None:
        self.limit = limit
        self._launch = launch
        self._room = room
        self._demand = Demand(LaunchSpec())
        self._set: list[_Ready] = []
        self._discarded: list[_Ready] = []
        self._stirred = asyncio.Event()
        self._busy = 0  # leases on their way to a browser
        self._quiet_since = 0.0
        self._short_since: float | None = None
        self._not_before: dict[LaunchSpec, float] = {}

    @property
    def ready(self) -> list[Browser]:
        """The browsers that could be handed out now."""
        return [entry.browser for entry in self._set if entry.browser is not None]

    def ready_for(self, spec: LaunchSpec) -> list[Browser]:
        """Those of them that can serve `spec`."""
        base = base_of(spec)
        return [entry.browser for entry in self._set if entry.browser is not None and entry.spec == base]

    def fits(self, spec: LaunchSpec) -> bool:
        """Whether one is there, or on its way, that can serve `spec`."""
        return any(entry.spec == base_of(spec) for entry in self._set)

    @asynccontextmanager
    async def leasing(self, spec: LaunchSpec) -> AsyncIterator[None]:
        """For the time that someone waits for a browser of `spec`: nothing is launched ahead meanwhile."""
        self._busy += 1
        try:
            yield
            self._demand.note(base_of(spec), time.monotonic())  # only what could be had
        finally:
            self._busy -= 1
            self._quiet_since = time.monotonic()
            self._stirred.set()

    async def take(self, spec: LaunchSpec, stack: AsyncExitStack) -> Browser | None:
        """One that serves `spec` and answers, which `stack` then ends; None if there is none."""
        while (entry := self._pick(base_of(spec))) is not None:
            self._set.remove(entry)  # nobody else's from here on
            try:
                async with asyncio.timeout(ON_ITS_WAY):
                    await entry.done.wait()
                sound = entry.browser is not None and await _answers(entry.browser, spec)
            except TimeoutError:
                sound = False
            except BaseException:  # a cancel: it may be half made to fit
                self._discard(entry)
                raise
            if sound:
                await stack.enter_async_context(entry.stack)
                return entry.browser
            self._discard(entry)
            if entry.browser is None or not entry.browser.gone.is_set():
                return None  # where one hangs others may: a launch is surer than to wait for them one by one
        return None

    async def shed(self) -> bool:
        """End the one that is missed least, to make room; False if there is none."""
        ready = [entry for entry in self._set if entry.browser is not None]
        if not ready:
            return False
        entry = ready[-1]
        self._set.remove(entry)
        await self._end(entry)
        return True

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep the set filled while the block lasts; at its end all are ended."""
        try:
            async with running(self._keep(), "warm-browsers"):
                yield
        finally:
            for entry in [*self._set, *self._discarded]:
                await self._end(entry)
            self._set.clear()
            self._discarded.clear()

    # --- within ---

    def _pick(self, base: LaunchSpec) -> _Ready | None:
        """The oldest that is ready, else one on its way: it will be there before a new one."""
        fitting = [entry for entry in self._set if entry.spec == base]
        return min(fitting, key=lambda entry: (entry.browser is None, entry.born), default=None)

    def _discard(self, entry: _Ready) -> None:
        """Its end takes time, which the one who found it unfit does not have."""
        self._discarded.append(entry)
        self._stirred.set()

    async def _end(self, entry: _Ready) -> None:
        try:
            await entry.stack.aclose()
        except Exception:  # no file or thread to be had: one that ends badly must not take the keeper along
            log.exception("warm_browser_not_ended")

    async def _keep(self) -> None:
        inspected = time.monotonic()
        while True:
            self._stirred.clear()
            while self._discarded:
                await self._end(self._discarded.pop())
            try:
                if time.monotonic() - inspected > INSPECTION:
                    inspected = time.monotonic()
                    await self._inspect(inspected)
                pause = await self._tend(time.monotonic())
            except Exception:  # the outer edge of this task: without it nothing would be launched ahead any more
                log.exception("warm_keeper_fault")
                pause = RETRY
            if pause and not self._discarded:
                try:
                    async with asyncio.timeout(pause):
                        await self._stirred.wait()
                except TimeoutError:
                    pass  # time for another look

    async def _tend(self, now: float) -> float:
        """One step towards what is wanted; returns the seconds until the next, unless something stirs before."""
        there = Counter(entry.spec for entry in self._set)
        missing = self._demand.wanted(self.limit, now, there)
        self._not_before = {spec: at for spec, at in self._not_before.items() if now < at}
        for entry in list(self._set):
            alive = entry.browser is not None and not entry.browser.gone.is_set()
            if not alive and entry.browser is not None:
                log.warning("warm_browser_died", reason=entry.browser.reason)
                self._not_before[entry.spec] = now + AFTER_A_DEATH
            if alive and missing.get(entry.spec, 0):
                missing[entry.spec] -= 1
            else:
                self._set.remove(entry)
                self._discard(entry)
        wanted = [spec for spec, number in missing.items() if number and spec not in self._not_before]
        if not wanted:
            self._short_since = None
            return max(0.01, min(self._not_before.values(), default=now + RETRY) - now)
        self._short_since = now if self._short_since is None else self._short_since
        quiet = self._quiet_since + QUIET - now
        if (self._busy or quiet > 0) and now - self._short_since < PUT_OFF:
            return max(quiet, QUIET)
        self._short_since = None
        return 0 if await self._ahead(wanted[0]) else RETRY

    async def _ahead(self, spec: LaunchSpec) -> bool:
        """Launch one, which may fail; False if there was no room for it."""
        if self._room() < 2:
            return False  # after it there is still room for one that nobody has foreseen
        entry = _Ready(spec)
        self._set.append(entry)
        try:
            entry.browser = await entry.stack.enter_async_context(self._launch(spec))
            await entry.stack.enter_async_context(running(self._mourn(entry.browser), "warm-browser"))
            entry.born = time.monotonic()
        except (BrowserFailed, OSError) as error:  # OSError: no process or file to be had
            self._not_before[spec] = time.monotonic() + RETRY
            log.warning("warm_launch_failed", error=str(error))
        finally:
            if entry.browser is None and entry in self._set:
                self._set.remove(entry)
            entry.done.set()
        return True

    async def _mourn(self, browser: Browser) -> None:
        await browser.gone.wait()
        self._stirred.set()

    async def _inspect(self, now: float) -> None:
        while self._room() < 0 and await self.shed():
            log.info("warm_browser_shed")  # others need the memory
        for entry in [entry for entry in self._set if entry.browser is not None]:
            assert entry.browser is not None
            held = await asyncio.to_thread(held_by, entry.browser.pid)
            if entry in self._set and (now - entry.born > MOST_AGE or held > MOST_MEMORY):
                self._set.remove(entry)
                self._discard(entry)


async def _answers(browser: Browser, spec: LaunchSpec) -> bool:
    """Whether it is alive, has its page, and could be made to fit."""
    if browser.gone.is_set() or not browser.pages:
        return False
    try:
        await browser.devtools.send("Browser.getVersion", timeout=PROBE_TIMEOUT)
        await fit(browser, spec)
    except (DevToolsError, DevToolsGone):
        return False
    return True
