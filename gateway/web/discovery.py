"""Discovery and DevTools as Chromium has them, for one session and over all that the caller may see.

Every URL in an answer leads back through the gateway, with a capability in it.
"""

import json
import mimetypes
import time
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from browser_pool.browser import Browser
from browser_pool.errors import BrowserFailed
from browser_pool.spec import LaunchSpec
from gateway.cluster.fleet import Elsewhere
from gateway.errors import Code, GatewayError
from gateway.records import Kind, Limits, SessionSpec
from gateway.session.registry import Registry
from gateway.session.session import Session
from gateway.tenancy.access import Access
from gateway.web.door import PRINCIPAL
from gateway.web.fleetwide import Fleetwide
from gateway.web.links import Links, links_of
from gateway.web.request import CREDENTIALS, check_query, session_id


class Discovery:
    """Handlers of /json and /session/ID/json, and DevTools' own pages. `http` talks to the browsers."""

    def __init__(
        self,
        registry: Registry,
        access: Access,
        limits: Limits,
        external_url: str | None,
        http: aiohttp.ClientSession,
        fleetwide: Fleetwide,
    ) -> None:
        self._registry = registry
        self._fleetwide = fleetwide
        self._access = access
        self._limits = limits
        self._external_url = external_url
        self._http = http
        self._facts: dict[str, bytes] = {}  # /json/version and /json/protocol: the same for every browser

    # --- over all that the caller may see ---

    async def version(self, request: web.Request) -> web.Response:
        """GET /json/version; its webSocketDebuggerUrl makes a session, or leads to the capability's own."""
        principal = request[PRINCIPAL]
        check_query(request, frozenset())
        facts = json.loads(await self._fact("version"))
        links = self._links(request)
        if principal.session is not None:
            record = await self._registry.find(principal, principal.session)
            facts["webSocketDebuggerUrl"] = links.drive(record)
        else:
            facts["webSocketDebuggerUrl"] = links.open(principal.tenant, time.time())
        return _shown(facts)

    async def targets(self, request: web.Request) -> web.Response:
        """GET /json and /json/list: the targets of all running sessions of the caller."""
        check_query(request, frozenset())
        found: list[dict[str, Any]] = []
        for session in self._registry.running(request[PRINCIPAL]):
            try:
                found += await self._targets(session, self._links(request))
            except GatewayError as error:
                if error.code not in (Code.BAD_GATEWAY, Code.NOT_RUNNING):
                    raise  # a browser that ended while we looked has no targets; nothing else is passed over
        return _shown(found + await self._fleetwide.lists(request, request[PRINCIPAL]))

    async def protocol(self, request: web.Request) -> web.Response:
        """GET /json/protocol."""
        check_query(request, frozenset())
        return web.Response(body=await self._fact("protocol"), content_type="application/json")

    async def new(self, request: web.Request) -> web.Response:
        """PUT /json/new?URL: a tab in the caller's one running session, or in a new one if none runs."""
        principal = request[PRINCIPAL]
        running, elsewhere = self._registry.running(principal), await self._fleetwide.elsewhere(principal)
        if len(running) + elsewhere.total() > 1:
            raise GatewayError(
                Code.NOT_RUNNING, "several sessions are running: PUT /session/ID/json/new says which one the tab is for"
            )
        if running:
            return await self._new(request, running[0])
        for node in elsewhere:
            raise Elsewhere(node)
        principal.require_tenant()
        limits = self._registry.means.quotas.limits(principal.tenant, self._limits)
        spec = SessionSpec(
            principal.tenant,
            Kind.API,
            LaunchSpec(),
            min(limits.ttl, limits.ttl_max),
            limits.keep,
            persist=True,
            park=limits.park,
            checkpoint=limits.checkpoint,
        )
        return await self._new(request, await self._registry.created(spec))

    async def act(self, request: web.Request) -> web.Response:
        """GET /json/activate/TARGET and /json/close/TARGET."""
        check_query(request, frozenset())
        target = request.match_info["target"]
        session = await self._fleetwide.with_target(request[PRINCIPAL], "page", target)
        return web.Response(body=await self._ask(session, f"/json/{request.match_info['action']}/{quote(target)}"))

    # --- of one session ---

    async def session_version(self, request: web.Request) -> web.Response:
        """GET /session/ID/json/version."""
        check_query(request, frozenset())
        session = await self._session(request)
        facts = json.loads(await self._ask(session, "/json/version"))
        guid = urlsplit(facts["webSocketDebuggerUrl"]).path.rpartition("/")[2]
        facts["webSocketDebuggerUrl"] = self._links(request).devtools_socket(session.record, f"browser/{guid}")
        return _shown(facts)

    async def session_targets(self, request: web.Request) -> web.Response:
        """GET /session/ID/json and …/json/list."""
        check_query(request, frozenset())
        return _shown(await self._targets(await self._session(request), self._links(request)))

    async def session_protocol(self, request: web.Request) -> web.Response:
        """GET /session/ID/json/protocol."""
        check_query(request, frozenset())
        body = await self._ask(await self._session(request), "/json/protocol")
        return web.Response(body=body, content_type="application/json")

    async def session_new(self, request: web.Request) -> web.Response:
        """PUT /session/ID/json/new?URL."""
        return await self._new(request, await self._session(request))

    async def session_act(self, request: web.Request) -> web.Response:
        """GET /session/ID/json/activate/TARGET and …/close/TARGET."""
        check_query(request, frozenset())
        action, target = request.match_info["action"], request.match_info["target"]
        return web.Response(body=await self._ask(await self._session(request), f"/json/{action}/{quote(target)}"))

    async def frontend(self, request: web.Request) -> web.StreamResponse:
        """GET /session/ID/devtools/…: Chromium's own DevTools.

        A page without a target to look at, or without the capability in its path (which its scripts and
        its websocket need), is redirected to where it has both.
        """
        session = await self._session(request)
        key, path = request.match_info["key"], request.match_info["path"]
        links = self._links(request)
        has_target = "ws" in request.query or "wss" in request.query
        if path.endswith(".html") and ("." not in key or not has_target):
            if has_target:
                query = "&".join(part for part in request.query_string.split("&") if not _is_credential(part))
                return _redirect(f"{links.devtools_page(session.record, page=path)}?{query}")
            listed = json.loads(await self._ask(session, "/json/list"))
            pages = [target["id"] for target in listed if target["type"] == "page"]
            if not pages:
                raise GatewayError(Code.TARGET_NOT_FOUND, "the session has no page to look at")
            return _redirect(links.devtools_page(session.record, pages[0], path))
        body = await self._ask(session, f"/devtools/{quote(path)}")
        if not body:  # which Chromium sends with 200 for a file that it has not
            raise GatewayError(Code.NOT_FOUND, f"DevTools has no file {path[:80]!r}")
        # One build of Chromium has the same files always: a second window need not load them again.
        headers = {"Cache-Control": "private, max-age=3600"}
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return web.Response(body=body, content_type=kind, headers=headers)

    # --- within ---

    def _links(self, request: web.Request) -> Links:
        return links_of(request, self._access, self._external_url)

    async def _session(self, request: web.Request) -> Session:
        return await self._registry.awake(request[PRINCIPAL], session_id(request.match_info["key"]))

    async def _targets(self, session: Session, links: Links) -> list[dict[str, Any]]:
        if session.parked and session.browser is not None:  # a look at the list shall not wake them all
            pages = session.browser.pages.items()
            known = [{"id": page, "type": "page", "title": "", "description": "", "url": url} for page, url in pages]
            return [_rewritten(target, session, links) for target in known]
        found: list[dict[str, Any]] = json.loads(await self._ask(session, "/json/list"))
        return [_rewritten(target, session, links) for target in found]

    async def _new(self, request: web.Request, session: Session) -> web.Response:
        # As with Chromium the whole query is the URL, but for a credential of ours.
        parts = [part for part in request.query_string.split("&") if not _is_credential(part)]
        url = unquote("&".join(parts)) or "about:blank"
        target = json.loads(await self._ask(session, f"/json/new?{quote(url, safe='')}", method="PUT"))
        return _shown(_rewritten(target, session, self._links(request)))

    async def _fact(self, name: str) -> bytes:
        """/json/version or /json/protocol of a default browser: if there is none, one is started for it, once."""
        pool = self._registry.means.pool
        if name not in self._facts:
            try:
                if (ready := pool.ready) is not None:
                    await self._learn(ready)
                else:
                    async with pool.lease(LaunchSpec()) as browser:
                        await self._learn(browser)
            except BrowserFailed as error:
                raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        return self._facts[name]

    async def _learn(self, browser: Browser) -> None:
        for name in ("version", "protocol"):
            self._facts[name] = await self._fetch(browser.port, f"/json/{name}")

    async def _ask(self, session: Session, path: str, method: str = "GET") -> bytes:
        """What the session's browser answers; raises TARGET_NOT_FOUND for its 404."""
        async with session.used() as browser:
            return await self._fetch(browser.port, path, method)

    async def _fetch(self, port: int, path: str, method: str = "GET") -> bytes:
        try:
            async with self._http.request(method, URL(f"http://127.0.0.1:{port}{path}", encoded=True)) as answer:
                body = await answer.read()
        except aiohttp.ClientError as error:
            raise _unreachable(error) from error
        if answer.status == 404:
            raise GatewayError(Code.TARGET_NOT_FOUND, body.decode(errors="replace"))
        if answer.status != 200:
            raise GatewayError(Code.BAD_GATEWAY, f"the browser answered {answer.status}")
        return body


def _rewritten(target: dict[str, Any], session: Session, links: Links) -> dict[str, Any]:
    """A target as Chromium lists it, its URLs leading through us."""
    record, kind = session.record, "browser" if target.get("type") == "browser" else "page"
    path = f"{kind}/{target['id']}"
    target = {**target, "sessionId": record.id, "devtoolsFrontendUrl": links.devtools_page(record, target["id"])}
    target["webSocketDebuggerUrl"] = links.devtools_socket(record, path)
    return target


def _shown(value: object) -> web.Response:
    """Indented, as Chromium has it: people read this in a terminal."""
    return web.json_response(value, dumps=lambda value: json.dumps(value, indent=2) + "\n")


def _redirect(url: str) -> web.Response:
    return web.Response(status=302, headers={"Location": url})


def _is_credential(part: str) -> bool:
    return part.partition("=")[0] in CREDENTIALS


def _unreachable(error: aiohttp.ClientError) -> GatewayError:
    return GatewayError(Code.BAD_GATEWAY, f"the browser does not answer: {type(error).__name__}")
