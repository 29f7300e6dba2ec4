"""Requests that come over a hop from another node of the fleet: known by their signed header, and by nothing else."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.cluster.hop import HEADER, Asked, BadHop, Hop, Hops
from gateway.errors import Code, GatewayError
from gateway.web.connection import Connection

log = structlog.get_logger()
HOP = web.RequestKey("hop", Hop)  # where it came from, if that was another node
BAD_HOP = web.RequestKey("bad_hop", str)  # what is wrong with the header that says so


def arriving(hops: Hops) -> Middleware:
    """The middleware that knows requests of other nodes: they count as of their client, at the address that it used."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers.getall(HEADER, ())
        if not headers:
            return await handler(request)
        try:
            if len(headers) > 1:
                raise BadHop("it stands there twice")
            hop = hops.read(headers[0], Asked(request.method, request.rel_url.raw_path_qs))
        except BadHop as error:
            request[BAD_HOP] = str(error)
            return await handler(request)
        request = request.clone(scheme=hop.scheme, host=hop.host, remote=hop.client)
        request[HOP] = hop
        if isinstance(request.protocol, Connection):
            request.protocol.vouched()
        return await handler(request)

    return around


def check(request: web.Request) -> Hop | None:
    """Where it came from, if that was another node. Raises HOP_REFUSED (403) for a header that is none of ours."""
    if (why := request.get(BAD_HOP)) is not None:
        log.warning("hop_refused", why=why, peer=request.remote)
        raise GatewayError(Code.HOP_REFUSED, f"{HEADER}: {why}")
    return request.get(HOP)
