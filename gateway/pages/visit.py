"""A page and how to get there: what is set before it loads, what it loads, and what is waited for. Then it is yours."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.async_api import BrowserContext, Dialog, Page, Response, Route
from playwright.async_api import Error as PlaywrightError

from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError
from gateway.pages.faults import checked_url, css, first_line, moved, told
from gateway.pages.patterns import Pattern
from gateway.pages.waits import ForEvent, ForFunction, ForSelector, Quiet, found, heard, listening, true

__all__ = [
    "Canned",
    "ForEvent",
    "ForFunction",
    "ForSelector",
    "Goto",
    "Tag",
    "Viewport",
    "Visit",
    "Visited",
    "arrived",
    "checked_url",
    "css",
    "found",
    "opened",
    "told",
    "visited",
]

CLOSE = 5.0  # seconds for a page to be gone

Until = Literal["load", "domcontentloaded", "networkidle0", "networkidle2", "commit"]


@dataclass(frozen=True, slots=True)
class Goto:
    """How to load it; `timeout` in seconds. All of `until` are waited for."""

    until: tuple[Until, ...] = ("load",)
    timeout: float = 30.0
    referer: str | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A script or a style that is put into the page once it is there: one of the three."""

    content: str | None = None
    url: str | None = None
    kind: str | None = None  # a script's type


@dataclass(frozen=True, slots=True)
class Canned:
    """What requests whose URL matches `pattern` get in place of the server's answer."""

    pattern: Pattern
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Viewport:
    """CSS pixels."""

    width: int = 800
    height: int = 600
    scale: float = 1.0
    mobile: bool = False
    touch: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A url or html, and all that goes with it. `cookies` are Playwright's; what may be secret is no part of its text.

    `best_attempt`: go on with what there is where the page or what is waited for does not come in time.
    `viewport` None: the browser's own, or its identity's.
    """

    url: str | None = None
    html: str | None = field(default=None, repr=False)
    goto: Goto = Goto()
    wait_event: ForEvent | None = None
    wait_function: ForFunction | None = None
    wait_selector: ForSelector | None = None
    wait: float = 0.0  # seconds, before the others
    best_attempt: bool = False
    viewport: Viewport | None = None
    user_agent: str | None = None
    javascript: bool = True
    media: Literal["screen", "print"] | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    cookies: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    reject_types: frozenset[str] = frozenset()
    reject_patterns: tuple[Pattern, ...] = ()
    canned: tuple[Canned, ...] = ()
    scripts: tuple[Tag, ...] = ()
    styles: tuple[Tag, ...] = ()

    def options(self) -> dict[str, Any]:
        """For `Pages.context`: what a context of its own is made with."""
        found: dict[str, Any] = {"no_viewport": True}
        if (view := self.viewport) is not None:
            found = {
                "viewport": {"width": view.width, "height": view.height},
                "device_scale_factor": view.scale,
                "is_mobile": view.mobile,
                "has_touch": view.touch,
            }
        if self.user_agent is not None:
            found["user_agent"] = self.user_agent
        if not self.javascript:
            found["java_script_enabled"] = False
        if self.headers:
            found["extra_http_headers"] = dict(self.headers)
        if self.credentials is not None:
            found["http_credentials"] = dict(zip(("username", "password"), self.credentials, strict=True))
        return found


@dataclass(frozen=True, slots=True)
class Visited:
    """The page, the main document's response (None for html), and what a best attempt did without."""

    page: Page
    response: Response | None
    missed: tuple[str, ...] = ()


@asynccontextmanager
async def visited(context: BrowserContext, visit: Visit, *, borrowed: bool = False) -> AsyncIterator[Visited]:
    """A new page in `context`, led to where `visit` says; closed with the block.

    `borrowed`: the context is a session's own, so what `visit.options` has for a context is set on the page alone.
    Raises GatewayError: PAGE_UNREACHABLE (502), WAIT_FAILED (422), PAGE_CRASHED (502), BAD_REQUEST.
    """
    page = await opened(context)
    opens = [page]
    try:
        if borrowed:
            page.on("popup", lambda popup: opens.append(popup))  # it wants a function of Python's
            page.on("dialog", _dismissed)
            await _dress(page, visit)
        yield await arrived(page, visit)
    finally:
        for one in opens:
            await to_the_end(_closed(one))


async def opened(context: BrowserContext) -> Page:
    """A new page, which a cancel does not leave behind."""
    made: list[Page] = []

    async def make() -> None:
        made.append(await context.new_page())

    try:
        await to_the_end(make(), patience=CLOSE)  # of a browser that is gone Playwright waits for a page for ever
    except BaseException:
        for page in made:
            await to_the_end(_closed(page))
        raise
    return made[0]


async def arrived(page: Page, visit: Visit) -> Visited:
    """Lead `page` to where `visit` says, and wait for all that it waits for."""
    try:
        return await _arrive(page, visit)
    except PlaywrightError as error:
        raise told(error, page) from error


