"""What a page is waited for: an element, a function that gives something true, an event, silence on its network."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Request
from playwright.async_api import TimeoutError as PlaywrightTimeout

from gateway.errors import Code, GatewayError
from gateway.pages.faults import css, first_line, moved, told

QUIET = 0.5  # seconds without more requests than that: Puppeteer's networkidle0 and networkidle2


@dataclass(frozen=True, slots=True)
class ForSelector:
    """Wait for an element: to be there, to be seen, or to be neither. Seconds."""

    selector: str
    state: Literal["attached", "visible", "hidden"] = "attached"
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class ForFunction:
    """Wait until a function of the page, or an expression, gives something true; `polling` "raf" or seconds."""

    function: str
    polling: Literal["raf"] | float = "raf"
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class ForEvent:
    """Wait for an event of that name on the page's document or window."""

    event: str
    timeout: float = 30.0


async def found(page: Page, wanted: ForSelector) -> None:
    """Raises WAIT_FAILED when it does not come in time, BAD_REQUEST for what is no selector."""
    try:
        await page.wait_for_selector(
            css(wanted.selector), state=wanted.state, timeout=wanted.timeout * 1000, strict=False
        )
    except PlaywrightTimeout:
        raise GatewayError(
            Code.WAIT_FAILED,
            f"waitForSelector: {wanted.selector[:200]!r} is not {wanted.state} after {wanted.timeout * 1000:g} ms",
        ) from None
    except PlaywrightError as error:
        raise told(error, page) from error


async def true(page: Page, wanted: ForFunction) -> None:
    polling: Any = "raf" if wanted.polling == "raf" else wanted.polling * 1000
    try:
        await page.wait_for_function(wanted.function, polling=polling, timeout=wanted.timeout * 1000)
    except PlaywrightTimeout:
        raise GatewayError(
            Code.WAIT_FAILED, f"waitForFunction: it gave nothing true within {wanted.timeout * 1000:g} ms"
        ) from None
    except PlaywrightError as error:
        if moved(error):
            raise told(error, page) from error
        raise GatewayError(Code.WAIT_FAILED, f"waitForFunction: {first_line(error)}") from None


def listening(event: str) -> str:
    name = _quoted(event)
    return (
        f"(() => {{ const told = () => {{ window[Symbol.for('gateway.event')] = true }};"
        f"window.addEventListener({name}, told, {{once: true, capture: true}});"
        f"document.addEventListener({name}, told, {{once: true}}) }})()"
    )


async def heard(page: Page, wanted: ForEvent) -> None:
    try:
        await page.wait_for_function(
            "() => window[Symbol.for('gateway.event')] === true", polling=50, timeout=wanted.timeout * 1000
        )
    except PlaywrightTimeout:
        raise GatewayError(
            Code.WAIT_FAILED,
            f"waitForEvent: {wanted.event[:100]!r} was not dispatched within {wanted.timeout * 1000:g} ms",
        ) from None
    except PlaywrightError as error:
        raise told(error, page) from error


class Quiet:
    """How many requests of a page are under way."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._open: set[Request] = set()
        self._changed = asyncio.Event()
        page.on("request", self._began)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def end(self) -> None:
        self._page.remove_listener("request", self._began)
        self._page.remove_listener("requestfinished", self._ended)
        self._page.remove_listener("requestfailed", self._ended)

    def _began(self, request: Request) -> None:
        self._open.add(request)
        self._changed.set()

    def _ended(self, request: Request) -> None:
        self._open.discard(request)
        self._changed.set()

    async def until(self, most: int) -> None:
        """Return once no more than `most` have been under way for QUIET seconds on end."""
        while True:
            self._changed.clear()
            quiet = len(self._open) <= most
            try:
                async with asyncio.timeout(QUIET if quiet else None):
                    while (len(self._open) <= most) is quiet:
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                return


def _quoted(text: str) -> str:
    """A JavaScript string of any text, by its base64: nothing in it can end it."""
    coded = base64.b64encode(text.encode()).decode()
    return f"new TextDecoder().decode(Uint8Array.from(atob('{coded}'), c => c.charCodeAt(0)))"
