"""What is done on a page, one thing after the other; the first that fails ends it, and is named."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from gateway.errors import Code, GatewayError
from gateway.pages.faults import css, told

LONG = 1000  # characters that are typed key by key; more are put in at once, as pasted
SETTLE = 10.0  # seconds for what the last action has set going


class Verb(StrEnum):
    """What can be done."""

    GOTO = "goto"
    CLICK = "click"
    TYPE = "type"
    SELECT = "select"
    PRESS = "press"
    SCROLL = "scroll"
    WAIT_FOR = "wait_for"
    WAIT_MS = "wait_ms"


class Direction(StrEnum):
    """Where to scroll."""

    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. GOTO without `url` reloads; SCROLL with `selector` alone brings that element into view, with
    `direction` or `amount` (CSS pixels, a screen if it is left out) it scrolls the element, or the page. `seconds` to
    wait. What is typed may be a password, and is no part of its text.
    """

    verb: Verb
    url: str | None = field(default=None, repr=False)
    selector: str | None = None
    value: str | None = field(default=None, repr=False)
    key: str | None = None
    direction: Direction | None = None
    amount: float | None = None
    seconds: float = 0.0


async def perform(page: Page, actions: Sequence[Action], timeout: float) -> list[dict[str, Any]]:
    """Do them in order, each within `timeout` seconds; what was done, as JSON.

    Raises ACTION_FAILED (422); its details have the `action`, by its index, the `reason`, and what was `done` before.
    """
    done: list[dict[str, Any]] = []
    for index, action in enumerate(actions):
        try:
            await _act(page, action, timeout)
        except (PlaywrightError, GatewayError) as error:
            reason = await _reason(page, action, error, timeout)
            raise GatewayError(
                Code.ACTION_FAILED,
                f"action {index} ({action.verb}) failed: {reason}",
                details={"action": index, "type": action.verb.value, "reason": reason, "done": done},
            ) from error
        done.append({"action": index, "type": action.verb.value})
    return done


async def settled(page: Page) -> None:
    """Return once the page that the last action may have led to is there, a slow one after a while."""
    try:
        await page.wait_for_load_state("load", timeout=SETTLE * 1000)
    except PlaywrightTimeout:
        pass  # it is taken as it is
    except PlaywrightError as error:
        raise told(error, page) from error


async def _act(page: Page, action: Action, timeout: float) -> None:
    limit = timeout * 1000
    match action.verb:
        case Verb.GOTO if action.url is None:
            await page.reload(timeout=limit)
        case Verb.GOTO:
            await page.goto(action.url or "", timeout=limit)
        case Verb.CLICK:
            await _one(page, action).click(timeout=limit)
        case Verb.TYPE:
            await _type(_one(page, action), action.value or "", limit)
        case Verb.SELECT:
            await _one(page, action).select_option(action.value, timeout=limit)
        case Verb.PRESS:
            await page.keyboard.press(action.key or "")
        case Verb.SCROLL:
            await _scroll(page, action, limit)
        case Verb.WAIT_FOR:
            await _one(page, action).wait_for(state="attached", timeout=limit)
        case Verb.WAIT_MS:
            await asyncio.sleep(action.seconds)


def _one(page: Page, action: Action) -> Locator:
    """The first that matches."""
    return page.locator(css(action.selector or "")).first


async def _type(element: Locator, text: str, limit: float) -> None:
    handle = await element.element_handle(timeout=limit)
    await handle.wait_for_element_state("editable", timeout=limit)
    if len(text) <= LONG:
        await element.press_sequentially(text, timeout=limit)
        return
    await element.focus(timeout=limit)
    await element.page.keyboard.insert_text(text)


async def _scroll(page: Page, action: Action, limit: float) -> None:
    if action.selector is not None and action.direction is None and action.amount is None:
        await _one(page, action).scroll_into_view_if_needed(timeout=limit)
        return
    direction = action.direction or Direction.DOWN
    across, back = direction in (Direction.LEFT, Direction.RIGHT), direction in (Direction.UP, Direction.LEFT)
    by = {"across": across, "sign": -1 if back else 1, "amount": action.amount}
    script = """(target, {across, sign, amount}) => {
        const size = across ? target.clientWidth : target.clientHeight
        const by = sign * (amount ?? size)
        target.scrollBy({left: across ? by : 0, top: across ? 0 : by, behavior: "instant"})
    }"""
    if action.selector is not None:
        await _one(page, action).evaluate(script, by, timeout=limit)
    else:
        await page.evaluate(f"by => ({script})(document.scrollingElement ?? document.documentElement, by)", by)


async def _reason(page: Page, action: Action, error: PlaywrightError | GatewayError, timeout: float) -> str:
    """In words; never what was typed, which Playwright's own may have."""
    if isinstance(error, GatewayError):
        return error.message
    if not isinstance(error, PlaywrightTimeout):
        if action.verb is Verb.PRESS and "Unknown key" in error.message:
            return f"there is no key {(action.key or '')[:50]!r}"
        return told(error, page).message
    after = f"after {timeout * 1000:g} ms"
    if action.selector is None:
        return f"the page has not loaded {after}"
    try:
        found = await page.locator(css(action.selector)).count()
    except PlaywrightError:
        found = 0  # the page has gone on, or is gone
    if not found:
        return f"nothing matches {action.selector[:200]!r} {after}"
    if action.verb is Verb.SELECT:
        return f"it has no such option, or is no select element, {after}"
    return f"the element is there, but not one that can be used (hidden, disabled, moving or covered), {after}"
