"""`async with pool.lease(spec) as browser:` is the only way to a browser.

Every browser has a directory of its own under the pool's root. Some are launched ahead (`warm.py`). Launches
are paced, so that a burst does not starve the browsers that already run, and none begins that the memory
would not bear.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from browser_pool import adopt, cgroup, procfs
from browser_pool.adopt import Left
from browser_pool.binary import Binaries
from browser_pool.browser import Browser, Fill, launched
from browser_pool.confinement import Cell, Confinement, Held
from browser_pool.errors import BrowserFailed, NoRoom
from browser_pool.examine import examine
from browser_pool.hold import Guard, held
from browser_pool.memory import Memory, memory
from browser_pool.note import Note
from browser_pool.process import become_subreaper, end_left
from browser_pool.profile import BrowserDirectory
from browser_pool.road import Road, Roads
from browser_pool.spec import LaunchSpec
from browser_pool.tasks import running, to_the_end
from browser_pool.users import Users
from browser_pool.warm import WarmSet
from browser_pool.watchdog import Watchdog

LAUNCHES_PER_CORE = 2


class BrowserPool:
    """All browsers of this process. Enter it once: `async with BrowserPool(root, binaries) as pool`.

    `warm` is the most browsers that are ever launched ahead; `extensions` the operator's directory of extensions;
    `weigh` says what memory there is. `outlive` is for how many seconds a browser that has an owner waits for the
    next process after ours was killed; with 0 all of them end with us. `roads` is where each browser's only way to the
    network comes from; without, it goes there by itself. `confinement` is what shall hold them; what does, on this
    machine, is in `held` once the pool was entered, which raises NotConfined where more is required. `look`
    finds it out.

    What an earlier process left, and may be wanted, is in `left`, by owner: to be `adopted` where it is alive, else
    `salvaged`; `forsake()` ends the rest.
    """

    def __init__(
        self,
        root: Path,
        binaries: Binaries,
        *,
        warm: int = 0,
        extensions: Path | None = None,
        weigh: Callable[[], Memory] = memory,
        outlive: float = 0.0,
        roads: Roads | None = None,
        confinement: Confinement | None = None,
        look: Callable[[Confinement, Path, Binaries], Held] = examine,
    ) -> None:
        self.root = root.resolve()  # as another process names it, which looks for it on command lines
        self.binaries = binaries
        self.browsers: set[Browser] = set()  # leased ones
        # Since the start, by where the browser came from: warm, launched or adopted.
        self.leases: Counter[str] = Counter()
        self.left: dict[str, Left] = {}  # by owner
        self.guard: Guard | None = None
        self.outlive = outlive
        self.roads = roads
        self.confinement = confinement or Confinement()
        self.held = Held()
        self._look = look
        self.warm = WarmSet(warm, self._launched, self._room)
        self._extensions = extensions
        self._users = Users(self.root)
        self._cgroup: Path | None = None
        self._watchdog = Watchdog(self.confinement.limits)
        self._weigh = weigh
        self._starting = 0  # launches that have not taken their memory yet
        self._launches = asyncio.Semaphore(LAUNCHES_PER_CORE * (os.cpu_count() or 1))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        become_subreaper()
        async with AsyncExitStack() as stack:
            lock = await stack.enter_async_context(held(self.root))
            self.held = await asyncio.to_thread(self._look, self.confinement, self.root, self.binaries)
            if not self.held.cgroup:
                self._cgroup, why = await to_the_end(asyncio.to_thread(cgroup.prepared))
                self.held = replace(self.held, cgroup=why)
            await to_the_end(asyncio.to_thread(self.sweep))
            if self.outlive:
                self.guard = Guard(self.root, lock, self.outlive)
                await stack.enter_async_context(self.guard.watching())
            if not self.held.watchdog:
                await stack.enter_async_context(running(self._watchdog.keep(), "watchdog"))
            if self.warm.limit:
                await stack.enter_async_context(self.warm.keeping())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self.browsers:
            raise RuntimeError(f"{len(self.browsers)} browsers are still leased")
        try:
            if error[0] is None:
                await self.forsake()
            elif self.left:  # a start that failed: the next one may still come for what is left
                await self._leave()
        finally:
            await self._stack.aclose()

    @asynccontextmanager
    async def lease(
        self,
        spec: LaunchSpec,
        *,
        fill: Fill | None = None,
        owner: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Browser]:
        """A browser for this block alone, ready in a moment if one was launched ahead.

        `fill` puts a saved profile in place, which takes a new process. With an `owner` a later process finds the
        browser, or its profile, in `left` if this one is killed, and `about` (JSON, no secrets) with it, which
        `Browser.annotate` changes. Raises BrowserFailed, NoRoom among it.
        """
        async with AsyncExitStack() as stack:
            async with self.warm.leasing(spec):
                # A ready one has its memory already: it is handed over whatever is left.
                browser = await self.warm.take(spec, stack) if fill is None else None
                origin = "launched" if browser is None else "warm"
                if browser is None:
                    browser = await stack.enter_async_context(self._launched(spec, fill, self._launches))
                if owner is not None:
                    await self._owned(browser, owner, spec, about or {})
                    await stack.enter_async_context(browser.noted())
                self.leases[origin] += 1
            self.browsers.add(browser)
            stack.callback(self.browsers.discard, browser)
            yield browser

    @asynccontextmanager
    async def adopted(self, owner: str) -> AsyncIterator[Browser]:
        """The browser in `left` that is `owner`'s, with its pages as they are, for this block: then as with a lease.

        Never refused for want of memory: it has its own already. Raises KeyError if there is none, BrowserFailed if it
        has ended or does not answer: then what it wrote can still be `salvaged`.
        """
        left = self.left.pop(owner)
        async with AsyncExitStack() as stack:
            try:
                if not left.alive:
                    raise BrowserFailed("the browser that was left has ended")
                browser = await stack.enter_async_context(adopt.adopted(left, self.roads))
                stack.enter_context(self._watchdog.watching(browser))
            except BaseException as error:  # a cancel, too: it is still there
                self.left[owner] = adopt.dead(left) if isinstance(error, BrowserFailed) else left
                raise
            self.leases["adopted"] += 1
            self.browsers.add(browser)
            stack.callback(self.browsers.discard, browser)
            yield browser

    @asynccontextmanager
    async def salvaged(self, owner: str) -> AsyncIterator[BrowserDirectory]:
        """The directory of `owner`'s browser in `left`, which is ended if need be; removed at the end of the block.

        Raises KeyError if there is none.
        """
        left = self.left.pop(owner)
        async with AsyncExitStack() as stack:
            try:
                directory = await stack.enter_async_context(adopt.salvaged(left))
            except BaseException:  # a cancel: it is still there
                self.left[owner] = left
                raise
            yield directory

    async def forsake(self) -> None:
        """End and remove all that is still in `left`: nobody wants it. Raises OSError."""
        unwanted = [left.tree for left in self.left.values()]
        self.left.clear()
        if unwanted:
            await to_the_end(asyncio.to_thread(adopt.removed, unwanted))

    @property
    def short_of_memory(self) -> bool:
        """Whether a lease of the usual spec would be refused now."""
        return not self.warm.fits(LaunchSpec()) and self._room() + len(self.warm.ready) < 1

    @property
    def ready(self) -> Browser | None:
        """A browser of the usual spec that is nobody's yet: for a look at what all such have in common."""
        return next(iter(self.warm.ready_for(LaunchSpec())), None)

    def sweep(self) -> int:
        """Look at what an earlier process left here: what has an owner is put into `left`, the rest is ended and
        removed. Returns how many directories were. Blocking; raises OSError.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o711 if self.held.own_users else 0o700)
        self.left, unwanted = adopt.found(self.root)
        adopt.removed(unwanted)
        return len(unwanted)

    async def _owned(self, browser: Browser, owner: str, spec: LaunchSpec, about: Mapping[str, Any]) -> None:
        """Note whose it is. Raises BrowserFailed: one that could not be found again is worth nothing."""
        main = procfs.seen(browser.pid)
        if main is None:
            raise BrowserFailed("Chromium ended as soon as it had started")
        note = Note(owner, main.pid, main.start, procfs.boot_id(), browser.port, browser.path, spec, dict(about))
        if browser.road is not None:
            note = replace(note, road=browser.road.port)
        try:
            await browser.own(note)
        except OSError as error:
            raise BrowserFailed(f"the note of whose the browser is cannot be written: {error}") from error

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
                    cell, road = await self._cell(place.name, stack)
                    browser = await stack.enter_async_context(
                        launched(
                            spec,
                            place,
                            self.binaries,
                            fill=fill,
                            extensions=self._extensions,
                            tied=not self.outlive,
                            cell=cell,
                            road=road,
                        )
                    )
            finally:
                self._starting -= 1
            stack.enter_context(self._watchdog.watching(browser))
            yield browser

    async def _cell(self, name: str, stack: AsyncExitStack) -> tuple[Cell, Road | None]:
        """What holds the browser in the directory `name`, for as long as `stack` lasts. Raises BrowserFailed."""
        limits = self.confinement.limits
        cell, road = Cell(self.held, limits, self.root), None
        if self._cgroup is not None:
            try:
                joined = await asyncio.to_thread(cgroup.make, self._cgroup, name, limits.memory, limits.processes)
            except OSError as error:
                raise BrowserFailed(f"no cgroup can be had for the browser: {error}") from error
            stack.callback(cgroup.remove, self._cgroup, name)
            cell = replace(cell, cgroup=joined)
        if self.held.own_users:
            cell = replace(cell, user=await stack.enter_async_context(self._users.claimed()))
        if self.roads is not None:
            try:
                road = await stack.enter_async_context(self.roads.open())
            except OSError as error:
                raise BrowserFailed(f"no proxy can be had for the browser: {error}") from error
            cell = replace(cell, port=road.port)
        return cell, road

    async def _leave(self) -> None:
        if self.guard is not None:
            self.guard.leave()
        else:
            await to_the_end(asyncio.to_thread(end_left, [left.tree for left in self.left.values()]))

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
