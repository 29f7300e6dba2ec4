"""What of a request goes into the audit log: a table of routes, so that no handler has to think of it."""

import json
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.audit import Audit, Event
from gateway.errors import GatewayError
from gateway.records import SessionId, is_session_id
from gateway.session.registry import Registry
from gateway.tenancy.access import NOBODY, Principal
from gateway.tenancy.secret import digest
from gateway.web.door import NUMBER, SEATED, Door, credential
from gateway.web.forward import FORWARDED
from gateway.web.guessing import FAILED

GONE = 499  # in place of a status: the client left before there was an answer
FINGERPRINT = 12  # hexadecimal digits: enough to tell credentials apart, and no help to find one
# By method and path as the router has it. Of the others those are written down that may change something.
ACTIONS = {
    ("GET", "/"): "session.create",
    ("GET", "/chromium"): "session.create",
    ("GET", "/chrome"): "session.create",
    ("GET", "/reconnect/{key}"): "session.reconnect",
    ("GET", "/session/connect/{key}"): "session.connect",
    ("GET", "/devtools/{what}/{target}"): "session.debug",
    ("GET", "/session/{key}/devtools/{what}/{target}"): "session.debug",
    ("POST", "/session"): "session.create",
    ("PATCH", "/session/{key}"): "session.change",
    ("DELETE", "/session/{key}"): "session.stop",
    ("POST", "/session/{key}/restore"): "session.restore",
    ("POST", "/session/{key}/fork"): "session.fork",
    ("POST", "/session/{key}/snapshot"): "session.snapshot",
    ("POST", "/session/{key}/rotate"): "session.rotate",
    ("GET", "/session/{key}/context"): "session.context",
    ("POST", "/session/{key}/files"): "file.upload",
    ("GET", "/session/{key}/files/{name}"): "file.download",
    ("GET", "/session/{key}/live/socket"): "session.look",
    ("DELETE", "/session/{key}/files/{name}"): "file.delete",
    ("PUT", "/json/new"): "tab.open",
    ("PUT", "/session/{key}/json/new"): "tab.open",
    ("GET", "/json/{action}/{target}"): "tab.act",
    ("GET", "/session/{key}/json/{action}/{target}"): "tab.act",
    ("POST", "/content"): "page.content",
    ("POST", "/screenshot"): "page.screenshot",
    ("POST", "/pdf"): "page.pdf",
    ("POST", "/scrape"): "page.scrape",
    ("POST", "/performance"): "page.performance",
    ("POST", "/{engine}/content"): "page.content",
    ("POST", "/{engine}/screenshot"): "page.screenshot",
    ("POST", "/{engine}/pdf"): "page.pdf",
    ("POST", "/{engine}/scrape"): "page.scrape",
    ("POST", "/{engine}/performance"): "page.performance",
    ("GET", "/kill/{target}"): "session.stop",
    ("POST", "/v1/sessions"): "session.create",
    ("POST", "/v1/sessions/release"): "session.stop_all",
    ("DELETE", "/v1/sessions/{id}"): "session.stop",
    ("POST", "/v1/sessions/{id}/release"): "session.stop",
    ("GET", "/v1/sessions/{id}/context"): "session.context",
    ("POST", "/v1/sessions/{id}/files"): "file.upload",
    ("DELETE", "/v1/sessions/{id}/files"): "file.delete_all",
    ("GET", "/v1/sessions/{id}/files.zip"): "file.download_all",
    ("GET", "/v1/sessions/{id}/files/{path}"): "file.download",
    ("DELETE", "/v1/sessions/{id}/files/{path}"): "file.delete",
    ("POST", "/identities"): "identity.create",
    ("PUT", "/identities/{name}"): "identity.replace",
    ("DELETE", "/identities/{name}"): "identity.delete",
    ("POST", "/v1/sessions/{id}/computer"): "session.act",
    ("POST", "/v1/scrape"): "page.scrape",
    ("POST", "/v1/screenshot"): "page.screenshot",
    ("POST", "/v1/pdf"): "page.pdf",
    ("POST", "/v1/profiles"): "profile.create",
    ("PATCH", "/v1/profiles/{id}"): "profile.change",
    ("DELETE", "/v1/profiles/{id}"): "profile.erase",
    ("POST", "/v1/fetch"): "page.fetch",
    ("POST", "/v1/interact"): "page.interact",
    ("POST", "/v1/jobs"): "job.create",
    ("DELETE", "/v1/jobs/{id}"): "job.cancel",
}
NAMES = ("name", "path", "action")  # parts of a path that say more of what was done
SOCKETS = frozenset({"/", "/chromium", "/chrome"})  # the first is a page for those who do not upgrade
MAKE = frozenset({"session.create", "session.restore", "session.fork", "tab.open"})  # the answer has new sessions' ids


