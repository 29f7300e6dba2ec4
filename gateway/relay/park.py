"""A browser between its drivers: what the last one set stays in force, and nothing waits for somebody who has gone.

Chromium gives user agent, viewport, permissions and the like back when the session, or the connection, that set them
ends. So the gateway sets them again, on sessions of its own: what can be in force twice before the driver's connection
goes, the rest right behind its end. What goes by from a driver is noted by its `Turn`; which page a session of its is
for is asked over its own connection, once it does not need that any more. When a later driver sets something that is
held for a page, ours is taken back first: Chromium would refuse it (locale, timezone), or go back to ours when the
driver takes it back.

While nobody drives, dialogs are answered, and pages that open others get them ready before their first script.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum
from typing import Any

import structlog

from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, open_devtools
from browser_pool.tasks import Start, crew
from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg
from gateway.relay.overrides import RESET_PERMISSIONS, Held, Override, Overrides, setting_of
from gateway.relay.pages import FRAMES, PAGES, Command, Page, attach

log = structlog.get_logger()

LEAVING = 1.0  # seconds for what is done before a driver's connection goes
SETTLING = 0.5  # seconds for what is done behind it, while the next driver may be waiting
COMING = 2.0  # seconds that a driver may be kept waiting by the one before
RELEASE = 0.5  # seconds that a command may wait for ours to be taken back
AGAIN = 0.01  # seconds between attempts while the other's is still in effect
IN_EFFECT = "already in effect"  # what Chromium says of a second locale or timezone

ANSWER = "Page.handleJavaScriptDialog"


class Dialogs(StrEnum):
    """What is done with alert, confirm, prompt and beforeunload while nobody drives."""

    DISMISS = "dismiss"
    ACCEPT = "accept"


Wanted = tuple[Page | None, Command]  # None: for the connection itself


class Holder:
    """What holds one browser. Made by `holding`."""

    def __init__(self, browser: Browser, dialogs: Dialogs, start: Start, stack: AsyncExitStack) -> None:
        self._browser = browser
        self._accept = dialogs is Dialogs.ACCEPT
        self._start = start
        self._stack = stack
        self._devtools: DevTools | None = None  # ours alone: auto-attaching is one for a connection
        self.opening = asyncio.Lock()
        self.over = False  # nothing is opened any more
        self._pages: dict[str, Page] = {}  # by session
        self._wide = Held()
        self._unseen: dict[str, Held] = {}  # by target: frames whose page is just being asked for them
        self._dialogs: set[str] = set()  # sessions of pages that show one
        self._driven = True
        self._turns: set[Turn] = set()
        self._parted = asyncio.Event()

    def turn(self) -> "Turn":
        """For a driver that begins now; `meet` was before, or else what it changes is on its way."""
        turn = Turn(self)
        self._turns.add(turn)
        if not self._driven:
            self._drive()
        return turn

    async def meet(self) -> None:
        """A driver comes: wait until the one before is done with, then dialogs and popups are the new one's."""
        try:
            async with asyncio.timeout(COMING):
                while self._turns:
                    self._parted.clear()
                    await self._parted.wait()
        except TimeoutError:
            self._turns.clear()  # one that never began; or its browser hangs, and the next will see for itself
        self._drive()
        if self._devtools is not None:
            # Chromium takes our commands in order, so it has seen the others, too. Some pages may hang.
            await self._send([(None, ("Browser.getVersion", {}))], SETTLING)

    def _drive(self) -> None:
        self._driven = True
        if self._devtools is not None:
            for page, command in self._watch():
                self._start(self._one(page, command, False), "watch")

    async def leave(self) -> None:
        """Nobody drives: answer dialogs, and let popups have what their opener has."""
        self._driven = False
        if await self._connected():
            await self._send([*self._watch(), *map(self._answer, self._dialogs)], SETTLING)

    # --- a driver's turn ---

    def holds(self, override: Override) -> bool:
        """Whether something of that kind is held for any page."""
        if override.method == RESET_PERMISSIONS:
            self._wide.note(override)
        setting = setting_of(override.method)
        return setting is not None and any((setting.method,) in page.held.values for page in self._pages.values())

    async def release(self, target: str | None, override: Override) -> None:
        """What is held of that kind for `target` is taken back; None: for whichever page it may be."""
        setting = setting_of(override.method)
        assert setting is not None
        root = next((page.root for page in self._pages.values() if page.target == target), None)
        back: list[Wanted] = []
        for page in self._pages.values():
            meant = target in (None, page.target) or (setting.process_wide and page.root == root)
            if meant and (command := page.release(setting)) is not None:
                back.append((page, command))
        await self._send(back, RELEASE)

    async def take_over(self, overrides: Overrides, leg: BrowserLeg) -> None:
        """Hold what was set over `leg`, as far as it can be in force twice."""
        # First of all: a page that shows one does nothing else. Nobody could answer it once its session is gone.
        closing = [leg.ask(ANSWER, {"accept": self._accept}, session) for session in overrides.told]
        await asyncio.gather(*closing)
        if not overrides:
            return
        sessions = overrides.sessions
        asked = [leg.ask("Target.getTargetInfo", session=session) for session in sessions]
        infos = [answer and answer["targetInfo"] for answer in await asyncio.gather(*asked)]
        if not await self._connected():
            return
        pages = {page.target: page for page in self._pages.values()}
        for held, info in zip(sessions.values(), infos, strict=True):
            if info is None:
                continue  # the session, or its page, is no more
            if info["type"] == "browser":
                self._wide.add(held)
            elif (page := pages.get(info["targetId"])) is not None:
                page.hold(held)
            else:
                self._unseen.setdefault(info["targetId"], Held()).add(held)  # a frame, which is ours in a moment
        wanted: list[Wanted] = []
        for page in tuple(self._pages.values()):
            if page.changed:
                wanted += [(page, command) for command in page.beside()]
                if not page.framed:
                    page.framed = True
                    wanted.append((page, attach(FRAMES, wait=False)))
        await self._send(wanted, LEAVING)

    async def settle(self, turn: "Turn") -> None:
        """The driver's connection is gone: set the rest, and answer for it from now on."""
        self._driven = turn not in self._turns  # somebody else has not waited for it
        self._unseen.clear()
        if await self._connected():
            wanted: list[Wanted] = [(page, one) for page in self._pages.values() for one in page.behind()]
            wanted += [(None, command) for command in self._wide.browser_wide()]
            await self._send([*wanted, *self._watch(), *map(self._answer, self._dialogs)], SETTLING, patient=True)

    def part(self, turn: "Turn") -> None:
        """That driver is done with."""
        self._turns.discard(turn)
        self._parted.set()

    def later(self, turn: "Turn", override: Override, client: ClientLeg) -> None:
        """Let the client's command wait until ours is taken back."""
        self._start(turn.release(override, client), "release")

    # --- our own connection ---

    async def _connected(self) -> bool:
        """Open it, unless it is; it has a session on every page then. False if the browser is gone."""
        async with self.opening:
            if self._devtools is not None and not self._devtools.closed.is_set():
                return True
            if self.over or self._browser.gone.is_set():
                return False
            self._devtools = None
            self._pages.clear()
            self._dialogs.clear()
            url = f"ws://127.0.0.1:{self._browser.port}{self._browser.path}"
            try:
                self._devtools = await self._stack.enter_async_context(open_devtools(url, timeout=LEAVING))
            except DevToolsGone:
                return False
            self._stack.enter_context(self._devtools.listening(self._hear))
            await self._send([(None, attach(PAGES, wait=not self._driven))], LEAVING)
            return True

    def _watch(self) -> Iterator[Wanted]:
        """Whether what opens waits for us, and dialogs are told to us.

        While somebody drives it must not: whoever is first lets a page run that others wait for, too.
        """
        wait = not self._driven
        yield None, attach(PAGES, wait=wait)
        for page in self._pages.values():
            if page.framed:
                yield page, attach(FRAMES, wait=wait)
            if page.kind == "page" and not page.held.scripts:  # these need it in any case
                yield page, ("Page.enable" if wait else "Page.disable", {})

    async def _send(self, commands: Iterable[Wanted], timeout: float, *, patient: bool = False) -> None:
        """Send all at once, in order, and wait for the answers; a page that is busy does as it is told later.

        `patient`: try again where the other's is still in effect.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(self._one(page, command, patient) for page, command in commands))

    async def _one(self, page: Page | None, command: Command, patient: bool) -> None:
        method, params = command
        while self._devtools is not None:
            try:
                await self._devtools.send(method, dict(params), session=page.session if page else None)
            except DevToolsError as error:
                if patient and IN_EFFECT in error.message:
                    await asyncio.sleep(AGAIN)
                    continue
                log.debug("override_not_held", method=method, error=error.message)
            except DevToolsGone:
                pass  # the browser is gone, and with it all that could be held
            return

    def _hear(self, method: str, params: dict[str, Any], session: str | None) -> None:
        if method == "Target.attachedToTarget":
            info = params["targetInfo"]
            before = self._pages.get(session) if session is not None else self._opener(info)
            root = info["targetId"] if before is None else before.root
            page = Page(info["targetId"], params["sessionId"], info["type"], root)
            if before is not None:
                page.hold(before.held if page.kind == "page" else before.held.for_frame())
            page.hold(self._unseen.pop(page.target, Held()))
            self._pages[page.session] = page
            self._start(self._welcome(page, waiting=params["waitingForDebugger"]), "page-of-ours")
        elif method == "Target.detachedFromTarget":
            self._pages.pop(params["sessionId"], None)
            self._dialogs.discard(params["sessionId"])
        elif method == "Page.javascriptDialogOpening" and session is not None:
            self._dialogs.add(session)
            if not self._driven:
                self._start(self._send([self._answer(session)], LEAVING), "dialog")
        elif method == "Page.javascriptDialogClosed" and session is not None:
            self._dialogs.discard(session)

    def _opener(self, info: dict[str, Any]) -> Page | None:
        opener = info.get("openerId")
        return next((page for page in self._pages.values() if page.target == opener), None) if opener else None

    async def _welcome(self, page: Page, *, waiting: bool) -> None:
        """Make a page ours; one that waits runs once it has got what is held for it."""
        commands = [*page.beside(), *page.behind()]
        if page.kind == "page" and not self._driven:
            commands.insert(0, ("Page.enable", {}))
        if page.held:
            page.framed = True
            commands.append(attach(FRAMES, wait=not self._driven))
        if waiting:
            commands.append(("Runtime.runIfWaitingForDebugger", {}))
        await self._send([(page, command) for command in commands], LEAVING)

    def _answer(self, session: str) -> Wanted:
        return self._pages.get(session), (ANSWER, {"accept": self._accept})


class Turn:
    """One driver's time: what it has set so far, and what is to be done when it sets or goes."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._overrides = Overrides()
        self._targets: dict[str, str] = {}  # by session

    def note(self, override: Override, client: ClientLeg) -> bool:
        """It is being set. True: something is in its way; the client goes on (`go_on`) when it is not any more."""
        self._overrides.note(override)
        if override.session is None or not self._holder.holds(override):
            return False
        self._holder.later(self, override, client)
        return True

    async def release(self, override: Override, client: ClientLeg) -> None:
        """Take back what is held of that kind for the page that `override` is for."""
        session = override.session
        assert session is not None
        target = self._targets.get(session)
        try:
            if target is None:
                async with asyncio.timeout(RELEASE):
                    answer = await client.browser.ask("Target.getTargetInfo", session=session)
                if answer is None:
                    return  # there is no such session: Chromium will say so
                target = self._targets[session] = answer["targetInfo"]["targetId"]
            await self._holder.release(target, override)
        except TimeoutError:
            await self._holder.release(None, override)  # to hold too little is better than to be in the way
        finally:
            client.go_on()

    @asynccontextmanager
    async def parting(self, leg: BrowserLeg) -> AsyncIterator[None]:
        """Around the end of its connection."""
        holder = self._holder
        try:
            with suppress(TimeoutError):  # Chromium hangs: its driver's end shall not
                async with asyncio.timeout(LEAVING):
                    await holder.take_over(self._overrides, leg)
            yield
            await holder.settle(self)
        finally:
            holder.part(self)


@asynccontextmanager
async def holding(browser: Browser, *, dialogs: Dialogs = Dialogs.DISMISS) -> AsyncIterator[Holder]:
    """Hold `browser` between its drivers while the block lasts; at its end it may be gone."""
    async with AsyncExitStack() as stack, crew(patience=0) as start:
        holder = Holder(browser, dialogs, start, stack)
        try:
            yield holder
        finally:
            holder.over = True
            async with holder.opening:
                pass  # what was just being opened is in the stack now
