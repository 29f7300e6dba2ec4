"""What has been read so far of a browser's pages and origins. `capture.py` reads once, `checkpoint.py` again and again:
then only what has changed is told by the pages.

Nothing of it can be seen by a page: reading happens in isolated worlds.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from gateway.snapshot.blank import BlankPage, WrongOrigin, blank_page
from gateway.snapshot.databases import Databases
from gateway.snapshot.document import OriginState, Permission, origin_of
from gateway.snapshot.script import Ask, ScriptFailed, isolated
from gateway.snapshot.tabs import Area, Target, entries_of

FAILURES = (DevToolsError, DevToolsGone, ScriptFailed, WrongOrigin, TimeoutError)
IN_TIME = 0.6  # of a limit is for reading, so that what was read by then arrives in time
REST = 19  # times what reading an origin's databases took: 5% of the time are spent on it

# As navigator.permissions and Browser.setPermission both call them (`push` with userVisibleOnly).
PERMISSIONS = tuple(
    "accelerometer background-fetch background-sync camera captured-surface-control clipboard-read clipboard-write"
    " display-capture geolocation gyroscope idle-detection keyboard-lock local-fonts local-network"
    " local-network-access loopback-network magnetometer microphone midi notifications payment-handler"
    " periodic-background-sync persistent-storage pointer-lock push screen-wake-lock storage-access"
    " window-management".split()
)
# What the full browser grants to everyone (the headless shell: nothing), as long as nothing was granted by a driver:
# Browser.grantPermissions denies all that it does not name.
USUAL = frozenset(
    "accelerometer background-fetch background-sync clipboard-write gyroscope keyboard-lock magnetometer"
    " payment-handler pointer-lock screen-wake-lock storage-access".split()
)


@dataclass(eq=False)
class Origin:
    """What an origin has stored, and since when that is known."""

    name: str
    local: Area = field(default_factory=Area)
    databases: Databases = field(default_factory=Databases)
    tracker: str = ""  # the session that is told when databases change
    rests: float = 0.0  # until then they are not read again; time of the event loop
    granted: frozenset[str] = frozenset()
    known: bool = False  # it has been read
    stale: bool = True  # it may have changed since
    _state: OriginState | None = None

    def keep(self, local: Area) -> None:
        """Its localStorage, as it was told."""
        if local.items != self.local.items:
            self.touch()
        self.local = local

    def touch(self) -> None:
        """Something of it is different."""
        self._state = None

    @property
    def state(self) -> OriginState:
        """For the document; the same object as long as nothing is different."""
        if self._state is None:
            self._state = OriginState(self.name, tuple(sorted(self.local.items.items())), self.databases.state())
        return self._state


class Reading:
    """Targets and origins by their ids and names, and how they are read."""

    def __init__(self, devtools: DevTools, *, tracking: bool = False) -> None:
        """`tracking`: be told of databases that change, on sessions that are kept."""
        self.targets: dict[str, Target] = {}
        self.origins: dict[str, Origin] = {}
        self.claimed: set[str] = set()  # origins that a page is being asked for, in this round
        self.asking = True  # what is granted to origins that are known, too
        self._devtools = devtools
        self._tracking = tracking
        self._context: str | None = None  # the default one, once it is known

    def origin(self, name: str) -> Origin:
        """What is known of an origin, maybe nothing."""
        return self.origins.setdefault(name, Origin(name))

    async def discover(self, limit: float) -> None:
        """Which targets there are now. Raises DevToolsError and DevToolsGone."""
        if self._context is None:
            contexts = await self._devtools.send("Target.getBrowserContexts", timeout=limit)
            others = set(contexts["browserContextIds"])
        infos = (await self._devtools.send("Target.getTargets", timeout=limit))["targetInfos"]
        found: dict[str, Target] = {}
        for info in infos:
            if info["type"] not in ("page", "iframe") or info["url"].startswith("devtools:"):
                continue
            context = info.get("browserContextId", "")
            if self._context is None and context not in others:
                self._context = context
            target = self.targets.get(info["targetId"]) or Target(
                id=info["targetId"],
                url=info["url"],
                parent_frame=info.get("parentFrameId", "") if info["type"] == "iframe" else None,
                ours=context == self._context,
            )
            target.url = info["url"]
            found[target.id] = target
        self.targets = found

    async def look(self, target: Target, limit: float, databases_limit: float) -> None:
        """Read what is new in a target, over its session; limits in seconds. Raises FAILURES.

        What was known stays where the target does not answer.
        """
        async with asyncio.timeout(limit):
            if target.parent_frame is None:
                await self.read_history(target, limit)
            # A page that loops or shows a dialog answers nothing from here on.
            tree = (await self._devtools.send("Page.getFrameTree", session=target.session, timeout=limit))["frameTree"]
            frames = list(_frames(tree))
            target.frames = [frame["id"] for frame in frames]
            areas: dict[str, Area] = {}
            main = await self._look_into(target, frames[0], areas, limit)
            target.areas |= areas
            for frame in frames[1:]:
                # Frames of one origin share their sessionStorage.
                if origin_of(frame.get("securityOrigin", "")) not in areas:
                    await self._look_into(target, frame, areas, limit)
            target.areas = areas
        if main is not None and target.origin is not None:
            await self._read_databases(self.origin(target.origin), main, target.session, databases_limit)

    async def read_history(self, target: Target, limit: float) -> None:
        """Where a page is and was; one that hangs tells it too. Raises DevToolsError and DevToolsGone."""
        ask = "Page.getNavigationHistory"
        try:
            history = await self._devtools.send(ask, session=target.session, timeout=limit)
        except DevToolsError:  # in the middle of a navigation; the new page answers the first once it is in place
            await self._devtools.send("Page.getFrameTree", session=target.session, timeout=limit)
            history = await self._devtools.send(ask, session=target.session, timeout=limit)
        if entries := history["entries"]:
            target.order = entries[0]["id"]
            target.url = entries[history["currentIndex"]]["url"] or target.url
            target.history, target.index = entries_of(entries, history["currentIndex"])

    async def _look_into(self, target: Target, frame: Params, areas: dict[str, Area], limit: float) -> Ask | None:
        """Read one frame; the way to ask it, where it is to be asked for the storage of its origin too."""
        name = origin_of(frame.get("securityOrigin", ""))
        main = target.parent_frame is None and frame["id"] == target.frames[0]
        # Only a main frame's storage is the origin's own for certain; a frame's may be partitioned.
        claims = main and target.ours and name is not None and name not in self.claimed
        origin = self.origin(name) if claims and name is not None else None
        if origin is not None:
            self.claimed.add(origin.name)
        ask = None
        try:
            ask = await self._ask_frame(target, frame, areas, origin, limit)
        finally:
            if ask is None and origin is not None:
                self.claimed.discard(origin.name)
        return ask if origin is not None else None

    async def _ask_frame(
        self, target: Target, frame: Params, areas: dict[str, Area], origin: Origin | None, limit: float
    ) -> Ask | None:
        """What a frame has stored, and its `origin` if that is given; None if it has no storage."""
        ask = await isolated(self._devtools, target.session, frame["id"], timeout=limit)
        name = origin_of(frame.get("securityOrigin", ""))
        session = (target.areas.get(name or "") or Area()).copy()
        local = origin.local.copy() if origin is not None else None
        more = True
        while more:
            seen = await ask("look", local and local.generation, session.generation)
            if target.parent_frame is None and frame["id"] == target.frames[0]:
                target.visible, target.focus = seen["visible"], seen["focus"]
                target.scroll = (seen["scroll"][0], seen["scroll"][1])
                target.origin = name if origin_of(seen["origin"]) == name else None
            if name is None or origin_of(seen["origin"]) != name or seen["session"] is None:
                return None
            more = session.take(seen["session"]) | (local is not None and local.take(seen["local"]))
        areas[name or ""] = session
        if origin is not None and local is not None:
            origin.keep(local)
            await self._read_permissions(origin, ask)
        return ask

    async def _read_permissions(self, origin: Origin, ask: Ask) -> None:
        if self.asking or not origin.known:
            answer = await ask("granted", PERMISSIONS)
            granted = frozenset(answer["granted"])
            origin.granted = granted - USUAL if granted >= USUAL or not answer["secure"] else granted

    async def _read_databases(self, origin: Origin, ask: Ask, session: str, limit: float) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        if not origin.databases.dirty:
            origin.known = True
        if begin < origin.rests or (origin.known and not origin.databases.dirty):
            return
        # A transaction of the page's that goes on and on is no reason to lose the rest of it: it is tried again.
        with suppress(*FAILURES):
            async with asyncio.timeout(limit):
                await self._track(origin, session, limit)
                if await origin.databases.read(ask, until=begin + IN_TIME * limit):
                    origin.touch()
                origin.known = True
        origin.rests = loop.time() + REST * (loop.time() - begin)

    async def _track(self, origin: Origin, session: str, limit: float) -> None:
        """Be told when its databases change; any page's `session` will do, and lasts when that goes elsewhere."""
        session = session or next((target.session for target in self.targets.values() if target.ours), "")
        if self._tracking and not origin.tracker and session:
            key = {"storageKey": f"{origin.name}/"}
            await self._devtools.send("Storage.trackIndexedDBForStorageKey", key, session=session, timeout=limit)
            origin.tracker = session

    async def unopened(self, names: Sequence[str], limit: float, databases_limit: float, deadline: float) -> str:
        """Read origins that no page has open, in a hidden page; why there is no such page, or "".

        Limits in seconds for each; none is begun after `deadline`. One that could not be read is still `stale`. Raises
        DevToolsGone.
        """
        try:
            async with blank_page(self._devtools) as page:
                for name in names:
                    if asyncio.get_running_loop().time() >= deadline:
                        break
                    with suppress(*FAILURES):
                        await self._read_unopened(page, self.origin(name), limit, databases_limit)
        except DevToolsError as error:
            return f"no page to read storage in: {error}"
        return ""

    async def _read_unopened(self, page: BlankPage, origin: Origin, limit: float, databases_limit: float) -> None:
        async with asyncio.timeout(limit):
            await page.visit(origin.name, timeout=limit)
            tree = await self._devtools.send("Page.getFrameTree", session=page.session, timeout=limit)
            ask = await isolated(self._devtools, page.session, tree["frameTree"]["frame"]["id"], timeout=limit)
            local, more = origin.local.copy(), True
            while more:
                seen = await ask("look", local.generation, None)
                if origin_of(seen["origin"]) != origin.name:
                    raise WrongOrigin(f"an empty page of {origin.name} went elsewhere")
                more = local.take(seen["local"])
            origin.keep(local)
            await self._read_permissions(origin, ask)
        async with asyncio.timeout(databases_limit):
            await self._track(origin, "", limit)
            until = asyncio.get_running_loop().time() + IN_TIME * databases_limit
            if origin.databases.dirty and await origin.databases.read(ask, until=until):
                origin.touch()
        origin.known, origin.stale = True, False

    def permissions(self) -> tuple[Permission, ...]:
        """Of all origins, beyond what everyone has."""
        return tuple(
            Permission(name, given) for name, origin in sorted(self.origins.items()) for given in sorted(origin.granted)
        )

    def states(self) -> tuple[OriginState, ...]:
        """Of all origins that have stored something."""
        states = (origin.state for _, origin in sorted(self.origins.items()))
        return tuple(state for state in states if state.local_storage or state.databases)


def _frames(tree: Params) -> Iterator[Params]:
    yield tree["frame"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)
