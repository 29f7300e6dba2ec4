"""Who comes in: hosts that are ours, origins that may, and the credential of a request as a Principal."""

import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.tenancy.access import Access, Principal
from gateway.tenancy.capability import Scope

PRINCIPAL = web.RequestKey("principal", Principal)
HEADERS = ("steel-api-key", "x-api-key")
QUERIES = ("token", "apiKey")
# DevTools of a Chromium that a person runs: no web page can have this origin.
DEVTOOLS_ORIGIN = "devtools://devtools"


class Door:
    """The checks before any handler. `external_url` and `allowed_origins` as configured."""

    def __init__(self, access: Access, external_url: str | None, allowed_origins: Sequence[str]) -> None:
        self.access = access
        self._origins = {origin.rstrip("/").lower() for origin in allowed_origins} | {DEVTOOLS_ORIGIN}
        if external_url is not None:
            self._origins.add(external_url.lower())
        self._hosts = {urlsplit(origin).hostname for origin in self._origins}

    def check_source(self, request: web.Request) -> None:
        """Refuse a Host that is not ours (DNS rebinding) and an Origin that may not (403)."""
        host = request.headers.get("Host", "")
        name = hostname(host)
        if name is None or not (_is_safe(name) or name in self._hosts):
            raise GatewayError(
                Code.HOST_REFUSED, f"this gateway does not serve the host {host[:200]!r}: set external_url to allow it"
            )
        origin = request.headers.get("Origin")
        if origin is None:
            return  # not a web page
        parts = urlsplit(origin.lower())
        own = parts.scheme in ("http", "https") and parts.netloc == host.lower()
        if not own and origin.lower() not in self._origins:
            raise GatewayError(
                Code.ORIGIN_REFUSED,
                f"the origin {origin[:200]!r} may not use this gateway: set allowed_origins to allow it",
            )

    def principal(self, request: web.Request) -> Principal:
        """Who asks: by a header, the query, or a capability in the path. Raises UNAUTHORIZED (401)."""
        now = time.time()
        key = request.match_info.get("key", "")
        given = credential(request)
        if "." in key:
            if given is not None:  # a second credential must be a good one, though it adds nothing
                self.access.principal(given, now)
            return self.access.principal(key, now)
        return self.access.principal(given, now)

    def whole_session(self, request: web.Request) -> Principal:
        """The same for all but the websockets that look themselves: narrow credentials are not enough (403)."""
        principal = self.principal(request)
        if principal.scope not in (None, Scope.SESSION):
            raise GatewayError(Code.FORBIDDEN, "this credential is for connecting only; use the tenant's token")
        return principal


def credential(request: web.Request) -> str | None:
    """The credential that a request carries, or None. Headers before the query."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    for name in HEADERS:
        if value := request.headers.get(name, ""):
            return value
    for name in QUERIES:
        if name in request.query:
            return request.query[name]
    return None


def hostname(host: str) -> str | None:
    """The name in a Host header, lower case, without port and brackets; None if it has no sane shape."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_safe(name: str) -> bool:
    """Addresses, localhost and names without a dot: a foreign web page cannot be served under these."""
    if name == "localhost" or name.endswith(".localhost") or "." not in name.rstrip("."):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
