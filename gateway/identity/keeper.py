"""Holds an identity over CDP: a session of ours on every target, and a hold on requests until it is in force there.

Chromium starts no script of a new target before we have answered (`waitForDebuggerOnStart`), with exceptions: a
window that is opened at a url asks for it at once, and any client's answer lets a popup or a shared worker go. So
documents are held as well (`Fetch`), until all that is to be said to their page is on its way: what goes out on one
socket is dealt with in its order, and what a page's process has not answered is said again to the next one.

For the same reason a popup gets our answer late: its driver's scripts would come too late if it went by ours. And a
driver's answer waits until workers have taken what is said to them (`Keeper.workers_taken`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from browser_pool.tasks import Start, crew
from gateway.identity.overrides import Command, Overrides, Running, overrides
from gateway.identity.stealth import disguised
from gateway.records import Identity

SETTLE = 2.0  # seconds for pages that are there already to take it
HOLD = 10.0  # seconds that a document waits for its page to take it, which only one that hangs lets pass
ANSWER = 1.0  # seconds that a driver's answer to a worker waits for ours
GRACE = 1.0  # seconds that a popup waits for a driver to let it go, where there may be none
USUAL_LOCALE = "en-US"  # the one that every Chromium has
FAREWELL = 2.0  # seconds for the browser to let go of us
PATIENCE = 0.2  # seconds for what is under way then
# What comes to the browser's session, and what to a page's, a frame's or a worker's.
PAGES = [{"type": "page"}]
OUTER = [*PAGES, {"type": "service_worker"}, {"type": "shared_worker"}]
INNER = [{"type": "iframe"}, {"type": "worker"}]


@asynccontextmanager
async def keeping(
    devtools: DevTools, identity: Identity | None, *, stealth: bool = False
) -> AsyncIterator["Keeper | None"]:
    """Hold `identity` in the browser of `devtools`, in what it shows now and later, while the block lasts.

    What the flags of `launch` do already costs nothing here. Raises DevToolsError and DevToolsGone on entering;
    later the browser may go at any moment, which ends the holding in silence. Yields None where there is nothing to
    hold.
    """
    wanted = Overrides()
    if stealth:
        wanted = await _disguise(devtools, identity)
    elif identity is not None:
        wanted = await _overrides(devtools, identity)
    if not wanted.attaches and not wanted.patterns:
        yield None
        return
    async with crew(patience=PATIENCE) as start:
        keeper = Keeper(devtools, wanted, start)
        with devtools.listening(keeper.look):
            try:
                await keeper.begin()
                yield keeper
            finally:
                await keeper.end()


class Keeper:
    """The work of `keeping`: `look` takes every event of the connection."""

    def __init__(self, devtools: DevTools, wanted: Overrides, start: Start) -> None:
        self._devtools = devtools
        self._wanted = wanted
        self._start = start
        self._sessions: dict[str, str] = {}  # ours, to their targets
        self._settled: dict[str, asyncio.Event] = {}  # by target: it has taken all that was said
        self._live: set[str] = set()  # pages that had a document when they came: they answer before the next one
        self._workers: set[str] = set()  # targets
        self._permitted: set[str | None] = set()  # browser contexts

    async def begin(self) -> None:
        """Attach to all that is there and comes; returns once what was there has taken it."""
        if patterns := self._wanted.patterns:
            await self._devtools.send("Fetch.enable", {"patterns": patterns})
        if self._wanted.attaches:
            kinds = OUTER if self._wanted.worker else PAGES
            await self._devtools.send("Target.setAutoAttach", _attaching(kinds))
            self._live.update(self._settled)  # what was there before us has one
            with suppress(TimeoutError):  # a page that hangs shall not hold up the rest
                async with asyncio.timeout(SETTLE):
                    for event in list(self._settled.values()):
                        await event.wait()

    async def end(self) -> None:
        """Let go of everything; a browser that is gone has done so."""
        with suppress(DevToolsError, DevToolsGone):
            if self._wanted.attaches:
                params = {"autoAttach": False, "waitForDebuggerOnStart": False, "flatten": True}
                await self._devtools.send("Target.setAutoAttach", params, timeout=FAREWELL)
            if self._wanted.patterns:
                await self._devtools.send("Fetch.disable", timeout=FAREWELL)

    async def workers_taken(self) -> None:
        """Return once every worker that there is has taken what is said to it, or hangs.

        Any client's answer starts a shared worker, so that a driver's must not come before: its events and ours are
        on two sockets, and which is read first is chance.
        """
        if not self._wanted.worker:
            return
        with suppress(DevToolsError, DevToolsGone, TimeoutError):
            async with asyncio.timeout(ANSWER):
                await self._devtools.send("Browser.getVersion")  # behind every event that the driver may have seen
                for target in tuple(self._workers):
                    if (settled := self._settled.get(target)) is not None:
                        await settled.wait()

    def look(self, method: str, params: Params, session: str | None) -> None:
        """One event. What it asks for is begun here and not in a task, so that it goes out in the order of events."""
        if method == "Fetch.requestPaused" and session is None:
            self._start(self._release(params), "identity-request")
        elif method == "Target.attachedToTarget" and self._wanted.attaches:
            self._attached(params, session)
        elif method == "Target.detachedFromTarget":
            self._detached(params["sessionId"])

    # --- targets ---

    def _attached(self, params: Params, parent: str | None) -> None:
        info, session = params["targetInfo"], params["sessionId"]
        target, kind = info["targetId"], info["type"]
        outer = parent is None and {"type": kind} in OUTER and target not in self._settled
        if not outer and parent not in self._sessions:
            return  # attached on purpose, by whoever shares the connection with us: ours came before
        self._sessions[session] = target
        settled = self._settled[target] = asyncio.Event()
        popup = bool(info.get("canAccessOpener"))  # it shares its opener's process until it has a document of its own
        if popup or info["url"] == "about:blank":
            self._live.add(target)
        if kind.endswith("worker"):
            self._workers.add(target)
        if kind == "page" and self._wanted.permission:
            self._permit(info.get("browserContextId"))
        commands = self._commands(kind)
        left = len(commands)
        if not commands:
            settled.set()

        def answered() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                settled.set()

        for method, said in commands:
            self._say(session, method, said, answered)
        self._say(session, "Runtime.runIfWaitingForDebugger", {}, wait=GRACE if popup else 0)

    def _commands(self, kind: str) -> tuple[Command, ...]:
        """For one kind of target, by Chromium's name of it."""
        wanted = self._wanted
        said = wanted.page if kind == "page" else wanted.frame if kind == "iframe" else wanted.worker
        return (("Target.setAutoAttach", _attaching(INNER)), *said) if wanted.worker else said

    def _detached(self, session: str) -> None:
        target = self._sessions.pop(session, None)
        if target is not None:
            self._settled.pop(target, asyncio.Event()).set()
            self._live.discard(target)
            self._workers.discard(target)

    def _permit(self, context: str | None) -> None:
        if context not in self._permitted:
            self._permitted.add(context)
            params: Params = {"permission": {"name": "geolocation"}, "setting": "granted"}
            if context is not None:
                params["browserContextId"] = context
            self._say(None, "Browser.setPermission", params)

    # --- requests ---

    async def _release(self, paused: Params) -> None:
        """Let a held request go on, with its headers put right, once its page has taken what was said."""
        target = paused["frameId"]
        settled = self._settled.get(target)
        if settled is not None and target in self._live and paused["resourceType"] == "Document":
            with suppress(TimeoutError):
                async with asyncio.timeout(HOLD):
                    await settled.wait()
            self._live.discard(target)  # one that hangs is not waited for with each of its documents
        params: Params = {"requestId": paused["requestId"]}
        headers = self._wanted.dressed(paused["request"]["headers"], paused["resourceType"])
        if headers is not None:
            params["headers"] = [{"name": name, "value": value} for name, value in headers.items()]
        await self._said(None, "Fetch.continueRequest", params)

    # --- the wire ---

    def _say(
        self,
        session: str | None,
        method: str,
        params: Params,
        answered: Callable[[], None] | None = None,
        *,
        wait: float = 0,
    ) -> None:
        async def saying() -> None:
            if wait:
                await asyncio.sleep(wait)
            await self._said(session, method, params)
            if answered is not None:
                answered()

        self._start(saying(), "identity")

    async def _said(self, session: str | None, method: str, params: Params) -> None:
        # A target may be gone at any moment, and with it what was to be said to it; so may the browser.
        with suppress(DevToolsError, DevToolsGone):
            await self._devtools.send(method, params, session=session)


