"""Who asks and under what address, where proxies stand between: their headers are believed from them alone.

`X-Forwarded-For`, `-Proto` and `-Host` count only on connections from `trusted_proxies`. `Forwarded` (RFC 7239) is
not read: a proxy that sets one of the two families passes the other on as the client sent it.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FOR, PROTO, HOST = "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The networks that our own proxies are in."""

    trusted: tuple[Network, ...] = ()

    def trust(self, address: str | None) -> bool:
        """Whether `address` is one of theirs."""
        parsed = _address(address or "")
        return parsed is not None and any(parsed in network for network in self.trusted)

    def client(self, peer: str, hops: Sequence[str]) -> str:
        """The client's address: the last of `hops`, then `peer`, that is no proxy of ours.

        `hops` as the header has them, each proxy having appended who asked it. What stands before an address that is
        no proxy's was said by a stranger. A hop that is no address ends the search at the one that wrote it.
        """
        seen = peer
        for hop in reversed(hops):
            if not self.trust(seen):
                break
            parsed = _address(hop)
            if parsed is None:
                break
            seen = str(parsed)
        return seen


def believed(proxies: Proxies) -> Middleware:
    """The middleware that lets `request.remote`, `.scheme` and `.host` be the client's, as a trusted proxy says."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote
        if peer is None or not proxies.trust(peer):
            return await handler(request)
        scheme = _last(request, PROTO).lower()
        return await handler(
            request.clone(
                remote=proxies.client(peer, _all(request, FOR)),
                scheme={"https": "https", "wss": "https", "http": "http", "ws": "http"}.get(scheme, request.scheme),
                host=_last(request, HOST) or request.host,
            )
        )

    return around


def _all(request: web.Request, name: str) -> list[str]:
    """The values of a list header, in order; it may stand several times (RFC 9110 section 5.3)."""
    return [part.strip() for line in request.headers.getall(name, ()) for part in line.split(",") if part.strip()]


def _last(request: web.Request, name: str) -> str:
    """What the proxy next to us says."""
    values = _all(request, name)
    return values[-1] if values else ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, perhaps in brackets and with a port as some proxies write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped  # an IPv4 client of a socket that takes both
    return parsed
