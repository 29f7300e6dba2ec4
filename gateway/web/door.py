"""Who comes in: hosts that are ours, origins that may, and the credential of a request as a Principal."""

import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.tenancy.access import Access, Principal
from gateway.tenancy.capability import Scope
from gateway.web import rights

PRINCIPAL = web.RequestKey("principal", Principal)
# For the audit log: the request's id, and the session that a websocket got, with whether a driver was put off for it.
NUMBER = web.RequestKey("number", str)
SEATED = web.RequestKey("seated", tuple[str, bool])
HEADERS = ("steel-api-key", "x-api-key")
QUERIES = ("token", "apiKey")
# DevTools of a Chromium that a person runs: no web page can have this origin.
DEVTOOLS_ORIGIN = "devtools://devtools"


class Door:
    """The checks before any handler. `external_url` and `allowed_origins` as configured."""

    def __init__(self, access: Access, external_url: str | None, allowed_origins: Sequence[str]) -> None:
        self.access = access
        self._foreign = {origin.rstrip("/").lower() for origin in allowed_origins}
        self._origins = self._foreign | {DEVTOOLS_ORIGIN}
        if external_url is not None:
            self._origins.add(external_url.lower())
        self._hosts = {urlsplit(origin).hostname for origin in self._origins}

    def check_source(self, request: web.Request) -> None:
        """Refuse a Host that is not ours (DNS rebinding) and an Origin that may not (403)."""
        said = request.headers.get("Host", "")
        host = request.host if said else ""  # a trusted proxy may have told another (forwarded.py): both must be ours
        for each in {said, host}:
            name = hostname(each)
            if name is None or not (_is_safe(name) or name in self._hosts):
                raise GatewayError(
                    Code.HOST_REFUSED,
                    f"this gateway does not serve the host {each[:200]!r}: set external_url to allow it",
                )
        origin = request.headers.get("Origin")
        if origin is None:
            if (
                request.headers.get("Sec-Fetch-Site") == "cross-site"
                and request.headers.get("Sec-Fetch-Mode") == "no-cors"
            ):
                # An image, script or style of another site's page: browsers send no Origin with those.
                raise GatewayError(Code.ORIGIN_REFUSED, "a page of another site may not fetch from this gateway")
            return  # not a web page, or a person who follows a link
        parts = urlsplit(origin.lower())
        own = parts.scheme in ("http", "https") and parts.netloc == host.lower()
        if not own and origin.lower() not in self._origins:
            raise GatewayError(
                Code.ORIGIN_REFUSED,
                f"the origin {origin[:200]!r} may not use this gateway: set allowed_origins to allow it",
            )

    def foreign(self, request: web.Request) -> str | None:
        """The web origin that asks, if it is another than ours and may: who gets CORS headers."""
        origin = request.headers.get("Origin", "")
        return origin if origin.lower() in self._foreign else None

    def principal(self, request: web.Request) -> Principal:
        """Who asks: by a header, the query, or a capability in the path.

        Raises UNAUTHORIZED (401), and FORBIDDEN (403) for whoever may not use this route.
        """
        found = self.who(request)
        rights.check(rights.right(request), found)
        return found

    def who(self, request: web.Request) -> Principal:
        """The same, whatever it asks for. Raises UNAUTHORIZED (401)."""
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
