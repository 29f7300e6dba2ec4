"""A session's browser as a person has it before them: move, click, drag, scroll, type, look. For agents.

Everything happens on the page that is to be seen, beside a driver or without one. One action of a session is done after
the other. A page that does not take an event in time fails the action: it is busy, or shows a dialog that whoever
drives it has not answered (while nobody does, the session answers dialogs itself).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog

from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from gateway.pages import window
from gateway.pages.hand import PATIENCE, Hand, Point, Reach
from gateway.pages.keys import Key
from gateway.records import SessionId
from gateway.session.registry import Registry
from gateway.tenancy.access import Principal

log = structlog.get_logger()
LOOK = 1.0  # seconds for a page to say whether it can be seen
PICTURE = 15.0  # seconds for a page to be drawn
FRAMES = 0.5  # seconds for it to draw its next frames by itself, if it does
LONGEST = 60.0  # seconds for an action, besides those that it asks for itself
SEEN = "document.visibilityState === 'visible' ? (document.hasFocus() ? 2 : 1) : 0"
# A page takes no input before it has been drawn: it is dropped without a word.
DRAWN = "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn())))"


@dataclass(frozen=True, slots=True)
class Move:
    """The mouse goes there."""

    to: Point
    held: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Click:
    """A button of the mouse, there or where it is: `kind` is down, up, or click, which is both, `times` over."""

    at: Point | None = None
    button: str = "left"
    kind: str = "click"
    times: int = 1
    held: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Drag:
    """With the left button down along at least two points."""

    path: tuple[Point, ...]
    held: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Scroll:
    """Turn the wheel there, or where the mouse is; pixels to the right and down."""

    at: Point | None = None
    right: float = 0.0
    down: float = 0.0
    held: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Press:
    """These keys together, for so many seconds."""

    keys: tuple[Key, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Type:
    """Text, key by key."""

    text: str
    held: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """A picture of what is to be seen."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the mouse is."""


Action = Move | Click | Drag | Scroll | Press | Type | Wait | Look | Where


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action, in words; `error` where it failed at the page; `picture` is a PNG in base64."""

    output: str | None = None
    error: str | None = None
    picture: str | None = None


class Computers:
    """All sessions', one hand for each browser. A page has `patience` seconds for each event."""

    def __init__(self, registry: Registry, patience: float = PATIENCE) -> None:
        self._registry = registry
        self._patience = patience
        self._hands: WeakKeyDictionary[Browser, Hand] = WeakKeyDictionary()

    async def act(self, principal: Principal, session: SessionId, action: Action, *, picture: bool) -> Outcome:
        """Do it, and take a picture afterwards where one is wanted.

        A browser that was put away is revived. Raises GatewayError where the session has none. What fails at the page
        is told in the outcome: it may have been done in part, so nobody shall simply try again.
        """
        async with self._browser(principal, session) as browser:
            hand = self._hands.setdefault(browser, Hand())
            async with hand.turn:
                try:
                    async with asyncio.timeout(LONGEST + _seconds(action)):
                        output = await _done(browser, hand, action, self._patience)
                        shown = await _picture(browser) if picture or isinstance(action, Look) else None
                except (DevToolsError, DevToolsGone, TimeoutError) as error:
                    log.info("action_failed", session=session, action=type(action).__name__, error=str(error))
                    return Outcome(error=_words(browser, error))
                return Outcome(output, picture=shown)

    @asynccontextmanager
    async def _browser(self, principal: Principal, session: SessionId) -> AsyncIterator[Browser]:
        """Awake for this block, which is like somebody looking on; who revives it is its driver for so long."""
        async with self._registry.beside(principal, session) as found, found.used() as browser:
            yield browser


def _seconds(action: Action) -> float:
    return action.seconds if isinstance(action, Press | Wait) else 0.0


async def _done(browser: Browser, hand: Hand, action: Action, patience: float) -> str | None:
    """Do it; what there is to say. Raises DevToolsError, DevToolsGone."""
    match action:
        case Look():
            return None
        case Where():
            return f"X={hand.at.x:g},Y={hand.at.y:g}"
        case Wait(seconds):
            await _waited(browser, seconds)
            return f"waited {seconds:g} s"
    devtools = browser.devtools
    async with _page(browser) as (target, session):
        if hand.address is not None:
            match action:
                case Press(keys):
                    return await window.in_address(hand, devtools, session, keys)
                case Type(text):
                    return await window.write(hand, devtools, session, text)
                case Click() | Drag():
                    hand.address = None
        await _drawn(devtools, session)
        reach = Reach(hand, devtools, session, patience)
        match action:
            case Press(keys, seconds):
                await reach.stroke(keys, seconds)
                said = await window.pressed(hand, devtools, target, session, keys)
                return said or f"pressed {len(keys)} {'key' if len(keys) == 1 else 'keys'}"
        async with reach.holding(action.held):
            match action:
                case Move(to):
                    await reach.move(to)
                    return f"the mouse is at {to.x:g}, {to.y:g}"
                case Click(at, button, kind, times):
                    await _clicked(reach, at, button, kind, times)
                    return f"{button} {kind} at {hand.at.x:g}, {hand.at.y:g}"
                case Drag(path):
                    await reach.drag(path)
                    return f"dragged to {hand.at.x:g}, {hand.at.y:g}"
                case Scroll(at, right, down):
                    if at is not None:
                        await reach.move(at)
                    await reach.scroll(right, down)
                    await _drawn(devtools, session)  # it is told before anything moves
                    return f"scrolled by {right:g}, {down:g}"
                case Type(text):
                    await reach.type(text)
                    return f"typed {len(text)} characters"


