"""Websockets: what a URL asks for, a seat, two legs, and the relay until the end."""

import asyncio
import base64
import hashlib
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch as dressed
from gateway.records import Egress, Kind, Limits, SessionSpec
from gateway.records import Role as TenantRole
from gateway.relay.browser_leg import BrowserUnreachable, dial
from gateway.relay.relay import Relays
from gateway.session.commands import SessionCommands
from gateway.session.drops import Drops
from gateway.session.life import Attached, Role
from gateway.session.registry import Registry
from gateway.session.session import Session
from gateway.tenancy.access import Access, Principal
from gateway.tenancy.capability import Scope
from gateway.tenancy.secret import digest, same
from gateway.web import network
from gateway.web.door import PRINCIPAL, SEATED, Door, credential
from gateway.web.fleetwide import Fleetwide
from gateway.web.links import links_of
from gateway.web.request import check_query, session_id, switch
from gateway.web.shapes import LaunchBody, checked_flags, launch_identity, mode_of, read, seconds

log = structlog.get_logger()
NOTICED = 1.0  # seconds until a browser that does not listen any more is known to have ended
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
STANDARD_QUERY = frozenset({"launch", "timeout", "headless", "trackingId", "blockAds", "proxyServer", "stealth"})


class Connect:
    """Handlers of everything that is upgraded."""

    def __init__(
        self,
        registry: Registry,
        relays: Relays,
        door: Door,
        limits: Limits,
        external_url: str | None,
        fleetwide: Fleetwide,
    ) -> None:
        self._registry = registry
        self._fleetwide = fleetwide
        self._relays = relays
        self._door = door
        self._access: Access = door.access
        self._limits = limits
        self._external_url = external_url
        self._drops = Drops()

    async def standard(self, request: web.Request) -> web.StreamResponse:
        """`/`, `/chromium`, `/chrome`: a browser for this client; with `sessionId` the session that runs."""
        accept = upgrade(request)
        principal = self._door.principal(request)
        if "sessionId" in request.query:
            check_query(request, frozenset({"sessionId", "takeover"}))
            # What scripts add with a second question mark has become part of it.
            return await self._join(request, accept, principal, request.query["sessionId"].partition("?")[0])
        principal.require_create()
        limits = self._registry.means.quotas.limits(principal.tenant, self._limits)
        admin = principal.role is TenantRole.ADMIN
        session = await self._registry.create(standard_spec(request, principal.tenant, limits, admin=admin))
        return await self._sit(request, accept, session, Role.DRIVER)

    async def api(self, request: web.Request) -> web.StreamResponse:
        """`/session/connect/ID`: an API session, revived if its browser was put away."""
        accept = upgrade(request)
        check_query(request, frozenset({"takeover"}))
        return await self._join(request, accept, request[PRINCIPAL], request.match_info["key"])

    async def reconnect(self, request: web.Request) -> web.StreamResponse:
        """`/reconnect/ID`: the browser that `reconnect` kept, and only that."""
        accept = upgrade(request)
        check_query(request, frozenset({"takeover"}))
        key = request.match_info["key"]
        number = session_id(key)
        kept = self._registry.live(number)
        if kept is None:
            await self._registry.kept_elsewhere(number)
        given = credential(request)
        takeover = switch(request, "takeover")
        if kept is not None and (wanted := kept.record.secret) is not None:
            # With `auth` nothing else opens it, neither the capability in the path nor the tenant's token.
            if "." in key:  # nor does the secret, at a URL that was rotated
                await self._registry.find(self._access.principal(key, time.time()), number)
            if given is None or not same(digest(given), wanted):
                if "." not in key:  # to others it is not there
                    await self._registry.find(self._door.principal(request), number)
                raise GatewayError(Code.UNAUTHORIZED, "this browser wants the secret that reconnect was given as auth")
            return await self._sit(request, accept, kept, Role.DRIVER, takeover=takeover)
        reachable = kept is not None and kept.reachable
        if not reachable and "." in key:
            # Whoever holds the URL is told that it is over, also where the secret that went with it is forgotten.
            principal = self._access.principal(key, time.time())
        else:
            principal = self._door.principal(request)
        record = await self._registry.find(principal, number)
        if kept is None or not reachable:
            again = (
                "; /session/connect/ID revives it" if record.spec.kind is Kind.API and not record.status.ended else ""
            )
            raise GatewayError(Code.SESSION_ENDED, f"the browser of session {number} is not kept any more{again}")
        return await self._sit(request, accept, kept, Role.DRIVER, takeover=takeover)

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """`/session/ID/devtools/page/TARGET` and `…/browser/GUID`: a debugging client beside the driver."""
        accept = upgrade(request)
        check_query(request, frozenset())
        session = await self._registry.awake(request[PRINCIPAL], session_id(request.match_info["key"]))
        return await self._observe(request, accept, session, request.match_info["what"], request.match_info["target"])

    async def debug_anywhere(self, request: web.Request) -> web.StreamResponse:
        """`/devtools/page/TARGET` and `/devtools/browser/ID`: the same, wherever among the caller's sessions it is."""
        accept = upgrade(request)
        check_query(request, frozenset())
        what, target = request.match_info["what"], request.match_info["target"]
        session = await self._fleetwide.with_target(request[PRINCIPAL], what, target)
        return await self._observe(request, accept, session, what, target)

    async def _join(self, request: web.Request, accept: str, principal: Principal, key: str) -> web.StreamResponse:
        """Drive a session that is there already."""
        if principal.scope is Scope.RECONNECT:
            raise GatewayError(Code.FORBIDDEN, "this credential is for /reconnect only")
        takeover = switch(request, "takeover")  # whatever may be wrong is said before anything is woken
        session = await self._registry.session(principal, session_id(key))
        if session.record.spec.kind is Kind.STANDARD and session.record.secret is not None:
            # The other roads to a browser that is kept must not lead round its `auth`.
            raise GatewayError(Code.UNAUTHORIZED, "this browser wants the secret that reconnect was given as auth")
        browser = session.browser
        try:
            return await self._sit(request, accept, session, Role.DRIVER, takeover=takeover)
        except GatewayError as error:
            if error.code is not Code.BAD_GATEWAY or browser is None or session.record.spec.kind is not Kind.API:
                raise
            try:
                async with asyncio.timeout(NOTICED):
                    await browser.gone.wait()
            except TimeoutError:
                raise error from None
        # It was killed a moment ago, which the session had not seen yet: the next one is its own.
        session = await self._registry.session(principal, session.record.id)
        return await self._sit(request, accept, session, Role.DRIVER, takeover=takeover)

    async def _observe(
        self, request: web.Request, accept: str, session: Session, what: str, target: str
    ) -> web.StreamResponse:
        path = session.browser.path if what == "browser" and session.browser else f"/devtools/{what}/{target}"
        return await self._sit(request, accept, session, Role.OBSERVER, path=path)

    async def _sit(
        self,
        request: web.Request,
        accept: str,
        session: Session,
        role: Role,
        *,
        path: str | None = None,
        takeover: bool = False,
    ) -> web.StreamResponse:
        """Take a seat, connect to Chromium at `path` (None: its browser endpoint), and begin to relay."""
        number = session.record.id
        request[SEATED] = number, takeover and isinstance(session.state, Attached)
        with structlog.contextvars.bound_contextvars(session=number, role=role.value):
            async with AsyncExitStack() as held:
                seat = await held.enter_async_context(session.attach(role, takeover=takeover))
                browser = seat.admitted.result()
                try:
                    leg = await dial(browser.port, path or browser.path)
                except BrowserUnreachable as error:
                    if role is Role.OBSERVER:
                        raise GatewayError(Code.TARGET_NOT_FOUND, f"there is no such target: {error}") from error
                    raise GatewayError(Code.BAD_GATEWAY, str(error)) from error
                links = links_of(request, self._access, self._external_url)
                start = self._relays.start
                commands = SessionCommands(session, seat, self._limits, lambda: links.reconnect(session.record), start)
                held.enter_context(self._drops.watched(session, seat, leg))
                log.info("client_connected")
                self._relays.begin(request, accept, leg, commands, evicted=seat.evicted, leave=seat.leave, held=held)
        return web.Response(status=101)


