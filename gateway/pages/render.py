"""What a page is made into: a picture, a PDF, its HTML."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from gateway.errors import Code, GatewayError
from gateway.pages.faults import css, first_line, told

Kind = Literal["png", "jpeg", "webp"]
MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST = 16384  # CSS pixels a side: more Chromium does not draw
MOST = 40_000_000  # CSS pixels of a picture
STEPS = 100  # screens that are scrolled through at most
REST = 0.1  # seconds at each, for what it loads
SETTLE = 5.0  # seconds for a page that is just going elsewhere
CLEAR = {"color": {"r": 0, "g": 0, "b": 0, "a": 0}}


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture. `quality` 0 to 100, not of a png; `clip` x, y, width, height in CSS pixels, and a scale.

    `whole`: all of the page, not what the viewport shows. `selector`: that element alone. `clear`: no white behind a
    page without a background. `scroll`: to the end and back first, for what loads when it is seen.
    """

    kind: Kind = "png"
    quality: int | None = None
    whole: bool = False
    clear: bool = False
    clip: tuple[float, float, float, float, float] | None = None
    selector: str | None = None
    scroll: bool = False
    fast: bool = False  # larger, and sooner there
    beyond: bool | None = None  # also of what the viewport does not show; None: where a part or all is asked for
    patience: float | None = 30.0  # seconds

    @property
    def media(self) -> str:
        """Its Content-Type."""
        return MEDIA[self.kind]


async def screenshot(page: Page, shot: Shot) -> bytes:
    """The picture. Raises GatewayError: ELEMENT_MISSING, PAGE_FAILED, PAGE_CRASHED."""
    try:
        async with asyncio.timeout(shot.patience):
            if shot.scroll:
                await scrolled(page)
            await _bounded(page, shot)
            special = shot.kind == "webp" or shot.fast or shot.beyond is not None
            if special or (shot.clip is not None and shot.clip[4] != 1):
                return await _captured(page, shot)
            return await _shot(page, shot)
    except TimeoutError:
        raise GatewayError(Code.PAGE_FAILED, f"no picture within {shot.patience} s: the page hangs") from None
    except PlaywrightError as error:
        raise told(error, page) from error


async def _bounded(page: Page, shot: Shot) -> None:
    """Raises BAD_REQUEST for a picture that would take too much memory, here as in the browser."""
    shown = page.viewport_size
    if shot.clip is not None:
        _, _, width, height, scale = shot.clip
        sides = width * scale, height * scale
    elif shot.selector is not None:
        element = await page.query_selector(css(shot.selector))
        box = None if element is None else await element.bounding_box()
        if box is None:
            raise GatewayError(Code.ELEMENT_MISSING, f"selector: the page shows no {shot.selector[:200]!r}")
        sides = box["width"], box["height"]
    elif shown is not None and not shot.whole:
        sides = shown["width"], shown["height"]
    else:
        # Not asked of the page, which could say anything (Page.getLayoutMetrics).
        cdp = await page.context.new_cdp_session(page)
        try:
            metrics = await cdp.send("Page.getLayoutMetrics")
        finally:
            await cdp.detach()
        view, all_of_it = metrics["cssLayoutViewport"], metrics["cssContentSize"]
        sides = view["clientWidth"], view["clientHeight"]
        if shot.whole:
            sides = all_of_it["width"], all_of_it["height"]
    if sides[0] * sides[1] > MOST:
        raise GatewayError(
            Code.BAD_REQUEST,
            f"a picture of {sides[0]:.0f} × {sides[1]:.0f} pixels is more than is made here ({MOST:,}): clip it",
        )


async def _shot(page: Page, shot: Shot) -> bytes:
    options: dict[str, Any] = {"type": shot.kind, "omit_background": shot.clear, "timeout": 0}
    if shot.quality is not None:
        options["quality"] = shot.quality
    if shot.selector is not None:
        element = await page.query_selector(css(shot.selector))
        if element is None:
            raise GatewayError(Code.ELEMENT_MISSING, f"selector: the page has no {shot.selector[:200]!r}")
        return await element.screenshot(**options)
    if shot.clip is not None:
        options["clip"] = dict(zip(("x", "y", "width", "height"), shot.clip[:4], strict=True))
    return await page.screenshot(full_page=shot.whole, **options)


async def _captured(page: Page, shot: Shot) -> bytes:
    """As CDP draws it (Page.captureScreenshot): Playwright has no webp, and no scale of a part."""
    cdp = await page.context.new_cdp_session(page)
    try:
        params: dict[str, Any] = {"format": shot.kind}
        if shot.quality is not None:
            params["quality"] = shot.quality
        if (clip := await _clip(page, cdp, shot)) is not None:
            params |= {"clip": clip, "captureBeyondViewport": True}
        if shot.beyond is not None:
            params["captureBeyondViewport"] = shot.beyond
        if shot.fast:
            params["optimizeForSpeed"] = True
        if shot.clear:
            await cdp.send("Emulation.setDefaultBackgroundColorOverride", CLEAR)
        data = (await cdp.send("Page.captureScreenshot", params))["data"]
        return base64.b64decode(data)
    finally:
        await cdp.detach()


