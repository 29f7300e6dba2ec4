"""One request for a page: in a browser or without, in a named session or a fresh context, with actions or none."""

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Request, Response

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch as dressed
from gateway.pages.extract import Field, selector
from gateway.pages.interact import Action, perform, settled
from gateway.pages.jar import Jar
from gateway.pages.named import Named, NamedSessions
from gateway.pages.outputs import Output, Reader
from gateway.pages.plain import RULE, Fetched, Plain, Whose, blocked
from gateway.pages.render import Shot, content, screenshot
from gateway.pages.service import Pages
from gateway.pages.shared import Wanted
from gateway.pages.visit import Goto, Visit, arrived, opened
from gateway.records import Identity, Limits
from gateway.session.registry import Registry

WHOLE = 600.0  # seconds that a request may work, once it is its turn
TUNNEL = "ERR_TUNNEL_CONNECTION_FAILED"  # what a browser says whatever the egress guard has answered


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `session` is the tenant's name for one; `timeout` in seconds, for the page and each action.

    What is typed and what a URL says may be secret.
    """

    tenant: str
    url: str = field(repr=False)
    outputs: tuple[Output, ...] = (Output.HTML,)
    rendered: bool = True
    session: str | None = None
    actions: tuple[Action, ...] = ()
    fields: tuple[tuple[str, Field], ...] = ()
    identity: Identity | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it, as JSON. `session` is its name, and whether its cookies or storage have changed."""

    outputs: dict[str, Any] = field(repr=False)
    session: tuple[str, bool] | None
    diagnostics: dict[str, Any] = field(repr=False)


class Fetches:
    """Answers requests for pages. `limits` are the gateway's own."""

    def __init__(self, registry: Registry, pages: Pages, limits: Limits) -> None:
        self._pages = pages
        self._plain = Plain(registry.means)
        self._named = NamedSessions(registry, pages, limits)
        self._reader = Reader()

    async def answer(self, asked: Asked) -> Answer:
        """Raises GatewayError; among its details are `diagnostics`, and those of the action that failed."""
        check(asked)
        course = _Course(asked.rendered)
        try:
            work = self._rendered(asked, course) if asked.rendered else self._unrendered(asked, course)
            async with asyncio.timeout(None) as course.limit:
                outputs, updated = await work
        except TimeoutError:
            words = f"the request has not been done within {WHOLE:g} s"
            raise GatewayError(Code.TIMED_OUT, words, details={"diagnostics": course.told()}) from None
        except GatewayError as error:
            details = dict(error.details)
            diagnostics = course.told()
            if (session := details.pop("session", None)) is not None:
                diagnostics["session"] = session
            details["diagnostics"] = diagnostics
            raise GatewayError(error.code, error.message, retry_after=error.retry_after, details=details) from error
        session_told = None if asked.session is None else (asked.session, updated)
        return Answer(outputs, session_told, course.told())

    async def _rendered(self, asked: Asked, course: "_Course") -> tuple[dict[str, Any], bool]:
        async def work(page: Page) -> dict[str, Any]:
            return await self._on(page, asked, course)

        if asked.session is not None:
            return await self._named.on_page(Named(asked.tenant, asked.session, asked.identity), work)
        wanted = Wanted(asked.tenant, dressed(asked.identity, LaunchSpec()), identity=asked.identity)
        async with self._pages.context(wanted, no_viewport=True) as context:
            return await work(await opened(context)), False

    async def _on(self, page: Page, asked: Asked, course: "_Course") -> dict[str, Any]:
        course.begins(page)
        try:
            try:
                await arrived(page, Visit(asked.url, goto=Goto(timeout=asked.timeout)))
            except GatewayError as error:
                if TUNNEL in error.message and (why := await self._refused(asked)) is not None:
                    raise why from error
                raise
            course.check()
            course.mark("navigation")
            if asked.actions:
                await perform(page, asked.actions, asked.timeout)
                await settled(page)
                course.check()
                course.mark("actions")
            made = await self._reader.outputs(
                await content(page),
                page.url,
                [one for one in asked.outputs if one is not Output.SCREENSHOT],
                dict(asked.fields),
            )
            if Output.SCREENSHOT in asked.outputs:
                made[Output.SCREENSHOT.value] = base64.b64encode(await screenshot(page, Shot())).decode()
            course.mark("outputs")
            return made
        finally:
            course.ends(page)

    async def _refused(self, asked: Asked) -> GatewayError | None:
        whose = Whose(asked.tenant, identity=asked.identity)
        return await self._plain.refused(asked.url, whose)

    async def _unrendered(self, asked: Asked, course: "_Course") -> tuple[dict[str, Any], bool]:
        async def work(whose: Whose, jar: Jar) -> Fetched:
            course.started()
            fetched = await self._plain.fetch(asked.url, whose, jar, asked.timeout)
            course.fetched(fetched)
            course.mark("navigation")
            return fetched

        updated = False
        if asked.session is not None:
            named = Named(asked.tenant, asked.session, asked.identity)
            fetched, updated = await self._named.on_cookies(named, work)
        else:
            launch = dressed(asked.identity, LaunchSpec())
            fetched = await work(Whose(asked.tenant, launch, identity=asked.identity), Jar())
        made = await self._reader.outputs(fetched.html, fetched.url, asked.outputs, dict(asked.fields))
        course.mark("outputs")
        return made, updated


