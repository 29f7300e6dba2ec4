"""Who may use which route: one line for each, and what is not here is for role admin alone."""

from enum import Enum, auto

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.records import Role
from gateway.tenancy.access import Principal


class Right(Enum):
    """What a route asks of a credential."""

    ANYONE = auto()  # none is needed
    LOOK = auto()  # role viewer too: what is seen gives nobody a hold on a session
    USE = auto()  # to have sessions and do with one's own what one likes
    TENANT = auto()  # the same, but a session's own URL is not enough
    NODE = auto()  # role admin: the gateway's own affairs


# By method and the path as the router has it. A websocket is a GET.
RIGHTS = {
    "GET /": Right.USE,  # without an Upgrade it is a page for anyone
    "GET /chromium": Right.USE,
    "GET /chrome": Right.USE,
    "GET /reconnect/{key}": Right.USE,
    "GET /session/connect/{key}": Right.USE,
    "GET /devtools/{what}/{target}": Right.USE,
    "GET /session/{key}/devtools/{what}/{target}": Right.USE,
    "GET /session/{key}/devtools/{path}": Right.USE,  # DevTools can do all that a driver can
    "POST /session": Right.TENANT,
    "GET /sessions": Right.LOOK,
    "GET /session/{key}": Right.LOOK,
    "PATCH /session/{key}": Right.USE,
    "DELETE /session/{key}": Right.USE,
    "POST /session/{key}/rotate": Right.USE,
    "POST /session/{key}/restore": Right.TENANT,
    "POST /session/{key}/fork": Right.TENANT,
    "POST /session/{key}/snapshot": Right.USE,
    "GET /session/{key}/snapshots": Right.USE,
    "GET /session/{key}/context": Right.USE,  # cookies
    "GET /session/{key}/live": Right.LOOK,
    "GET /session/{key}/live/socket": Right.LOOK,
    "GET /session/{key}/files": Right.USE,
    "POST /session/{key}/files": Right.USE,
    "GET /session/{key}/files/{name}": Right.USE,
    "DELETE /session/{key}/files/{name}": Right.USE,
    "POST /identities": Right.TENANT,
    "GET /identities": Right.TENANT,
    # Browserless: in a session of one's own with its own URL's secret, too
    "POST /content": Right.USE,
    "POST /screenshot": Right.USE,
    "POST /pdf": Right.USE,
    "POST /scrape": Right.USE,
    "POST /performance": Right.USE,
    "POST /{engine}/content": Right.USE,
    "POST /{engine}/screenshot": Right.USE,
    "POST /{engine}/pdf": Right.USE,
    "POST /{engine}/scrape": Right.USE,
    "POST /{engine}/performance": Right.USE,
    "POST /function": Right.TENANT,
    "POST /download": Right.TENANT,
    "POST /unblock": Right.TENANT,
    "GET /kill/{target}": Right.USE,
    "GET /identities/{name}": Right.TENANT,
    "PUT /identities/{name}": Right.TENANT,
    "DELETE /identities/{name}": Right.TENANT,
    "GET /json/version": Right.USE,  # it hands out a URL that makes a session
    "GET /json": Right.USE,
    "GET /json/list": Right.USE,
    "GET /json/protocol": Right.USE,
    "PUT /json/new": Right.USE,
    "GET /json/{action}/{target}": Right.USE,
    "GET /session/{key}/json/version": Right.USE,
    "GET /session/{key}/json": Right.USE,
    "GET /session/{key}/json/list": Right.USE,
    "GET /session/{key}/json/protocol": Right.USE,
    "PUT /session/{key}/json/new": Right.USE,
    "GET /session/{key}/json/{action}/{target}": Right.USE,
    "POST /v1/sessions": Right.TENANT,
    "GET /v1/sessions": Right.LOOK,
    "POST /v1/sessions/release": Right.TENANT,
    "GET /v1/sessions/{id}": Right.LOOK,
    "DELETE /v1/sessions/{id}": Right.USE,
    "POST /v1/sessions/{id}/release": Right.USE,
    "GET /v1/sessions/{id}/context": Right.USE,  # cookies
    "GET /v1/sessions/{id}/live-details": Right.LOOK,
    "GET /v1/sessions/{id}/events": Right.LOOK,
    "GET /v1/sessions/{id}/files": Right.USE,
    "POST /v1/sessions/{id}/files": Right.USE,
    "DELETE /v1/sessions/{id}/files": Right.USE,
    "GET /v1/sessions/{id}/files.zip": Right.USE,
    "GET /v1/sessions/{id}/files/{path}": Right.USE,
    "DELETE /v1/sessions/{id}/files/{path}": Right.USE,
    # What Steel has and this gateway has not: said to whoever could use it.
    "POST /v1/sessions/{id}/captchas/solve": Right.USE,
    "POST /v1/sessions/{id}/captchas/solve-image": Right.USE,
    "GET /v1/sessions/{id}/captchas/status": Right.USE,
    "GET /v1/files": Right.USE,
    "POST /v1/files": Right.USE,
    "GET /v1/files/{path}": Right.USE,
    "DELETE /v1/files/{path}": Right.USE,
    "GET /v1/credentials": Right.USE,
    "POST /v1/credentials": Right.USE,
    "PUT /v1/credentials": Right.USE,
    "DELETE /v1/credentials": Right.USE,
    "GET /v1/extensions": Right.USE,
    "POST /v1/extensions": Right.USE,
    "DELETE /v1/extensions": Right.USE,
    "GET /v1/extensions/{id}": Right.USE,
    "PUT /v1/extensions/{id}": Right.USE,
    "DELETE /v1/extensions/{id}": Right.USE,
    "POST /v1/profiles": Right.TENANT,
    "GET /v1/profiles": Right.TENANT,
    "GET /v1/profiles/{id}": Right.TENANT,
    "PATCH /v1/profiles/{id}": Right.TENANT,
    "DELETE /v1/profiles/{id}": Right.TENANT,
    "POST /v1/sessions/{id}/computer": Right.USE,
    "POST /v1/scrape": Right.TENANT,
    "POST /v1/screenshot": Right.TENANT,
    "POST /v1/pdf": Right.TENANT,
    "POST /v1/fetch": Right.TENANT,
    "POST /v1/interact": Right.TENANT,
    "POST /v1/jobs": Right.TENANT,
    "GET /v1/jobs/{id}": Right.TENANT,
    "GET /v1/jobs/{id}/result": Right.TENANT,
    "DELETE /v1/jobs/{id}": Right.TENANT,
    "GET /hosted/{name}": Right.ANYONE,  # the name is a secret
    "GET /favicon.ico": Right.ANYONE,
    "GET /openapi.json": Right.ANYONE,
    "GET /docs": Right.ANYONE,
    "GET /healthz": Right.ANYONE,
    "GET /readyz": Right.ANYONE,
    "GET /pressure": Right.LOOK,
    "GET /active": Right.LOOK,
    "GET /metrics": Right.NODE,
}


def name_of(method: str, path: str) -> str:
    """A route's key in RIGHTS: a slash at the end and HEAD for GET make no difference."""
    return f"{'GET' if method == 'HEAD' else method} {path.rstrip('/') or '/'}"


def right(request: web.Request) -> Right:
    """What the request's route asks for; ANYONE where there is no such route, which is 404 or 405 in any case."""
    resource = request.match_info.route.resource
    if resource is None:
        return Right.ANYONE
    return RIGHTS.get(name_of(request.method, resource.canonical), Right.NODE)


def check(asked: Right, principal: Principal) -> None:
    """Raises FORBIDDEN (403) in words."""
    if asked is Right.ANYONE or (asked is Right.LOOK and principal.role is Role.VIEWER):
        return
    if principal.role is Role.VIEWER:
        raise GatewayError(
            Code.FORBIDDEN, "role viewer may list and show sessions and look at what they show, and nothing else"
        )
    if asked in (Right.TENANT, Right.NODE):
        principal.require_tenant()
    if asked is Right.NODE and principal.role is not Role.ADMIN:
        raise GatewayError(Code.FORBIDDEN, "this is for role admin")
