"""The opening of a websocket that another node answers: the client's own request, and what comes back to it."""

import asyncio
import ssl
from urllib.parse import urlsplit

from aiohttp import web

from gateway.cluster.hop import HEADER
from gateway.web.forward_http import OwnerUnreachable, judge, onward
from gateway.web.splice import MOST_REFUSAL, Head, Owner


async def dialled(node: str, timeout: float, tls: ssl.SSLContext | None = None) -> Owner:
    """Connected to `node` within `timeout` seconds. Raises OwnerUnreachable.

    What it answers to what is then written is `Owner.head`, which may take as long as a session waits for its place.
    """
    parts = urlsplit(node)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = None if parts.scheme != "https" else tls or ssl.create_default_context()
    try:
        async with asyncio.timeout(timeout):
            _, owner = await asyncio.get_running_loop().create_connection(
                Owner, parts.hostname or "", port, ssl=context
            )
    except (OSError, TimeoutError) as error:
        raise OwnerUnreachable(type(error).__name__, sent=False) from error
    return owner


def upgrade_head(request: web.Request, header: str) -> bytes:
    """The request's head for another node (RFC 6455 section 4.1)."""
    headers = onward(request.headers)
    headers.popall("Content-Length", None)
    headers.extend({"Connection": "Upgrade", "Upgrade": "websocket", HEADER: header})
    lines = [f"GET {request.rel_url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape")  # as aiohttp has read it


async def refused(head: Head, owner: Owner) -> web.StreamResponse:
    """The node's answer where it is no websocket. Raises Misdirected, OwnerUnreachable."""
    try:
        judge(head.status, head.headers)
        size = head.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MOST_REFUSAL:
            raise OwnerUnreachable("it answered an upgrade with a body of no known length")
        try:
            body = await owner.body(int(size))
        except ConnectionError as error:
            raise OwnerUnreachable("its answer broke off") from error
        headers = onward(head.headers)
        headers.popall("Content-Length", None)
        return web.Response(status=head.status, reason=head.reason, headers=headers, body=body)
    finally:
        owner.abort()