def check(asked: Asked) -> None:
    """Refuse what cannot be had, before anything is done for it. Raises GatewayError: UNSUPPORTED, BAD_REQUEST."""
    if not asked.rendered and Output.SCREENSHOT in asked.outputs:
        raise GatewayError(Code.UNSUPPORTED, "output: a screenshot wants a browser: leave out render_js: false")
    if not asked.rendered and asked.actions:
        raise GatewayError(Code.UNSUPPORTED, "actions: they want a browser: leave out render_js: false")
    for _, one in asked.fields:
        selector(one.selector)


class _Course:
    """How a request went, for its diagnostics."""

    def __init__(self, rendered: bool) -> None:
        self.limit: asyncio.Timeout | None = None
        self._rendered = rendered
        self._began = self._last = time.monotonic()
        self._times: dict[str, int] = {}
        self._url: str | None = None
        self._status: int | None = None
        self._redirects: list[str] = []
        self._rule: str | None = None
        self._page: Page | None = None

    def started(self) -> None:
        """It is its turn."""
        self.mark("waiting")
        if self.limit is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + WHOLE)

    def mark(self, name: str) -> None:
        """What was done since the last mark was that."""
        now = time.monotonic()
        self._times[name] = self._times.get(name, 0) + round((now - self._last) * 1000)
        self._last = now

    def begins(self, page: Page) -> None:
        """On that page, whose documents are followed."""
        self.started()
        self._page = page
        page.on("response", self._response)

    def ends(self, page: Page) -> None:
        self._url = page.url
        self._page = None
        page.remove_listener("response", self._response)

    def _response(self, response: Response) -> None:
        request: Request = response.request
        try:
            if self._page is None or not request.is_navigation_request() or response.frame != self._page.main_frame:
                return
        except PlaywrightError:
            return  # the frame that asked for it is gone
        self._rule = response.headers.get(RULE.lower())
        self._status = response.status
        chain: list[str] = []
        while (before := request.redirected_from) is not None:
            chain.insert(0, before.url)
            request = before
        self._redirects = chain

    def check(self) -> None:
        """Raises what the egress guard has answered in place of the page."""
        if self._rule is not None:
            raise blocked(self._rule)

    def fetched(self, fetched: Fetched) -> None:
        self._url, self._status, self._redirects = fetched.url, fetched.status, list(fetched.redirects)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        times: Mapping[str, int] = {**self._times, "total": round((time.monotonic() - self._began) * 1000)}
        return {
            "final_url": self._url,
            "http_status": self._status,
            "redirects": self._redirects,
            "render_js": self._rendered,
            "timing_ms": dict(times),
        }