async def _clicked(reach: Reach, at: Point | None, button: str, kind: str, times: int) -> None:
    if at is not None:
        await reach.move(at)
    match kind:
        case "down":
            await reach.press(button)
        case "up":
            await reach.release(button)
        case _:
            await reach.click(button, times)


async def _waited(browser: Browser, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await browser.gone.wait()
    except TimeoutError:
        return
    raise DevToolsGone("the browser has ended")


# --- which page, and what it shows ---


@asynccontextmanager
async def _page(browser: Browser) -> AsyncIterator[tuple[str, str]]:
    """The page that is to be seen, and a session on it. Raises DevToolsError, DevToolsGone."""
    target = await active_page(browser.devtools, browser.pages)
    async with browser.devtools.attached(target) as session:
        yield target, session


async def active_page(devtools: DevTools, pages: Iterable[str]) -> str:
    """Which of these targets, oldest first, is to be seen: the one with the focus where several are, else the newest.

    A page that does not answer may be in front: it counts if no other says that it is. Raises DevToolsError.
    """
    targets = tuple(pages)
    if not targets:
        raise DevToolsError("Target.getTargets", 0, "the browser has no page")
    if len(targets) == 1:
        return targets[0]
    seen = await asyncio.gather(*(_seen(devtools, target) for target in targets))
    return max(enumerate(targets), key=lambda item: (seen[item[0]], item[0]))[1]


async def _seen(devtools: DevTools, target: str) -> float:
    """2 with the focus, 1 visible, 0 hidden, a half where it does not say."""
    try:
        async with devtools.attached(target) as session:
            asked = {"expression": SEEN, "returnByValue": True}
            answer = await devtools.send("Runtime.evaluate", asked, session=session, timeout=LOOK)
            return float(answer["result"].get("value", 0.5))
    except (DevToolsError, DevToolsGone):
        return 0.5


async def _picture(browser: Browser) -> str:
    """What is to be seen, one pixel for each of CSS, so that a point of the picture is one for the mouse."""
    try:
        return await _taken(browser)
    except DevToolsError:  # between two pages there is nothing to be drawn for a moment
        return await _taken(browser)


async def _drawn(devtools: DevTools, session: str) -> None:
    """Return once the page has been drawn anew, or does not answer now: what follows tells of that."""
    asked = {"expression": DRAWN, "awaitPromise": True}
    with suppress(DevToolsError, DevToolsGone):
        await devtools.send("Runtime.evaluate", asked, session=session, timeout=FRAMES)


async def _taken(browser: Browser) -> str:
    devtools = browser.devtools
    async with _page(browser) as (_, session):
        await _drawn(devtools, session)
        metrics = await devtools.send("Page.getLayoutMetrics", session=session, timeout=PICTURE)
        view, device = metrics["cssVisualViewport"], metrics["visualViewport"]
        asked: dict[str, object] = {"format": "png", "optimizeForSpeed": True}
        if view["clientWidth"] and device["clientWidth"] != view["clientWidth"]:
            scale = view["clientWidth"] / device["clientWidth"]
            place = {"x": view["pageX"], "y": view["pageY"]}
            asked["clip"] = {**place, "width": view["clientWidth"], "height": view["clientHeight"], "scale": scale}
        shot = await devtools.send("Page.captureScreenshot", asked, session=session, timeout=PICTURE)
        picture: str = shot["data"]
        return picture


def _words(browser: Browser, error: DevToolsError | DevToolsGone | TimeoutError) -> str:
    if browser.gone.is_set() or browser.devtools.closed.is_set():
        return "the browser has ended meanwhile; a session that is kept gets another with the next action"
    if not isinstance(error, DevToolsError):
        return "the page did not answer in time: it is busy, or shows a dialog that the connected client has to answer"
    return f"the page refused it: {error.message}"