@dataclass(frozen=True, slots=True)
class _Who:
    tenant: str | None
    role: str | None
    kind: str | None
    credential: str | None


def audited(audit: Audit, door: Door, registry: Registry) -> Middleware:
    """The middleware, around the one that answers refusals."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        session = _named(request)
        owner = _owner(registry, session)  # asked before: a session that is ended is not there any more
        response: web.StreamResponse = web.Response(status=GONE)
        try:
            response = await handler(request)
        finally:
            action = None if FORWARDED in request else _action(request)  # the node that answered has written it down
            if action is not None and (request.get(FAILED) or not _is_unseen(response)):
                audit.note(_event(request, response, action, _who(request, door), owner, registry))
        return response

    return around


def _action(request: web.Request) -> str | None:
    if request.get(FAILED):
        return "credential.failed"
    resource = request.match_info.route.resource
    if resource is None:
        return None
    path = resource.canonical
    if path in SOCKETS and "Upgrade" not in request.headers:
        return None
    action = ACTIONS.get((request.method, path))
    if action == "session.create" and "sessionId" in request.query:
        return "session.connect"
    if action == "session.stop" and request.query.get("purge", "false").lower() in ("true", "1", ""):
        return "session.purge"
    if action is None and request.method not in ("GET", "HEAD", "OPTIONS"):
        return f"{request.method.lower()} {path}"
    return action


def _is_unseen(response: web.StreamResponse) -> bool:
    """Nobody was told apart yet: a stranger who only knocks shall not push others' lines out of the log."""
    return response.status in (401, 429, 431) or (response.status == 403 and b"_refused" in _body(response))


def _owner(registry: Registry, session: str | None) -> str | None:
    live = registry.live(SessionId(session)) if session else None
    return None if live is None else live.record.spec.tenant


def _event(
    request: web.Request,
    response: web.StreamResponse,
    action: str,
    who: _Who,
    owner: str | None,
    registry: Registry,
) -> Event:
    failed = bool(request.get(FAILED))
    seated, took_over = request.get(SEATED, (None, False))
    if took_over and response.status == 101:
        action = "session.takeover"
    named = _named(request)
    made = _made(response) if action in MAKE else ()
    session = seated or (made[0] if len(made) == 1 else None) or (named if not made else None)
    tenant = who.tenant or owner or _owner(registry, session)
    return Event(
        action,
        response.status,
        request.remote or "",
        request.headers.get("User-Agent", ""),
        request.get(NUMBER, ""),
        tenant=None if failed else tenant,
        role=None if failed else who.role,
        kind=who.kind,
        credential=who.credential,
        session=session,
        sessions=made if len(made) > 1 else (),
        source=named if made else None,
        detail=f"{request.method} {request.path}"
        if failed
        else request.match_info.get("name", request.match_info.get("path", request.match_info.get("action"))),
    )


def _who(request: web.Request, door: Door) -> _Who:
    """Whose credential it is, by its fingerprint; nobody's where it is not good, or only a secret of the session's."""
    key = request.match_info.get("key", "")
    given = key if "." in key else credential(request)
    kind = None if given is None else "token"
    if given is not None and door.access.capabilities.read(given, time.time()) is not None:
        kind = "capability"
    fingerprint = None if given is None else digest(given)[:FINGERPRINT]
    try:
        principal: Principal | None = door.who(request)
    except GatewayError:
        principal = None
    if principal is None:
        return _Who(None, None, kind, fingerprint)
    return _Who(principal.tenant if principal.tenant != NOBODY else None, principal.role.value, kind, fingerprint)


def _named(request: web.Request) -> str | None:
    """The session that the request names."""
    if request.path.startswith("/v1/profiles"):
        return None  # an id there is a profile's
    text = request.match_info.get("key") or request.match_info.get("id") or request.query.get("sessionId", "")
    number = text.partition(".")[0].lower()
    return number if is_session_id(number) else None


def _made(response: web.StreamResponse) -> tuple[str, ...]:
    """The ids in an answer of sessions."""
    if response.status not in (200, 201):
        return ()
    try:
        answer: Any = json.loads(_body(response))
    except ValueError:
        return ()
    found = answer.get("sessions", [answer]) if isinstance(answer, dict) else []
    ids = (one.get("sessionId", one.get("id")) for one in found if isinstance(one, dict))
    return tuple(number for number in ids if isinstance(number, str) and is_session_id(number))


def _body(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    return bytes(body) if isinstance(body, bytes | bytearray) else b""