async def _arrive(page: Page, visit: Visit) -> Visited:
    missed: list[str] = []
    if visit.cookies:
        try:
            await page.context.add_cookies([dict(one) for one in visit.cookies])  # type: ignore[misc]
        except PlaywrightError as error:
            raise GatewayError(Code.BAD_REQUEST, f"cookies: Chromium refuses one: {first_line(error)}") from None
    if visit.media is not None:
        await page.emulate_media(media=visit.media)
    if visit.reject_types or visit.reject_patterns or visit.canned:
        await page.route("**/*", lambda route: _answered(route, visit))
    if "websocket" in visit.reject_types:
        await page.route_web_socket("**/*", lambda socket: socket.close())

    async def attempt(what: str, work: Any) -> Any:
        try:
            return await work
        except GatewayError as error:
            if not visit.best_attempt or error.code is Code.PAGE_CRASHED:
                raise
            missed.append(f"{what}: {error.message}")

    event = visit.wait_event
    if event is not None:
        await page.add_init_script(listening(event.event))
    response = await attempt("goto", _loaded(page, visit))
    if event is not None and visit.html is not None:
        await page.evaluate(listening(event.event))  # to write a document takes its listeners away
    for tag in visit.styles:
        await attempt("addStyleTag", _tag(page, "addStyleTag", tag))
    for tag in visit.scripts:
        await attempt("addScriptTag", _tag(page, "addScriptTag", tag))
    if visit.wait:
        await asyncio.sleep(visit.wait)
    if visit.wait_function is not None:
        await attempt("waitForFunction", true(page, visit.wait_function))
    if visit.wait_selector is not None:
        await attempt("waitForSelector", found(page, visit.wait_selector))
    if event is not None:
        await attempt("waitForEvent", heard(page, event))
    return Visited(page, response, tuple(missed))


async def _loaded(page: Page, visit: Visit) -> Response | None:
    """Its document, and what `until` asks for. Raises PAGE_UNREACHABLE."""
    goto = visit.goto
    idle = [0 if one == "networkidle0" else 2 for one in goto.until if one.startswith("networkidle")]
    first: Any = next((one for one in ("load", "domcontentloaded", "commit") if one in goto.until), "load")
    quiet = Quiet(page)
    try:
        async with asyncio.timeout(goto.timeout or None):
            if visit.html is not None:
                await page.set_content(visit.html, wait_until=first, timeout=0)
                response = None
            else:
                response = await page.goto(
                    visit.url or "about:blank", wait_until=first, referer=goto.referer, timeout=0
                )
            for most in idle:
                await quiet.until(most)
            return response
    except TimeoutError:
        raise GatewayError(
            Code.PAGE_UNREACHABLE,
            f"the page has not loaded within {goto.timeout * 1000:g} ms ({', '.join(goto.until)})",
        ) from None
    except PlaywrightError as error:
        raise told(error, page) from error
    finally:
        quiet.end()


async def _tag(page: Page, name: str, tag: Tag) -> None:
    try:
        if name == "addStyleTag":
            await page.add_style_tag(url=tag.url, content=tag.content)
        elif tag.kind is None:
            await page.add_script_tag(url=tag.url, content=tag.content)
        else:
            await page.add_script_tag(url=tag.url, content=tag.content, type=tag.kind)
    except PlaywrightError as error:
        if moved(error):
            raise told(error, page) from error
        raise GatewayError(Code.WAIT_FAILED, f"{name}: {first_line(error)}") from None


async def _answered(route: Route, visit: Visit) -> None:
    request = route.request
    try:
        if request.resource_type in visit.reject_types or any(
            one.found_in(request.url) for one in visit.reject_patterns
        ):
            await route.abort("blockedbyclient")
            return
        for one in visit.canned:
            if one.pattern.found_in(request.url):
                await route.fulfill(
                    status=one.status, headers=dict(one.headers), content_type=one.content_type, body=one.body
                )
                return
        await route.continue_()
    except PlaywrightError:
        pass  # the page went on without it


async def _dismissed(dialog: Dialog) -> None:
    with suppress(PlaywrightError):  # somebody else was faster, or its page is gone
        await dialog.dismiss()


async def _dress(page: Page, visit: Visit) -> None:
    """On a page of a context that is not ours: what a context of its own would have been made with."""
    if visit.credentials is not None:
        raise GatewayError(Code.UNSUPPORTED, "authenticate: not in a session of one's own; send the header instead")
    if visit.headers:
        await page.set_extra_http_headers(dict(visit.headers))
    view = visit.viewport
    if view is None and visit.user_agent is None and visit.javascript:
        return
    cdp = await page.context.new_cdp_session(page)
    if view is not None:
        metrics = {"width": view.width, "height": view.height, "deviceScaleFactor": view.scale, "mobile": view.mobile}
        await page.set_viewport_size({"width": view.width, "height": view.height})
        await cdp.send("Emulation.setDeviceMetricsOverride", metrics)
        if view.touch:
            await cdp.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    if visit.user_agent is not None:
        await cdp.send("Emulation.setUserAgentOverride", {"userAgent": visit.user_agent})
    if not visit.javascript:
        await cdp.send("Emulation.setScriptExecutionDisabled", {"value": True})


async def _closed(page: Page) -> None:
    try:
        async with asyncio.timeout(CLOSE):
            await page.close()
    except (TimeoutError, PlaywrightError):
        pass  # it is gone already, or goes with its context
