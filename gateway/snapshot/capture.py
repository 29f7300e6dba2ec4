"""From a running browser to a context document, without disturbing its pages. The mirror image of `restore.py`.

Nothing of it can be seen by a page: reading happens in isolated worlds, and origins that no page has open are read
in a hidden empty page. A page that hangs costs its own time limit, no more, and is named in `missing`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from gateway.errors import GatewayError
from gateway.snapshot.blank import BlankPage, WrongOrigin, address, blank_page
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab, cookie, origin_of
from gateway.snapshot.origins import known_origins
from gateway.snapshot.script import ScriptFailed, run

TARGET_LIMIT = 3.0  # seconds for one page, one frame process, one origin
LIMIT = 20.0  # seconds for all of it
STORAGE_LIMIT = 64 << 20  # characters of IndexedDB an origin; Chromium never answers above 256 MiB
FAILURES = (DevToolsError, DevToolsGone, ScriptFailed, WrongOrigin, TimeoutError)


@dataclass
class _Reading:
    """What has been read so far of one target: a page, or the frames of another process inside one."""

    target: str
    url: str
    parent_frame: str | None  # of frames of another process
    ours: bool  # of the default context
    order: int = 1 << 62  # pages by age: navigation entries are numbered as they are made
    history: tuple[str, ...] = ()
    frames: list[str] = field(default_factory=list)
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    visible: bool = False
    focus: bool = False
    failed: bool = False


@dataclass
class _Storage:
    """Origins read, those still to be read, and what was lost; shared by all readers."""

    read: dict[str, OriginState] = field(default_factory=dict)
    reading: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)

    def add(self, origin: str, dump: dict[str, Any]) -> None:
        items = tuple((name, value) for name, value in dump["localStorage"])
        self.read[origin] = OriginState(origin, items, tuple(dump["indexedDB"]))
        self.lost += [f"{origin}: {words}" for words in dump["lost"]]


async def capture(
    devtools: DevTools,
    *,
    profile: Path | None = None,
    visited: Iterable[str] = (),
    unopened: bool = True,
    target_limit: float = TARGET_LIMIT,
    limit: float = LIMIT,
) -> ContextDocument:
    """Cookies, tabs and storage as they are now; `profile` (the user-data-dir) tells of origins that are not open.

    `visited` are URLs or origins known otherwise: what a page has just stored is in the profile only seconds later.

    Cookies and storage are those of the default context: pages of other contexts (Playwright's `newContext()`) are
    among the tabs, since Playwright too folds them together after a reconnect, but their cookies and storage are not.
    The storage of a third party's frame is the page's own (partitioned) and not in the document, except for session
    storage. `unopened` False leaves out the origins that no page has open (`missing` says so): they need a hidden page,
    which drivers connected to a headless shell take for a new page of theirs; in the full browser they do not.
    Limits in seconds. Raises DevToolsError and DevToolsGone when the browser itself does not answer.
    """
    deadline = asyncio.get_running_loop().time() + limit
    storage = _Storage()
    jar = _cookies((await devtools.send("Storage.getCookies", timeout=limit))["cookies"], storage.lost)
    readings = await _targets(devtools, limit)
    async with asyncio.TaskGroup() as group:
        for reading in readings:
            group.create_task(_read_target(devtools, reading, storage, target_limit))
    if devtools.closed.is_set():
        raise DevToolsGone("the browser went away while its context was read")
    pages = sorted((r for r in readings if r.parent_frame is None), key=lambda r: (not r.ours, r.order, r.target))
    for page in pages:
        if page.failed and origin_of(page.url):
            storage.lost.append(f"session storage of the page {_plain(address(page.url))}: it did not answer")
    known = await asyncio.to_thread(known_origins, profile) if profile is not None else []
    opened = [origin_of(url) for page in pages if page.ours for url in (page.url, *page.history)]
    seen = map(origin_of, visited)
    wanted = [origin for origin in dict.fromkeys((*opened, *known, *seen)) if origin and origin not in storage.read]
    if wanted and unopened:
        await _read_unopened(devtools, wanted, storage, target_limit, deadline)
    storage.lost += [f"storage of {origin}: it was not read" for origin in wanted if origin not in storage.read]
    return ContextDocument(
        cookies=jar,
        origins=tuple(state for _, state in sorted(storage.read.items()) if state.local_storage or state.databases),
        tabs=_tabs(pages, readings),
        missing=tuple(storage.lost),
    )


def _cookies(values: Sequence[Params], lost: list[str]) -> tuple[Cookie, ...]:
    found = []
    for value in values:
        if value.get("partitionKeyOpaque"):  # without its key it would become everybody's cookie
            lost.append(f"cookie {value['name']} of {value['domain']}: its partition has no name")
            continue
        try:
            found.append(cookie(value, "it"))
        except GatewayError as error:
            lost.append(f"cookie {value['name']} of {value['domain']}: {error.message}")
    return tuple(found)


def _plain(url: str) -> str:
    """A url without query and fragment, which may hold secrets."""
    return url.partition("#")[0].partition("?")[0]


async def _targets(devtools: DevTools, limit: float) -> list[_Reading]:
    contexts = await devtools.send("Target.getBrowserContexts", timeout=limit)
    others = set(contexts["browserContextIds"])
    infos = (await devtools.send("Target.getTargets", timeout=limit))["targetInfos"]
    return [
        _Reading(
            target=info["targetId"],
            url=info["url"],
            parent_frame=info.get("parentFrameId", "") if info["type"] == "iframe" else None,
            ours=info.get("browserContextId") not in others,
        )
        for info in infos
        if info["type"] in ("page", "iframe") and not info["url"].startswith("devtools:")
    ]


async def _read_target(devtools: DevTools, reading: _Reading, storage: _Storage, limit: float) -> None:
    try:
        async with asyncio.timeout(limit), devtools.attached(reading.target) as session:
            if reading.parent_frame is None:
                await _read_history(devtools, session, reading, limit)
            # A page that loops or shows a dialog answers nothing from here on.
            tree = (await devtools.send("Page.getFrameTree", session=session, timeout=limit))["frameTree"]
            for frame in _frames(tree):
                reading.frames.append(frame["id"])
                await _read_frame(devtools, session, frame, reading, storage, limit)
    except FAILURES:
        reading.failed = True  # told to the caller by `capture`


async def _read_history(devtools: DevTools, session: str, reading: _Reading, limit: float) -> None:
    try:
        history = await devtools.send("Page.getNavigationHistory", session=session, timeout=limit)
    except DevToolsError:  # in the middle of a navigation; the new page answers the first once it is in place
        await devtools.send("Page.getFrameTree", session=session, timeout=limit)
        history = await devtools.send("Page.getNavigationHistory", session=session, timeout=limit)
    entries = history["entries"]
    if entries:
        reading.order = entries[0]["id"]
        reading.url = entries[history["currentIndex"]]["url"] or reading.url
        reading.history = tuple(entry["url"] for entry in entries)


def _frames(tree: Params) -> Iterable[Params]:
    yield tree["frame"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)


async def _read_frame(
    devtools: DevTools, session: str, frame: Params, reading: _Reading, storage: _Storage, limit: float
) -> None:
    world = {"frameId": frame["id"], "worldName": "context"}
    made = await devtools.send("Page.createIsolatedWorld", world, session=session, timeout=limit)
    context = made["executionContextId"]
    seen = await run(devtools, session, "frame", context=context, timeout=limit)
    origin = origin_of(seen["origin"])
    main = reading.parent_frame is None and len(reading.frames) == 1
    if main:
        reading.visible, reading.focus = seen["visible"], seen["focus"]
    if origin is None or seen["sessionStorage"] is None:
        return
    if seen["sessionStorage"]:
        reading.sessions.setdefault(origin, dict(seen["sessionStorage"]))
    # Only a main frame's storage is the origin's own for certain; a frame's may be partitioned.
    if main and reading.ours and origin not in storage.read and origin not in storage.reading:
        storage.reading.add(origin)
        # Less than the limit, so that what could be read in time arrives in time.
        bounds = (STORAGE_LIMIT, limit * 600)
        storage.add(origin, await run(devtools, session, "dump", *bounds, context=context, timeout=limit))


async def _read_unopened(
    devtools: DevTools, origins: Sequence[str], storage: _Storage, limit: float, deadline: float
) -> None:
    try:
        async with blank_page(devtools) as page:
            for origin in origins:
                left = min(limit, deadline - asyncio.get_running_loop().time())
                if left > 0:
                    await _read_origin(page, origin, storage, left)
    except DevToolsError as error:
        storage.lost.append(f"no page to read storage in: {error}")


async def _read_origin(page: BlankPage, origin: str, storage: _Storage, limit: float) -> None:
    # What is not in `storage.read` afterwards is reported by `capture`.
    with suppress(*FAILURES):
        async with asyncio.timeout(limit):
            await page.visit(origin, timeout=limit)
            storage.add(origin, await page.run("dump", STORAGE_LIMIT, limit * 600, timeout=limit))


def _tabs(pages: Sequence[_Reading], readings: Sequence[_Reading]) -> tuple[Tab, ...]:
    sessions = {id(page): dict(page.sessions) for page in pages}
    for page in pages:
        frames = set(page.frames)
        inside = [r for r in readings if r.parent_frame in frames]
        while inside:  # frames of other processes, and those inside of them
            frame = inside.pop()
            for origin, items in frame.sessions.items():
                sessions[id(page)].setdefault(origin, items)
            inside += [r for r in readings if r.parent_frame in frame.frames]
    # A browser without windows shows every page as visible; then the focus decides, then the youngest page.
    # If no page that answers is visible, it is one that does not.
    active = max(pages, key=lambda r: (r.visible, r.failed, r.focus, r.order), default=None)
    # A popup that has not been anywhere yet has no url.
    return tuple(Tab(address(page.url) or "about:blank", page is active, sessions[id(page)]) for page in pages)
