"""Around every handler: a request id, the checks of the door, errors as JSON, one line of log; and every reply's
headers for web browsers."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from gateway.cluster.fleet import Elsewhere
from gateway.cluster.hop import HEADER, OWNER, REFUSED
from gateway.errors import Code, GatewayError
from gateway.tenancy.throttle import Throttle
from gateway.web.arrival import BAD_HOP, HOP, check
from gateway.web.connection import Connection
from gateway.web.dialects import Dialect, dialect_of, refusal_body
from gateway.web.door import NUMBER, PRINCIPAL, Door, hostname
from gateway.web.forward import FORWARDED, Forwards
from gateway.web.guessing import UNSEEN, Guessing
from gateway.web.headers import FRAMES, HEADERS, HSTS, SERVER, can_be_pinned, cors, preflight

log = structlog.get_logger()
# aiohttp's own refusals under our codes.
FRAMEWORK = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.BODY_TOO_LARGE, 403: Code.FORBIDDEN}


def middleware(
    door: Door, public: frozenset[str], throttle: Throttle | None = None, forwards: Forwards | None = None
) -> Middleware:
    """The middleware; `public` are names of routes that need no credential, or look at it themselves.

    With `forwards` what another node has is answered there.
    """
    guessing = Guessing(door, Throttle(0) if throttle is None else throttle)

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        hop = request.get(HOP)
        request[NUMBER] = number = (hop.number if hop is not None else "") or secrets.token_hex(8)
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(request=number):
            try:
                check(request)
                if hop is None or hop.tenant is None:  # what nodes ask of each other comes by no client's address
                    door.check_source(request)
                if isinstance(request.protocol, Connection):
                    request.protocol.check(request)
                if forwards is None:
                    response = await _answer(request, handler)
                else:
                    response = await forwards.answered(request, lambda: _answer(request, handler))
            except Elsewhere as elsewhere:
                words = "another node has this session: the one that asked is to find out which"
                response = refusal(GatewayError(Code.NOT_HERE, words), number)
                response.headers[OWNER] = elsewhere.node
            except GatewayError as error:
                response = refusal(await guessing.failed(request, error), number, dialect_of(request.path))
            except web.HTTPException as error:
                response = _translated(error, number, dialect_of(request.path))
            except HttpProcessingError as error:  # a part of the body that is no HTTP: the head of a form's field
                unread = GatewayError(Code.BAD_REQUEST, f"body: cannot be read: {type(error).__name__}")
                response = refusal(unread, number, dialect_of(request.path))
            except ConnectionResetError:
                raise  # the client has gone: there is nobody to answer
            except Exception:  # the outer edge of a request: a defect must not end the server
                log.exception("request_fault", path=route_path(request))
                fault = GatewayError(Code.INTERNAL, "a fault in the gateway; its log has more")
                response = refusal(fault, number, dialect_of(request.path))
            if not response.prepared and response.status != 101:
                response.headers["X-Request-Id"] = number
                if BAD_HOP in request:
                    response.headers[HEADER] = REFUSED
                if (origin := door.foreign(request)) is not None:
                    response.headers.update(cors(origin))
            tell = log.debug if request.get(UNSEEN) else log.info  # a flood shall not fill the log
            between = {"node": request[FORWARDED]} if FORWARDED in request else {}
            if hop is not None:
                between["hop"] = hop.node
            tell(
                "request",
                method=request.method,
                path=route_path(request),
                status=response.status,
                ms=round((time.monotonic() - began) * 1000, 1),
                **between,
            )
            return response

    async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = "Access-Control-Request-Method" in request.headers
        if request.method == "OPTIONS" and asked and (origin := door.foreign(request)) is not None:
            return web.Response(status=204, headers=preflight(origin))  # a preflight brings no credential
        guessing.admit(request)
        if request.match_info.route.name not in public:
            request[PRINCIPAL] = door.whole_session(request)
        return await handler(request)

    return around


def dressing(policies: Mapping[str, str], tls: bool) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What gives every reply its headers as it is sent: a signal for `on_response_prepare`.

    `policies`: the Content-Security-Policy of paths, as the router has them, that serve pages. `tls`: whether we
    speak it ourselves.
    """

    async def dress(request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        policy = None if resource is None else policies.get(resource.canonical)
        # With 304 a browser shows what it has under the headers that come now (RFC 9111 section 4.3.4).
        if policy is not None and response.status in (200, 304):
            response.headers.setdefault("Content-Security-Policy", policy)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = SERVER  # aiohttp's own is there already
        if "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]:
            response.headers.setdefault(FRAMES, "DENY")
        if tls and can_be_pinned(hostname(request.host) or ""):
            response.headers.setdefault("Strict-Transport-Security", HSTS)

    return dress


def refusal(error: GatewayError, number: str, dialect: Dialect = Dialect.NATIVE) -> web.Response:
    """The refusal in the shape of its dialect, with its status."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(refusal_body(dialect, error, number), status=error.code.status, headers=headers)


def route_path(request: web.Request) -> str:
    """The path for the log: without the query, where credentials are; the log's own net catches those in a path."""
    return request.path


def _translated(error: web.HTTPException, number: str, dialect: Dialect) -> web.StreamResponse:
    code = FRAMEWORK.get(error.status, Code.BAD_REQUEST)
    words = {
        Code.NOT_FOUND: "there is nothing at this path",
        Code.METHOD_NOT_ALLOWED: "this path does not take this method",
        Code.BODY_TOO_LARGE: "the body is larger than this gateway takes (max_body)",
    }
    response = refusal(GatewayError(code, words.get(code, error.reason)), number, dialect)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