async def _clip(page: Page, cdp: CDPSession, shot: Shot) -> Mapping[str, float] | None:
    if shot.selector is not None:
        element = await page.query_selector(css(shot.selector))
        box = None if element is None else await element.bounding_box()
        if box is None:
            raise GatewayError(Code.ELEMENT_MISSING, f"selector: the page shows no {shot.selector[:200]!r}")
        left, top = await page.evaluate("[scrollX, scrollY]")
        place = {"x": box["x"] + left, "y": box["y"] + top, "width": box["width"], "height": box["height"]}
        return {**place, "scale": 1}
    if shot.clip is not None:
        return dict(zip(("x", "y", "width", "height", "scale"), shot.clip, strict=True))
    if shot.whole:
        size = (await cdp.send("Page.getLayoutMetrics"))["cssContentSize"]
        sides = {side: min(size[side], LONGEST) for side in ("width", "height")}
        return {"x": 0, "y": 0, **sides, "scale": 1}
    return None


async def scrolled(page: Page) -> None:
    """Show it to its end, screen by screen, then its top again."""
    await page.evaluate(
        """async ([steps, rest]) => {
            for (let step = 0; step < steps; step++) {
                const before = window.scrollY;
                window.scrollBy({top: window.innerHeight, behavior: 'instant'});
                await new Promise((done) => setTimeout(done, rest));
                if (window.scrollY === before) break;
            }
            window.scrollTo({top: 0, behavior: 'instant'});
        }""",
        [STEPS, REST * 1000],
    )


@dataclass(frozen=True, slots=True)
class Paper:
    """A PDF; lengths in CSS pixels, or text with a unit (px, in, cm, mm). Margins: top, right, bottom, left."""

    format: str | None = None
    width: str | float | None = None
    height: str | float | None = None
    landscape: bool = False
    scale: float = 1.0
    margin: tuple[str | float, str | float, str | float, str | float] = (0, 0, 0, 0)
    background: bool = False
    header: str | None = None
    footer: str | None = None
    decorated: bool = False  # with header and footer
    ranges: str | None = None
    css_size: bool = False  # the page's own @page size goes before format and width
    outline: bool = False
    tagged: bool = False
    clear: bool = False  # no white behind a page without a background
    fonts: bool = True  # wait for them
    patience: float | None = 30.0  # seconds


async def pdf(page: Page, paper: Paper) -> bytes:
    """The PDF. Raises GatewayError: BAD_REQUEST for sizes that are none, PAGE_FAILED, PAGE_CRASHED."""
    margins = {side: str(value) for side, value in zip(("top", "right", "bottom", "left"), paper.margin, strict=True)}
    options: dict[str, Any] = {
        "landscape": paper.landscape,
        "scale": paper.scale,
        "margin": margins,
        "print_background": paper.background,
        "display_header_footer": paper.decorated,
        "prefer_css_page_size": paper.css_size,
        "outline": paper.outline,
        "tagged": paper.tagged,
    }
    given = {
        "format": paper.format,
        "width": paper.width,
        "height": paper.height,
        "header_template": paper.header,
        "footer_template": paper.footer,
        "page_ranges": paper.ranges,
    }
    options |= {name: value for name, value in given.items() if value is not None}
    try:
        async with asyncio.timeout(paper.patience):
            if paper.fonts:
                await page.evaluate("() => document.fonts.ready.then(() => null)")
            if not paper.clear:
                return await page.pdf(**options)
            cdp = await page.context.new_cdp_session(page)
            try:
                await cdp.send("Emulation.setDefaultBackgroundColorOverride", CLEAR)
                return await page.pdf(**options)
            finally:
                await cdp.detach()
    except TimeoutError:
        raise GatewayError(Code.PAGE_FAILED, f"no PDF within {paper.patience} s: the page hangs") from None
    except PlaywrightError as error:
        if any(word in error.message for word in ("printToPDF", "aper", "parse")):
            raise GatewayError(Code.BAD_REQUEST, f"options: Chromium cannot print so: {first_line(error)}") from None
        raise told(error, page) from error


async def content(page: Page) -> str:
    """The page's HTML as it is now, its doctype included. Raises GatewayError."""
    for last in (False, False, True):
        try:
            return await page.content()
        except PlaywrightError as error:
            if last or "navigating" not in error.message:
                raise told(error, page) from error
        with suppress(PlaywrightError):  # the next look says more
            await page.wait_for_load_state(timeout=SETTLE * 1000)
    raise AssertionError("not reached")
