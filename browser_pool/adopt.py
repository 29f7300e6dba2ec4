"""Browsers that an earlier process left: found again by their notes, and taken over with all that is in them.

They are not our children: their end is seen by a pidfd, and made certain by looking for what is left of them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from os import geteuid, truncate
from pathlib import Path
from typing import Any

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone, open_devtools
from browser_pool.errors import BrowserFailed
from browser_pool.guard import NOTE
from browser_pool.note import Note, erase
from browser_pool.pidfd import ended
from browser_pool.process import end_abandoned, end_left
from browser_pool.procfs import Tree, directories_of, wake
from browser_pool.profile import BrowserDirectory
from browser_pool.road import Road, Roads
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stderr import STDERR_WATCH
from browser_pool.tasks import running, to_the_end

ANSWER = 5.0  # seconds for one that was left to answer, each of three questions
REASON = "Chromium ended"  # nobody but its parent is told how


@dataclass(frozen=True, slots=True)
class Left:
    """A browser that an earlier process left; `alive` as of the start of this one."""

    note: Note
    directory: BrowserDirectory
    alive: bool

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.note.owner

    @property
    def spec(self) -> LaunchSpec:
        """What was asked for; of a ready one that was handed out, its owner's wishes."""
        return self.note.spec

    @property
    def mode(self) -> Mode:
        """How it runs."""
        return self.note.spec.mode

    @property
    def about(self) -> Mapping[str, Any]:
        """What its owner said last (Browser.annotate)."""
        return self.note.about

    @property
    def tree(self) -> Tree:
        """Where its processes are found."""
        return self.note.tree(self.directory)


def found(root: Path) -> tuple[dict[str, Left], list[Tree]]:
    """What is under `root`: what somebody may want, by owner, and the rest. Blocking.

    Where two have the same owner the one that lives is kept, else the newest.
    """
    claims: list[tuple[bool, float, Left]] = []
    running = directories_of(root)  # first: one that is just starting has its directory already
    there = {str(path) for path in root.iterdir() if path.is_dir()}
    unwanted: list[Tree] = [(path, 0, 0) for path in running - there]  # somebody removed it while it ran
    for path in map(Path, there):
        directory = BrowserDirectory(path)
        note = Note.read(directory) if path.stat().st_uid == geteuid() else None
        if note is None:
            unwanted.append((str(path), 0, 0))
        else:
            alive = note.runs(directory)
            claims.append((alive, (path / NOTE).stat().st_mtime, Left(note, directory, alive)))
    left: dict[str, Left] = {}
    for _, _, claim in sorted(claims, key=lambda claim: claim[:2]):
        if (loser := left.get(claim.owner)) is not None:
            unwanted.append(loser.tree)
        left[claim.owner] = claim
    return left, unwanted


def removed(trees: list[Tree]) -> None:
    """End these browsers, dead ones too, and remove their directories. Blocking. Raises OSError."""
    for directory, _, _ in trees:
        erase(BrowserDirectory(Path(directory)))  # if we are killed here, nobody shall take half a profile for a whole
    end_left(trees)
    for directory, _, _ in trees:
        BrowserDirectory(Path(directory)).remove()


@asynccontextmanager
async def adopted(left: Left, roads: Roads | None = None) -> AsyncIterator[Browser]:
    """That browser, as from a launch: at the end of the block neither process nor directory of it is left.

    First its road is there again, where it was. Raises BrowserFailed if it does not answer, or its road cannot be had,
    or it has none where browsers have one: then it has been ended, and its directory is still there.
    """
    note, directory = left.note, left.directory
    async with AsyncExitStack() as stack:
        try:
            road = await _reopened(note, roads, stack)
        except BrowserFailed:
            await to_the_end(asyncio.to_thread(end_left, [left.tree]))
            raise
        try:
            await asyncio.to_thread(wake, left.tree)
            url = f"ws://127.0.0.1:{note.port}{note.path}"
            devtools = await stack.enter_async_context(open_devtools(url, timeout=ANSWER))
            version = await devtools.send("Browser.getVersion", timeout=ANSWER)
            browser = Browser(directory, left.mode, note.port, note.path, note.pid, devtools, version)
            browser.note, browser.road = note, road
            browser.visited.update(note.visited)
            stack.enter_context(devtools.listening(browser.follow))
            # Chromium tells of all that are there before it answers.
            await devtools.send("Target.setDiscoverTargets", {"discover": True}, timeout=ANSWER)
            places = {page: place for place, page in enumerate(note.pages)}
            order = sorted(browser.pages, key=lambda page: places.get(page, len(places)))
            browser.pages = {page: browser.pages[page] for page in order}
            await asyncio.to_thread(truncate, directory.errors, 0)  # what it said concerned others
        except (DevToolsError, DevToolsGone, OSError) as error:
            await to_the_end(asyncio.to_thread(end_left, [left.tree]))
            raise BrowserFailed(f"the browser that was left does not answer: {error}") from error
        async with AsyncExitStack() as end:
            end.push_async_callback(_end, left)
            end.push_async_callback(stack.pop_all().aclose)
            end.enter_context(STDERR_WATCH.watching(directory.errors, browser.dropped))
            await end.enter_async_context(running(_watch(note, browser), "adopted-browser-watch"))
            await end.enter_async_context(browser.noted())
            yield browser


async def _reopened(note: Note, roads: Roads | None, stack: AsyncExitStack) -> Road | None:
    if (roads is None) is not (note.road is None):
        how = "went out without a proxy" if roads else "goes out through a proxy, and there is none any more"
        raise BrowserFailed(f"the browser that was left {how}")
    if roads is None:
        return None
    try:
        return await stack.enter_async_context(roads.open(note.road))
    except OSError as error:
        raise BrowserFailed(f"the proxy of the browser that was left cannot be had again: {error}") from error


@asynccontextmanager
async def salvaged(left: Left) -> AsyncIterator[BrowserDirectory]:
    """The directory of a browser that has ended, or is ended now; removed at the end of the block."""
    await to_the_end(asyncio.to_thread(end_left, [left.tree]))
    try:
        yield left.directory
    finally:
        await _end(left)


def dead(left: Left) -> Left:
    """The same, known to have ended."""
    return replace(left, alive=False)


async def _end(left: Left) -> None:
    await to_the_end(asyncio.to_thread(removed, [left.tree]))


async def _watch(note: Note, browser: Browser) -> None:
    await ended(note.pid, note.start)
    try:
        await end_abandoned(browser.directory)
    finally:  # as in browser.py
        browser.reason = browser.reason or REASON
        browser.gone.set()