def upgrade(request: web.Request) -> str:
    """The Sec-WebSocket-Accept for a proper upgrade request (RFC 6455 section 4.2.1); raises GatewayError."""
    headers = request.headers
    tokens = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise GatewayError(Code.UPGRADE_REQUIRED, "this is a websocket: connect with ws:// and a CDP client")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise GatewayError(Code.UPGRADE_REQUIRED, "only websocket version 13 is spoken here")
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        nonce = base64.b64decode(key, validate=True)
    except ValueError:  # no base64, or no ASCII
        nonce = b""
    if len(nonce) != 16:
        raise GatewayError(Code.BAD_REQUEST, "Sec-WebSocket-Key: base64 of 16 bytes is wanted")
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def standard_spec(request: web.Request, tenant: str, limits: Limits, *, admin: bool = False) -> SessionSpec:
    """What a websocket's query asks for, `admin` or not; raises GatewayError naming what is wrong."""
    query = request.query
    check_query(request, STANDARD_QUERY | {name for name in query if name.startswith("--")})
    body = read(LaunchBody, launch_json(query.get("launch")), "launch")
    if "headless" in query:
        # The query's word stands over that in `launch`.
        if query["headless"] not in ("true", "false", "shell", "new", ""):
            raise GatewayError(Code.BAD_REQUEST, "headless: true, false or shell is wanted")
        body = body.model_copy(update={"headless": query["headless"] or True})
    flags = [name if value == "" else f"{name}={value}" for name, value in query.items() if name.startswith("--")]
    identity = launch_identity(body)
    args, server, bypass = network.parted(list(checked_flags([*body.args, *flags])))
    if "proxyServer" in query:
        through = network.upstream(query["proxyServer"], bypass, field="proxyServer")
    else:
        through = network.upstream(server, bypass, field=f"flag {network.SERVER}", code=Code.FLAG_REFUSED)
    launch = LaunchSpec(
        mode=mode_of(body.headless),
        args=tuple(args),
        stealth=body.stealth or switch(request, "stealth"),
    )
    if body.accept_insecure_certs or body.ignore_https_errors:
        launch = replace(launch, args=(*launch.args, "--ignore-certificate-errors"))
    if body.slow_mo:
        raise GatewayError(Code.UNSUPPORTED, "launch.slowMo: the client that connects can wait between its commands")
    timeout = query.get("timeout") or (None if body.timeout is None else str(body.timeout))
    if timeout is not None and (not timeout.isdigit() or int(timeout) == 0):
        raise GatewayError(Code.BAD_REQUEST, "timeout: a whole number of ms, at least 1, is wanted")
    tracking = query.get("trackingId")
    return SessionSpec(
        tenant=tenant,
        kind=Kind.STANDARD,
        launch=dressed(identity, launch),
        ttl=seconds("timeout", None if timeout is None else int(timeout), limits.ttl_max, limits.ttl_max),
        keep=0,
        labels=(("trackingId", tracking[:256]),) if tracking else (),
        identity=identity,
        park=limits.park,
        egress=Egress(opens=admin, upstream=through),
        block_ads=body.block_ads or switch(request, "blockAds"),
    )


def launch_json(text: str | None) -> Any:
    """`launch` as JSON or as base64 of JSON; raises BAD_REQUEST."""
    if text is None:
        return {}
    if not text.lstrip().startswith("{"):
        try:
            # Some clients use the URL's alphabet, some leave the padding out, and a + may have become a space.
            plain = text.replace("-", "+").replace("_", "/").replace(" ", "+").rstrip("=")
            text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
        except ValueError:
            raise GatewayError(Code.BAD_REQUEST, "launch: neither JSON nor base64 of JSON") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatewayError(Code.BAD_REQUEST, f"launch: not JSON: {error}") from None