def _attaching(kinds: list[dict[str, str]]) -> Params:
    return {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": kinds}


async def _overrides(devtools: DevTools, identity: Identity) -> Overrides:
    """What is to be held; the browser is asked only what the answer depends on."""
    if identity.user_agent is None and identity.locale is None:
        return overrides(identity, Running("", "", shell=False, intl=""))
    version = await devtools.send("Browser.getVersion")
    name, _, number = version["product"].partition("/")
    # With a user agent there is something to be held anyhow, and the script looks for itself what Intl speaks.
    intl = USUAL_LOCALE if identity.user_agent is not None else await _intl(devtools)
    return overrides(identity, Running(number, version["userAgent"], shell=name.startswith("Headless"), intl=intl))


async def _disguise(devtools: DevTools, identity: Identity | None) -> Overrides:
    version = await devtools.send("Browser.getVersion")
    itself = await devtools.send("Target.getTargetInfo")  # of the browser: the secret part of its endpoint
    name, _, number = version["product"].partition("/")
    key, shell = itself["targetInfo"]["targetId"], name.startswith("Headless")
    running = Running(number, version["userAgent"], shell=shell, intl=USUAL_LOCALE, key=key)
    return overrides(disguised(identity, number, shell=shell), running, stealth=True)


async def _intl(devtools: DevTools) -> str:
    """The locale of Intl in the first page that says it; empty if none does.

    Asked in a world of its own: in the page's an earlier keeper's script may still answer.
    """
    for info in (await devtools.send("Target.getTargets"))["targetInfos"]:
        if info["type"] != "page":
            continue
        with suppress(DevToolsError, DevToolsGone):  # it has just been closed, or hangs
            async with devtools.attached(info["targetId"]) as session:
                world = await devtools.send(
                    "Page.createIsolatedWorld", {"frameId": info["targetId"]}, session=session, timeout=SETTLE
                )
                params = {
                    "expression": "new Intl.NumberFormat().resolvedOptions().locale",
                    "contextId": world["executionContextId"],
                }
                reply = await devtools.send("Runtime.evaluate", params, session=session, timeout=SETTLE)
                return str(reply["result"].get("value", ""))
    return ""
