"""The tenant's named identities: made once, given to any session by their name.

A session keeps the values that it was made with, whatever becomes of the name. They may hold secrets
(`extraHeaders`), so a capability, which is for one session, is not enough here.
"""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from gateway.errors import Code, GatewayError
from gateway.records import Identity
from gateway.store.base import Store
from gateway.tenancy.access import Principal
from gateway.web.door import PRINCIPAL
from gateway.web.request import check_query, json_body
from gateway.web.shapes import IdentityBody, identity_of, read

# It stands in a path.
IdentityName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]


class NewIdentity(IdentityBody):
    """`POST /identities`."""

    name: IdentityName


class ReplacedIdentity(IdentityBody):
    """`PUT /identities/NAME`: the name, if it is given, is that in the path."""

    name: IdentityName | None = None


class Identities:
    """Handlers of /identities, and what a create finds under a name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def named(self, tenant: str, name: str) -> Identity:
        """The tenant's identity of that name; raises NOT_FOUND (404)."""
        found = await self._store.identity(tenant, name)
        if found is None:
            raise _unknown(name)
        return found

    async def create(self, request: web.Request) -> web.Response:
        """POST /identities: 409 if there is one of that name."""
        tenant = _tenant(request)
        body = read(NewIdentity, await json_body(request), "body")
        identity = identity_of(body) or Identity()
        if not await self._store.add_identity(tenant, body.name, identity):
            raise GatewayError(
                Code.NAME_IN_USE, f"there is an identity {body.name!r}: PUT /identities/{body.name} replaces it"
            )
        return web.json_response(shape(body.name, identity), status=201)

    async def page(self, request: web.Request) -> web.Response:
        """GET /identities: all of them, by name."""
        found = await self._store.identities(_tenant(request))
        return web.json_response({"identities": [shape(name, identity) for name, identity in found]})

    async def show(self, request: web.Request) -> web.Response:
        """GET /identities/NAME."""
        tenant, name = _tenant(request), request.match_info["name"]
        return web.json_response(shape(name, await self.named(tenant, name)))

    async def replace(self, request: web.Request) -> web.Response:
        """PUT /identities/NAME: 201 if there was none of that name."""
        tenant, name = _tenant(request), request.match_info["name"]
        given = await json_body(request)
        read(ReplacedIdentity, {"name": name}, "path")
        body = read(ReplacedIdentity, given, "body")
        if body.name not in (None, name):
            raise GatewayError(Code.BAD_REQUEST, "body: name: an identity cannot be renamed: make a new one")
        identity = identity_of(body) or Identity()
        made = await self._store.put_identity(tenant, name, identity)
        return web.json_response(shape(name, identity), status=201 if made else 200)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /identities/NAME: 204, or 404 if there is none."""
        tenant, name = _tenant(request), request.match_info["name"]
        if not await self._store.drop_identity(tenant, name):
            raise _unknown(name)
        return web.Response(status=204)


def shape(name: str, identity: Identity) -> dict[str, Any]:
    """An identity as the native dialect shows it, which is also what a create takes: only what was set."""
    size, place = identity.viewport, identity.geolocation
    told = {
        "name": name,
        "userAgent": identity.user_agent,
        "locale": identity.locale,
        "timezone": identity.timezone,
        "viewport": None if size is None else {"width": size[0], "height": size[1]},
        "deviceScaleFactor": identity.device_scale_factor,
        "geolocation": None if place is None else dict(zip(("latitude", "longitude", "accuracy"), place, strict=True)),
        "extraHeaders": dict(identity.extra_headers) or None,
    }
    return {field: value for field, value in told.items() if value is not None}


def _tenant(request: web.Request) -> str:
    check_query(request, frozenset())
    principal: Principal = request[PRINCIPAL]
    principal.require_tenant()
    return principal.tenant


def _unknown(name: str) -> GatewayError:
    return GatewayError(Code.NOT_FOUND, f"identity: there is no identity {name[:80]!r}")
