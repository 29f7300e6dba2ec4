"""The context of a browser that goes on running, again and again: what has changed is read, the rest is known.

A look costs a page a few short commands. Its isolated world compares storage with what it told last, Chromium tells
which object stores were written to, and the pages' sessions are kept. Origins that are left are read once more, in a
hidden page. Nothing is taken from a page that hangs, and nothing that was known of it is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from browser_pool.tasks import running
from gateway.snapshot.capture import cookies_of
from gateway.snapshot.databases import Databases
from gateway.snapshot.document import ContextDocument, Cookie, origin_of, telling
from gateway.snapshot.origins import known_origins
from gateway.snapshot.reading import FAILURES, REST, Reading
from gateway.snapshot.tabs import Area, Target, opened, pages_of, silent, tabs_of

LIMIT = 20.0  # seconds for the browser itself
LOOK_LIMIT = 3.0  # seconds that a page has the first time; then it hangs
PROBE_LIMIT = 0.1  # seconds that a page which hangs has, to show that it does no more
DATABASES_LIMIT = 20.0  # seconds for the databases of one origin
HIDDEN_LIMIT = 1.0  # seconds for origins that no page has open, all together
AT_ONCE = 4  # pages looked at
LEAVE_LIMIT = 1.0  # seconds to detach from all pages
TRIES = 2  # for an origin that cannot be read in a hidden page
NO_SESSION = -32001  # CDP's code for a command to a session that is gone
NOTHING = ContextDocument()
LOUD = 100  # changes of one origin's databases that are worth hearing of, between two looks


class Checkpointer:
    """What is known of one running browser; made by `checkpointing`."""

    def __init__(
        self,
        devtools: DevTools,
        *,
        profile: Path | None,
        visited: Set[str],
        unopened: bool,
        known: ContextDocument,
    ) -> None:
        self._devtools = devtools
        self._profile = profile
        self._visited = visited
        self._unopened = unopened
        self._reading = Reading(devtools, tracking=True)
        self._lock = asyncio.Lock()
        self._paused = False
        self._stirred = True
        self._cookies: list[Params] = []
        self._jar: tuple[tuple[Cookie, ...], list[str]] = ((), [])
        self._last = ContextDocument()  # keeps alive what `telling` tells apart by identity
        self._told: tuple[object, ...] = ()
        self._seen_last: ContextDocument | None = None
        self._seen: set[str] = set()  # of `visited`
        self._tries: dict[str, int] = {}  # in vain, by origin
        self._hidden_rests = 0.0  # until then no hidden page is opened; time of the event loop
        self._heard: dict[str, int] = {}  # changes of databases since the last look, by origin
        self._loud: asyncio.Queue[str] = asyncio.Queue()  # origins whose databases change too often to be told of
        for state in known.origins:
            local, databases = Area(dict(state.local_storage)), Databases(before=state.databases)
            origin = self._reading.origin(state.origin)
            origin.local, origin.databases, origin.known, origin.stale = local, databases, True, False
        for given in known.permissions:
            self._reading.origin(given.origin).granted |= {given.name}

    def stirred(self) -> None:
        """A client has sent something: what only clients change, permissions, is worth a look."""
        self._stirred = True

    async def pause(self) -> None:
        """Take nothing until `resume`, since the browser will not answer; returns when no look is under way."""
        self._paused = True
        async with self._lock:
            pass

    def resume(self) -> None:
        """The browser answers again."""
        self._paused = False

    async def take(self, *, thorough: bool = False) -> ContextDocument | None:
        """The context as it is now, None if nothing has changed since the last one that was taken; None while paused.

        How far a tab is scrolled and what it is called is no change. What takes long to read (large databases, many
        origins that were left) gets 5% of the time, and is as it was before until its turn comes; `thorough` reads it
        now. Raises DevToolsError and DevToolsGone when the browser itself does not answer.
        """
        async with self._lock:
            if self._paused:
                return None
            document = await self._look(thorough)
            told = telling(document)
            if told == self._told:
                return None
            self._told, self._last = told, document
            return document

    async def current(self) -> ContextDocument | None:
        """The context as it is now, changed or not, as `take(thorough=True)` reads it; what was taken last is another
        matter. While paused that of the last look, None if there was none. Raises as `take`.
        """
        async with self._lock:
            return self._seen_last if self._paused else await self._look(thorough=True)

    async def _look(self, thorough: bool) -> ContextDocument:
        self._reading.asking, self._stirred = self._stirred, False
        try:
            self._seen_last = await self._read(thorough)
        except BaseException:
            self._stirred = True  # another time
            raise
        return self._seen_last

    async def _read(self, thorough: bool) -> ContextDocument:
        reading, devtools = self._reading, self._devtools
        values = (await devtools.send("Storage.getCookies", timeout=LIMIT))["cookies"]
        if values != self._cookies:
            self._cookies, self._jar = values, cookies_of(values)
        await reading.discover(LIMIT)
        reading.claimed.clear()
        self._heard.clear()
        if thorough:
            self._hidden_rests = 0.0
            for origin in reading.origins.values():
                origin.rests = 0.0
                origin.databases.doubt()
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for target in reading.targets.values():
                group.create_task(self._look_at(target, free))
        if devtools.closed.is_set():
            raise DevToolsGone("the browser went away while its context was read")
        pages = pages_of(reading.targets.values())
        await self._note_origins(pages)
        await self._read_unopened(LIMIT if thorough else HIDDEN_LIMIT)
        return ContextDocument(
            cookies=self._jar[0],
            origins=reading.states(),
            tabs=tabs_of(reading.targets.values()),
            permissions=reading.permissions(),
            missing=(*self._jar[1], *self._missing(pages)),
        )

    async def _look_at(self, target: Target, free: asyncio.Semaphore) -> None:
        async with free:
            if not target.failed:
                await self._try(target)
                return
        # Those that hang are not waited for by the others.
        with suppress(*FAILURES):
            await self._reading.read_history(target, PROBE_LIMIT)
            await self._devtools.send(
                "Runtime.evaluate", {"expression": "1"}, session=target.session, timeout=PROBE_LIMIT
            )
            target.failed = False
            await self._try(target)

    async def _try(self, target: Target) -> None:
        for _ in range(2):
            try:
                if not target.session:
                    target.session = await self._attach(target)
                await self._reading.look(target, LOOK_LIMIT, DATABASES_LIMIT)
                return
            except (DevToolsGone, TimeoutError):
                target.failed = True  # until it answers
                return
            except FAILURES as error:
                # It shows another document by now, or is gone, or only its session is.
                if isinstance(error, DevToolsError) and error.code == NO_SESSION:
                    target.session = ""

    async def _attach(self, target: Target) -> str:
        params = {"targetId": target.id, "flatten": True}
        return str((await self._devtools.send("Target.attachToTarget", params, timeout=LOOK_LIMIT))["sessionId"])

    async def _note_origins(self, pages: list[Target]) -> None:
        """Which origins there are, and which of them pages may be writing to without being read."""
        reading = self._reading
        names: set[str | None] = {*opened(pages)}
        if len(self._visited) != len(self._seen):
            names |= {origin_of(url) for url in self._visited - self._seen}
            self._seen |= self._visited
        if self._profile is not None:  # once: what is stored later, pages have stored
            names |= {*await asyncio.to_thread(known_origins, self._profile)}
            self._profile = None
        for name in names:
            if name is not None:
                reading.origin(name)
        for name in reading.claimed:
            reading.origin(name).stale = True
            self._tries.pop(name, None)

    async def _read_unopened(self, seconds: float) -> None:
        """In a hidden page: the origins that were left since they were read, as far as the time allows."""
        reading, loop = self._reading, asyncio.get_running_loop()
        begin = loop.time()
        wanted = [name for name, origin in reading.origins.items() if origin.stale and name not in reading.claimed]
        if not wanted or not self._unopened or begin < self._hidden_rests:
            return
        deadline = begin + seconds
        await reading.unopened(wanted, LOOK_LIMIT, DATABASES_LIMIT, deadline)
        self._hidden_rests = loop.time() + REST * (loop.time() - begin)
        for name in wanted:
            if not reading.origin(name).stale:
                self._tries.pop(name, None)
            elif loop.time() < deadline:  # it had its time
                self._tries[name] = self._tries.get(name, 0) + 1
                if self._tries[name] >= TRIES:
                    reading.origin(name).stale = False  # until a page opens it again

    def _missing(self, pages: list[Target]) -> list[str]:
        words = [silent(page) for page in pages if page.failed and origin_of(page.url)]
        for name, origin in self._reading.origins.items():
            words += [f"{name}: {lost}" for lost in origin.databases.lost]
            if not origin.known:
                words.append(f"storage of {name}: it was not read")
            elif origin.stale and not self._unopened and name not in self._reading.claimed:
                words.append(f"storage of {name}: it is that of the last look while a page had it open")
        return words

    def hear(self, method: str, params: Params, session: str | None) -> None:
        """Take note of a CDP event."""
        if method.startswith("Storage.indexedDB"):
            name = origin_of(params.get("storageKey", "")) or ""
            if (origin := self._reading.origins.get(name)) is None or origin.tracker != session:
                return
            origin.databases.note(params.get("databaseName"), params.get("objectStoreName"))
            if name not in self._reading.claimed:
                origin.stale = True  # a worker's doing, or a page's that is gone
            self._heard[name] = self._heard.get(name, 0) + 1
            if self._heard[name] == LOUD:
                self._loud.put_nowait(name)
        elif method == "Target.detachedFromTarget":
            gone = params["sessionId"]
            for target in self._reading.targets.values():
                if target.session == gone:
                    target.session, target.failed = "", False
            for origin in self._reading.origins.values():
                if origin.tracker == gone:
                    origin.tracker = ""
                    origin.databases.forget()

    async def hush(self) -> None:
        """End the telling where there is too much of it: all of that origin is read again, when its turn comes."""
        while True:
            origin = self._reading.origin(await self._loud.get())
            session, origin.tracker = origin.tracker, ""
            origin.databases.forget()
            # The page may be gone.
            with suppress(DevToolsError, DevToolsGone):
                key = {"storageKey": f"{origin.name}/"}
                await self._devtools.send("Storage.untrackIndexedDBForStorageKey", key, session=session, timeout=LIMIT)

    async def leave(self) -> None:
        """Give the sessions back, if the browser is there to take them."""
        if self._paused or self._devtools.closed.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT):
                for target in self._reading.targets.values():
                    # The target or the browser may be gone by now: then there is nothing left to detach.
                    with suppress(DevToolsError, DevToolsGone):
                        await self._devtools.send("Target.detachFromTarget", {"sessionId": target.session})


@asynccontextmanager
async def checkpointing(
    devtools: DevTools,
    *,
    profile: Path | None = None,
    visited: Set[str] = frozenset(),
    unopened: bool = True,
    known: ContextDocument = NOTHING,
) -> AsyncIterator[Checkpointer]:
    """A checkpointer of a browser for this block.

    `profile`, `visited` (which may grow) and `unopened` are those of `capture`. `known` is what a restored browser
    has by the document it was restored from: origins whose storage is as it says need not be read before they are
    opened (leave them out where a newer profile has it), and permissions of origins that nobody opens are kept.
    """
    checkpointer = Checkpointer(devtools, profile=profile, visited=visited, unopened=unopened, known=known)
    with devtools.listening(checkpointer.hear):
        async with running(checkpointer.hush(), "checkpoint-hush"):
            try:
                yield checkpointer
            finally:
                await checkpointer.leave()
