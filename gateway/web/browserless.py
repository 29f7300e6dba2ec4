"""Browserless's page services, and /kill: shapes to and from the gateway's own nouns."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.pages.measure import measured
from gateway.pages.render import content, pdf, screenshot
from gateway.pages.scrape import Element, scraped
from gateway.pages.service import Pages
from gateway.pages.shared import Wanted
from gateway.pages.visit import ForSelector, Viewport, Visit, Visited, visited
from gateway.records import Kind, Limits, SessionId, Status
from gateway.session.registry import Registry
from gateway.session.session import Session
from gateway.store.base import Query
from gateway.tenancy.access import Principal
from gateway.tenancy.access import Role as TenantRole
from gateway.web.browserless_nouns import paper_of, shot_of, visit_of
from gateway.web.browserless_operations import OPERATIONS
from gateway.web.browserless_shapes import (
    ContentBody,
    PageBody,
    PDFBody,
    PerformanceBody,
    ScrapeBody,
    ScreenshotBody,
)
from gateway.web.connect import standard_spec
from gateway.web.door import PRINCIPAL, SEATED
from gateway.web.fleetwide import Fleetwide
from gateway.web.request import check_query, json_body, session_id
from gateway.web.shapes import read

__all__ = ["OPERATIONS", "Browserless"]

B = TypeVar("B", bound=PageBody)
TIMEOUT = 30_000  # ms for a request's work, as with Browserless
UNUSED = frozenset({"sessionId", "timeout"})  # the query of a request that runs in a session
# Paths of Browserless's that are not served, and why.
REFUSED = {
    "function": "a caller's code is not run on this server: connect a CDP client and run it where you are",
    "download": "a caller's code is not run on this server: a session's downloads are at /session/ID/files",
    "unblock": "nothing gets round a site's defences here: stealth=true makes a browser that does not look automated",
}


class Browserless:
    """Handlers of /content, /screenshot, /pdf, /scrape, /performance, /kill."""

    def __init__(self, pages: Pages, registry: Registry, limits: Limits, fleetwide: Fleetwide) -> None:
        self._pages = pages
        self._registry = registry
        self._fleetwide = fleetwide
        self._limits = limits

    def routes(self, app: web.Application) -> None:
        """Add its own."""
        for engine in ("", "/{engine:chromium|chrome}"):
            app.router.add_post(f"{engine}/content", self.content)
            app.router.add_post(f"{engine}/screenshot", self.screenshot)
            app.router.add_post(f"{engine}/pdf", self.pdf)
            app.router.add_post(f"{engine}/scrape", self.scrape)
            app.router.add_post(f"{engine}/performance", self.performance)
        for what in REFUSED:
            app.router.add_post(f"/{what}", self.refuse)
        app.router.add_get("/kill/{target}", self.kill, allow_head=False)

    async def content(self, request: web.Request) -> web.Response:
        """POST /content: the page's HTML once it is there."""
        body = await _read(request, ContentBody)
        async with self._visited(request, visit_of(body)) as there:
            return _answered(there, await content(there.page), "text/html")

    async def screenshot(self, request: web.Request) -> web.Response:
        """POST /screenshot: a picture, or its base64."""
        body = await _read(request, ScreenshotBody)
        shot = shot_of(body)
        async with self._visited(request, visit_of(body)) as there:
            picture = await screenshot(there.page, shot)
            if body.options.encoding == "base64":
                return _answered(there, base64.b64encode(picture).decode(), "text/plain")
            return _answered(there, picture, shot.media)

    async def pdf(self, request: web.Request) -> web.Response:
        """POST /pdf."""
        body = await _read(request, PDFBody)
        paper = paper_of(body)
        async with self._visited(request, visit_of(body)) as there:
            return _answered(there, await pdf(there.page, paper), "application/pdf")

    async def scrape(self, request: web.Request) -> web.Response:
        """POST /scrape: what selectors find."""
        body = await _read(request, ScrapeBody)
        if any(body.debug_opts.values()):
            raise GatewayError(Code.UNSUPPORTED, "debugOpts: not here; a CDP client in a session sees all of it")
        wanted = [ForSelector(one.selector, timeout=one.timeout / 1000) for one in body.elements]
        async with self._visited(request, visit_of(body)) as there:
            found = await scraped(there.page, wanted, patient=not body.best_attempt)
            data = [
                {"selector": one.selector, "results": [_element(element) for element in elements]}
                for one, elements in zip(wanted, found, strict=True)
            ]
            return _json(there, {"data": data, "debug": None})

    async def performance(self, request: web.Request) -> web.Response:
        """POST /performance: what the browser measured itself; no Lighthouse report."""
        body = await _read(request, PerformanceBody)
        if body.config is not None or body.budgets is not None:
            field = "config" if body.config is not None else "budgets"
            raise GatewayError(
                Code.UNSUPPORTED, f"{field}: Lighthouse does not run here; what the browser measured does"
            )
        async with self._visited(request, visit_of(body)) as there:
            found = asdict(await measured(there.page))
            words = {
                "largest_contentful_paint": "largestContentfulPaint",
                "cumulative_layout_shift": "cumulativeLayoutShift",
            }
            return _json(there, {"data": {words.get(name, name): value for name, value in found.items()}})

    async def refuse(self, request: web.Request) -> web.Response:
        """What Browserless has and this gateway does not."""
        what = request.path.strip("/")
        raise GatewayError(Code.UNSUPPORTED, f"/{what}: {REFUSED[what]}")

    async def kill(self, request: web.Request) -> web.Response:
        """GET /kill/ID, of a session or a trackingId, or /kill/all: 204 once they have ended."""
        check_query(request, frozenset())
        principal, target = request[PRINCIPAL], request.match_info["target"]
        found = await self._meant(principal, target)
        if not found and target != "all":
            raise GatewayError(Code.SESSION_NOT_FOUND, f"there is no running session {target[:80]!r}")
        if len(found) == 1:
            request[SEATED] = found[0], False
        try:
            async with asyncio.TaskGroup() as group:
                for number in found:
                    group.create_task(self._fleetwide.stop(principal, number))  # the group awaits it
        except ExceptionGroup as failed:  # one whose context could not be saved; the first stands for all
            raise failed.exceptions[0] from None
        return web.Response(status=204)

    async def _meant(self, principal: Principal, target: str) -> list[SessionId]:
        try:
            return [(await self._registry.find(principal, session_id(target))).id]
        except GatewayError as error:
            if error.code is not Code.SESSION_NOT_FOUND:
                raise
        principal.require_tenant()
        labels = () if target == "all" else (("trackingId", target),)
        found: list[SessionId] = []
        for status in (Status.STARTING, Status.CONNECTED, Status.DETACHED):
            cursor = None
            while True:
                page = await self._registry.page(Query(principal.tenant, status, None, labels, cursor, 1000))
                found += [record.id for record in page.records]
                if (cursor := page.next_cursor) is None:
                    break
        return found

    @asynccontextmanager
    async def _visited(self, request: web.Request, visit: Visit) -> AsyncIterator[Visited]:
        """The page, in a context of its own or in the session that the query names, for as long as it may take."""
        principal: Principal = request[PRINCIPAL]
        if "sessionId" in request.query:
            check_query(request, UNUSED)
            session = await self._session(principal, request.query["sessionId"])
            limit = _timeout(request)
            async with (
                self._pages.within(session, drive=False) as remote,
                _within(limit),
                visited(remote.contexts[0], visit, borrowed=True) as there,
            ):
                yield there
            return
        principal.require_tenant()
        limits = self._registry.means.quotas.limits(principal.tenant, self._limits)
        spec = standard_spec(request, principal.tenant, limits, admin=principal.role is TenantRole.ADMIN)
        wanted = Wanted(spec.tenant, spec.launch, spec.egress, spec.identity, spec.block_ads)
        options = visit.options()
        if visit.viewport is None and (spec.identity is None or spec.identity.viewport is None):
            options |= {"viewport": {"width": Viewport().width, "height": Viewport().height}, "no_viewport": None}
        # What `launch` or the query says of time is for the work, not for the browser, which others share.
        limit = round(spec.ttl * 1000) if spec.ttl < limits.ttl_max else _timeout(request)
        async with (
            self._pages.context(wanted, weight=len(visit.html or ""), **options) as context,
            _within(limit),
            visited(context, visit) as there,
        ):
            yield there

    async def _session(self, principal: Principal, key: str) -> Session:
        session = await self._registry.session(principal, session_id(key))
        if session.record.spec.kind is Kind.STANDARD and session.record.secret is not None:
            # As on the other roads to a browser that was kept with an `auth`.
            raise GatewayError(Code.UNAUTHORIZED, "this browser wants the secret that reconnect was given as auth")
        return session


