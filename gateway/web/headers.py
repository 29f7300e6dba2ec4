"""What every reply says to a web browser: what may be run, who may frame it, what is kept, where it may be sent.

Sources: W3C Content Security Policy Level 3, Fetch (CORS, Cross-Origin-Resource-Policy), HTML
(Cross-Origin-Opener-Policy), RFC 6797 (HSTS).
"""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Sequence

# URLs carry capabilities: they are not told to the next site, nor kept. What is no page runs nothing and is framed
# by nobody.
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SERVER = "cdp-gateway"  # not what it is made of, and in which version
# For browsers that know no frame-ancestors; with a policy that lets somebody frame the page it is left out.
FRAMES = "X-Frame-Options"
HSTS = "max-age=31536000"  # a year, as is usual; not includeSubDomains: other names are not ours
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE"
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Api-Key, Steel-Api-Key"
CORS_EXPOSED = "Retry-After, X-Request-Id"
CORS_AGE = "600"  # seconds that a browser remembers the answer to a preflight
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_policy(html: str, *, connects: bool = False, framed_by: Sequence[str] | None = None) -> str:
    """The policy of a page of ours: its own inline scripts and styles by their hashes, and nothing else.

    One that `connects` may do so to us; one that is `framed_by` anyone may be by our own pages and those origins.
    """
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    own = [f"{kind}-src " + (" ".join(hashes) or "'none'") for kind, hashes in allowed.items()]
    own += ["connect-src 'self'"] if connects else []
    frames = "'none'" if framed_by is None else " ".join(["'self'", *framed_by])
    return "; ".join(["default-src 'none'", *own, "base-uri 'none'", "form-action 'none'", f"frame-ancestors {frames}"])


def framed_policy(allowed_origins: Sequence[str]) -> str:
    """The policy of pages that our own and those of allowed origins may show in a frame: DevTools."""
    # Its own scripts and nobody else's; 'self' is the websocket on the same host too (CSP3 section 6.7.2.8). Styles
    # it makes inline, and images of the page that it looks at come from anywhere.
    return (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob: https: http:; font-src 'self' data:; worker-src 'self' blob:; "
        "connect-src 'self' data: blob:; frame-src 'self' blob: data:; object-src 'none'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors " + " ".join(["'self'", *allowed_origins])
    )


def cors(origin: str) -> dict[str, str]:
    """What lets a script of `origin`, which is allowed, read the reply."""
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": CORS_EXPOSED, "Vary": "Origin"}


def preflight(origin: str) -> dict[str, str]:
    """The answer to `OPTIONS`: what a script of `origin` may send."""
    return {
        **cors(origin),
        "Access-Control-Allow-Methods": CORS_METHODS,
        "Access-Control-Allow-Headers": CORS_HEADERS,
        "Access-Control-Max-Age": CORS_AGE,
    }


def can_be_pinned(host: str) -> bool:
    """Whether HSTS for `host` is meant: for a domain, not for an address or a machine's own name (section 8.1.1)."""
    if "." not in host or host.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
