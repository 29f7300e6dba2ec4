"""Mouse and keyboard of a browser: real input events for one page (CDP Input.dispatch…), which pages cannot tell apart.

Points are CSS pixels of the page's viewport. A hand remembers where its mouse is and which buttons are down from one
call to the next; keys are let go at the end of each call, whatever happens.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from browser_pool.tasks import to_the_end
from gateway.pages.keys import BY_CHARACTER, SHIFT, Key, key_named, strokes, under_shift

PATIENCE = 10.0  # seconds for a page to take one event
LETTING_GO = 2.0  # seconds for it to take the end of one, when something else went wrong already
STRIDE = 16.0  # pixels between two events of a mouse that is dragged
STEPS = 12  # of them between two points at most
BUTTONS = {"left": 1, "right": 2, "middle": 4, "back": 8, "forward": 16}  # bits of MouseEvent.buttons


@dataclass(frozen=True, slots=True)
class Point:
    """CSS pixels from the viewport's upper left corner."""

    x: float
    y: float


@dataclass(slots=True)
class Hand:
    """Of one browser; one call at a time, which `turn` is for.

    `address` is what was typed into the window's address line while that has the keys, None while a page has them;
    `marked`: what is typed next takes its place.
    """

    at: Point = Point(0, 0)
    buttons: int = 0
    address: str | None = None
    marked: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Reach:
    """A hand over one page, by a flat session on it. Every method raises DevToolsError, DevToolsGone."""

    hand: Hand
    devtools: DevTools
    session: str
    patience: float = PATIENCE
    modifiers: int = 0

    # --- mouse ---

    async def move(self, to: Point) -> None:
        """The mouse is at `to`."""
        held = next((name for name, bit in BUTTONS.items() if self.hand.buttons & bit), "none")
        await self._mouse("mouseMoved", to, held)
        self.hand.at = to

    async def press(self, button: str, count: int = 1) -> None:
        """The button goes down, for the `count`th time in a row."""
        self.hand.buttons |= BUTTONS[button]
        await self._mouse("mousePressed", self.hand.at, button, clickCount=count)

    async def release(self, button: str, count: int = 1, patience: float | None = None) -> None:
        """The button goes up, for which the page has `patience` seconds, where it is not as long as usual."""
        self.hand.buttons &= ~BUTTONS[button]
        await self._mouse("mouseReleased", self.hand.at, button, patience, clickCount=count)

    async def click(self, button: str, times: int) -> None:
        """A click, a double click (2), a triple click (3) where the mouse is."""
        for count in range(1, times + 1):
            async with self._down(button, count):
                pass

    async def drag(self, path: Sequence[Point]) -> None:
        """With the left button down from the first point over all others to the last."""
        await self.move(path[0])
        async with self._down("left", 1):
            for point in path[1:]:
                for step in _between(self.hand.at, point):
                    await self.move(step)

    async def scroll(self, right: float, down: float) -> None:
        """Turn the wheel where the mouse is, by so many pixels."""
        await self._mouse("mouseWheel", self.hand.at, "none", deltaX=right, deltaY=down)

    @asynccontextmanager
    async def _down(self, button: str, count: int) -> AsyncIterator[None]:
        try:
            await self.press(button, count)
            yield
        except BaseException:  # a cancel too: no button stays down
            with suppress(DevToolsError, DevToolsGone):  # the first failure is the one to be told of
                await to_the_end(self.release(button, count, LETTING_GO))
            raise
        await self.release(button, count)

    async def _mouse(self, kind: str, at: Point, button: str, patience: float | None = None, **more: Any) -> None:
        event = {"type": kind, "x": at.x, "y": at.y, "button": button, "buttons": self.hand.buttons}
        await self._send("Input.dispatchMouseEvent", {**event, "modifiers": self.modifiers, **more}, patience)

    # --- keyboard ---

    @asynccontextmanager
    async def holding(self, keys: Sequence[Key]) -> AsyncIterator[None]:
        """With these keys down, in their order; they go up in the other."""
        down: list[Key] = []
        try:
            for key in keys:
                down.append(key)
                await self._key_down(key)
            yield
        except BaseException:  # a cancel too: no key stays down
            with suppress(DevToolsError, DevToolsGone):  # as above
                await to_the_end(self._let_go(down, LETTING_GO))
            raise
        await self._let_go(down)

    async def stroke(self, keys: Sequence[Key], seconds: float = 0.0) -> None:
        """Press these keys together, for so long. What needs Shift gets it, unless the keys are a shortcut."""
        async with self.holding(_as_meant(keys)):
            if seconds:
                await asyncio.sleep(seconds)

    async def type(self, text: str) -> None:
        """As on a keyboard; what it has no key for comes as an input method would bring it (Input.insertText)."""
        for stroke in strokes(text):
            if isinstance(stroke, str):
                await self._send("Input.insertText", {"text": stroke})
            else:
                await self.stroke((stroke,))

    async def _let_go(self, down: Sequence[Key], patience: float | None = None) -> None:
        for key in reversed(down):
            self.modifiers &= ~key.modifier
            await self._key("keyUp", key, patience)

    async def _key_down(self, key: Key) -> None:
        self.modifiers |= key.modifier
        writes = bool(key.text) and not self.modifiers & ~SHIFT
        await self._key("keyDown" if writes else "rawKeyDown", key)

    async def _key(self, kind: str, key: Key, patience: float | None = None) -> None:
        shown = under_shift(key) if self.modifiers & SHIFT else key
        event: dict[str, Any] = {
            "type": kind,
            "modifiers": self.modifiers,
            "key": shown.key,
            "code": shown.code,
            "windowsVirtualKeyCode": shown.number,
            "location": shown.location,
            "isKeypad": shown.location == 3,
        }
        if kind == "keyDown":
            event |= {"text": shown.text, "unmodifiedText": key.text}
        await self._send("Input.dispatchKeyEvent", event, patience)

    async def _send(self, method: str, params: dict[str, Any], patience: float | None = None) -> None:
        await self.devtools.send(method, params, session=self.session, timeout=patience or self.patience)


def _as_meant(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Control+A is Control+a, as everyone means it; a lone A is Shift with a."""
    modifiers = 0
    for key in keys:
        modifiers |= key.modifier
    if modifiers & SHIFT or not any(key.shifted for key in keys):
        return tuple(keys)
    if modifiers:
        return tuple(BY_CHARACTER[key.text.lower()] if key.shifted else key for key in keys)
    return (key_named("Shift"), *keys)


def _between(start: Point, end: Point) -> list[Point]:
    """Points on the way, the last of which is `end`."""
    count = min(STEPS, max(1, math.ceil(math.dist((start.x, start.y), (end.x, end.y)) / STRIDE)))
    ways = (step / count for step in range(1, count))
    return [*(Point(start.x + (end.x - start.x) * way, start.y + (end.y - start.y) * way) for way in ways), end]