async def _read(request: web.Request, shape: type[B]) -> B:
    return read(shape, await json_body(request), "body")


@asynccontextmanager
async def _within(milliseconds: int) -> AsyncIterator[None]:
    """Raises PAGE_TIMEOUT (408)."""
    try:
        async with asyncio.timeout(milliseconds / 1000) as scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        raise GatewayError(Code.PAGE_TIMEOUT, f"the request took longer than {milliseconds} ms (timeout)") from None


def _timeout(request: web.Request) -> int:
    given = request.query.get("timeout", str(TIMEOUT))
    if not given.isdigit() or int(given) == 0:
        raise GatewayError(Code.BAD_REQUEST, "timeout: a whole number of ms, at least 1, is wanted")
    return int(given)


def _answered(there: Visited, body: str | bytes, media: str) -> web.Response:
    headers = _headers(there)
    if isinstance(body, str):
        return web.Response(text=body, content_type=media, charset="utf-8", headers=headers)
    return web.Response(body=body, content_type=media, headers=headers)


def _json(there: Visited, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, headers=_headers(there))


def _headers(there: Visited) -> dict[str, str]:
    """What the page's own server said: X-Response-Code, X-Response-Status, X-Response-URL."""
    response = there.response
    if response is None:
        return {}
    plain = response.url[:1000].encode("ascii", "ignore").decode()
    words = "".join(letter for letter in response.status_text if " " <= letter <= "~")
    return {"X-Response-Code": str(response.status), "X-Response-Status": words, "X-Response-URL": plain}


def _element(element: Element) -> dict[str, Any]:
    attributes = [{"name": name, "value": value} for name, value in element.attributes]
    return {**asdict(element), "attributes": attributes}
