"""A live browser: where it listens, whether it is still there, and how it ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from browser_pool import note as notes
from browser_pool.binary import Binaries
from browser_pool.command_line import command_line, plain_user_agent
from browser_pool.confinement import UNCONFINED, Cell
from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, open_devtools
from browser_pool.errors import BrowserFailed
from browser_pool.note import Note
from browser_pool.process import chromium, end_abandoned, endpoint, environment
from browser_pool.profile import BrowserDirectory
from browser_pool.road import Road
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stderr import STDERR_WATCH
from browser_pool.tasks import running, to_the_end

START_TIMEOUT = 30.0  # seconds; a launch takes 0.1 on an idle machine
NOTE_PERIOD = 1.0  # seconds between two writes of a note, as pages come and go
PAGES_TIMEOUT = 2.0  # seconds for pages to close before their browser does
CLOSE_TIMEOUT = 10.0  # seconds for Chromium to write its profile before it is ended

log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]
Fill = Callable[[Path], Coroutine[Any, Any, Work | None]]


@dataclass(eq=False)
class Browser:
    """One running Chromium. Made by `launched`; everything here is gone when that block is left."""

    directory: BrowserDirectory
    mode: Mode
    port: int
    path: str
    pid: int
    devtools: DevTools
    version: dict[str, str]
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    pages: dict[str, str] = field(default_factory=dict)  # open pages, oldest first: target id to URL
    visited: set[str] = field(default_factory=set)  # scheme://host:port of every page that was ever open
    # Called when Chromium has dropped a message to one of its DevTools sockets, with the seconds since then: its
    # sender will never be answered. More than 256 MiB would have waited there. Who leases the browser sets it.
    on_drop: Callable[[float], None] | None = None
    # What a later process reads of it: `own` writes it, `noted` keeps it up and takes it away.
    note: Note | None = None
    # Its way to the network, where it has but one: it goes when the browser does.
    road: Road | None = None
    _noting: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def url(self) -> str:
        """Its DevTools endpoint."""
        return f"ws://127.0.0.1:{self.port}{self.path}"

    @property
    def guid(self) -> str:
        """Chromium's own id of its browser endpoint, the last part of `path`."""
        return self.path.rpartition("/")[2]

    def follow(self, method: str, params: dict[str, Any], session: str | None) -> None:
        """Take note of a CDP event: which pages are open, and where they have been (Target.targetInfoChanged)."""
        if method in ("Target.targetCreated", "Target.targetInfoChanged"):
            info = params["targetInfo"]
            if info["type"] == "page":
                before = len(self.pages) + len(self.visited)
                self.pages[info["targetId"]] = info["url"]
                parts = urlsplit(info["url"])
                if parts.scheme in ("http", "https"):
                    self.visited.add(f"{parts.scheme}://{parts.netloc}")
                if len(self.pages) + len(self.visited) > before:
                    self._changed.set()
        elif method == "Target.targetDestroyed" and self.pages.pop(params["targetId"], None) is not None:
            self._changed.set()

    def dropped(self, seconds: float) -> None:
        """Chromium dropped a message so long ago: tell whom it may concern."""
        if self.on_drop is not None:
            self.on_drop(seconds)

    async def annotate(self, about: Mapping[str, Any]) -> None:
        """Keep `about` (JSON, no secrets) in its note, for a process that adopts it; nothing where it has no owner.

        Raises OSError: then the note is as it was.
        """
        async with self._noting:
            if self.note is not None:
                await self._write(replace(self.note, about=dict(about)))

    async def own(self, note: Note) -> None:
        """From now on it is somebody's. Raises OSError."""
        async with self._noting:
            await self._write(note)

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        """Its note follows its pages for this block, then goes: whatever happens afterwards, nobody adopts it."""
        try:
            async with running(self._keep_note(), "browser-note"):
                yield
        finally:
            async with self._noting:
                self.note = None
                await to_the_end(asyncio.to_thread(notes.erase, self.directory))

    async def _keep_note(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                async with self._noting:
                    if self.note is not None:
                        await self._write(self.note)
            except OSError as error:  # a full disk: the one before still says where it is
                log.warning("note_not_written", directory=self.directory.path.name, error=str(error))
            await asyncio.sleep(NOTE_PERIOD)

    async def _write(self, note: Note) -> None:
        note = replace(note, pages=tuple(self.pages), visited=tuple(sorted(self.visited)))
        await to_the_end(asyncio.to_thread(note.write, self.directory))
        self.note = note

    async def targets(self) -> list[dict[str, Any]]:
        """Its targets (Target.getTargets); none if it does not answer."""
        try:
            infos: list[dict[str, Any]] = (await self.devtools.send("Target.getTargets", timeout=5))["targetInfos"]
        except (DevToolsError, DevToolsGone):
            return []
        return infos

    async def close(self) -> bool:
        """Ask Chromium to end (Browser.close), so that it writes its profile; True if it did in time."""
        if self.gone.is_set():
            return False
        try:
            await self.devtools.send("Browser.close", timeout=CLOSE_TIMEOUT)
        except DevToolsError:
            return False
        except DevToolsGone:
            pass  # the socket often closes before the answer is out
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    async def close_pages(self) -> None:
        """Leave one empty page. LocalStorage is written once no page of its origin is left.

        Where the browser ends at once it may be lost. Raises DevToolsGone.
        """
        closed = asyncio.Event()
        left: set[str] = set()

        def look(method: str, params: dict[str, Any], session: str | None) -> None:
            if method == "Target.targetDestroyed":
                left.discard(params["targetId"])
                if not left:
                    closed.set()

        try:
            async with asyncio.timeout(PAGES_TIMEOUT):
                # Without any page Chromium would end by itself.
                blank = await self.devtools.send("Target.createTarget", {"url": "about:blank", "background": True})
                left |= self.pages.keys() - {blank["targetId"]}
                with self.devtools.listening(look):
                    for page in tuple(left):
                        with suppress(DevToolsError):  # it has just closed itself
                            await self.devtools.send("Target.closeTarget", {"targetId": page})
                    if left:
                        await closed.wait()
        except (TimeoutError, DevToolsError):
            pass  # a page that hangs, or asks whether it may be left, goes with the browser

    async def kill(self) -> None:
        """End it at once, if it has not ended; the rest of its processes goes at the end of its lease."""
        if not self.gone.is_set():
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, signal.SIGKILL)
            await self.gone.wait()


@asynccontextmanager
async def launched(
    spec: LaunchSpec,
    path: Path,
    binaries: Binaries,
    *,
    fill: Fill | None = None,
    extensions: Path | None = None,
    tied: bool = True,
    cell: Cell = UNCONFINED,
    road: Road | None = None,
) -> AsyncIterator[Browser]:
    """Start a browser in the new directory `path`, and leave neither process nor directory behind.

    `fill(profile)` may put a saved profile in place before the start, and return what still is to be done while
    Chromium starts; `extensions` is the operator's directory of them; `tied` as in `process.chromium`; `cell` is what
    holds it, `road` its only way to the network, if it has one. Raises BrowserFailed.
    """
    binary = binaries.path(spec.mode)
    agent = plain_user_agent(await binaries.version(binary)) if spec.stealth and not spec.user_agent else None
    directory = BrowserDirectory(path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_remove, directory)
        try:
            await to_the_end(asyncio.to_thread(directory.make))
            rest = None
            if fill is not None and (more := await to_the_end(fill(directory.profile))) is not None:
                # Its threads write on when it is cancelled.
                rest = await stack.enter_async_context(running(to_the_end(more()), "browser-fill"))
            await to_the_end(asyncio.to_thread(directory.prepare))
            if cell.user is not None:
                await to_the_end(asyncio.to_thread(directory.give, cell.user))
        except OSError as error:
            raise BrowserFailed(f"the browser's directory cannot be prepared: {error}") from error
        argv = command_line(
            spec,
            binary,
            directory.profile,
            sandbox=cell.sandbox,
            display="DISPLAY" in os.environ,
            user_agent=agent,
            extensions=extensions,
            road=None if road is None else road.port,
        )
        env = environment(directory, spec.timezone)
        words = await asyncio.to_thread(cell.words, binary, directory, extensions, env)
        process = await stack.enter_async_context(chromium(argv, directory, env, tied=tied, confined=words))
        port, where = await endpoint(process, directory, START_TIMEOUT)
        try:
            devtools = await stack.enter_async_context(open_devtools(f"ws://127.0.0.1:{port}{where}"))
            version = await devtools.send("Browser.getVersion")
            browser = Browser(directory, spec.mode, port, where, process.pid, devtools, version, road=road)
            await _follow_pages(browser)
            stack.enter_context(devtools.listening(browser.follow))
            if rest is not None:
                await rest
                if cell.user is not None:  # what has just been laid out is ours still
                    await to_the_end(asyncio.to_thread(directory.give, cell.user))
        except (DevToolsError, DevToolsGone) as error:
            raise BrowserFailed(f"Chromium started but its DevTools do not answer: {error}") from error
        except OSError as error:
            raise BrowserFailed(f"the browser's directory cannot be prepared: {error}") from error
        stack.enter_context(STDERR_WATCH.watching(directory.errors, browser.dropped))
        await stack.enter_async_context(running(_watch(process, browser), "browser-watch"))
        yield browser


async def _remove(directory: BrowserDirectory) -> None:
    await to_the_end(asyncio.to_thread(directory.remove))


async def _follow_pages(browser: Browser) -> None:
    """Follow its pages from now on; return once the first is there: clients take `pages()[0]` at once."""
    found = asyncio.Event()

    def look(method: str, params: dict[str, Any], session: str | None) -> None:
        browser.follow(method, params, session)
        if browser.pages:
            found.set()

    with browser.devtools.listening(look):
        await browser.devtools.send("Target.setDiscoverTargets", {"discover": True})
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await found.wait()
        except TimeoutError:
            raise BrowserFailed("Chromium started but opened no page") from None


async def _watch(process: asyncio.subprocess.Process, browser: Browser) -> None:
    code = await process.wait()
    try:
        if code < 0:
            await end_abandoned(browser.directory)
    finally:  # whatever there is none of, threads or files: it has ended
        with suppress(ValueError):
            browser.reason = browser.reason or f"Chromium was ended by signal {signal.Signals(-code).name}"
        browser.reason = browser.reason or f"Chromium exited with code {code}"
        browser.gone.set()
