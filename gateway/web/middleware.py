"""Around every handler: a request id, the checks of the door, errors as JSON, one line of log."""

import secrets
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import Code, GatewayError
from gateway.web.door import PRINCIPAL, Door

log = structlog.get_logger()
HEADERS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
# aiohttp's own refusals under our codes.
FRAMEWORK = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.BODY_TOO_LARGE, 403: Code.FORBIDDEN}


def middleware(door: Door, public: frozenset[str]) -> Middleware:
    """The middleware; `public` are names of routes that need no credential, or look at it themselves."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        number = secrets.token_hex(8)
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(request=number):
            try:
                door.check_source(request)
                if request.match_info.route.name not in public:
                    request[PRINCIPAL] = door.whole_session(request)
                response = await handler(request)
            except GatewayError as error:
                response = refusal(error, number)
            except web.HTTPException as error:
                response = _translated(error, number)
            except ConnectionResetError:
                raise  # the client has gone: there is nobody to answer
            except Exception:  # the outer edge of a request: a defect must not end the server
                log.exception("request_fault", path=route_path(request))
                response = refusal(GatewayError(Code.INTERNAL, "a fault in the gateway; its log has more"), number)
            if not response.prepared and response.status != 101:
                response.headers["X-Request-Id"] = number
                for name, value in HEADERS.items():
                    response.headers.setdefault(name, value)
            log.info(
                "request",
                method=request.method,
                path=route_path(request),
                status=response.status,
                ms=round((time.monotonic() - began) * 1000, 1),
            )
            return response

    return around


def refusal(error: GatewayError, number: str) -> web.Response:
    """`{"error": {"code", "message"}, "requestId"}` with its status."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(
        {"error": {"code": error.code.word, "message": error.message}, "requestId": number},
        status=error.code.status,
        headers=headers,
    )


def route_path(request: web.Request) -> str:
    """The path for the log: without the query, where credentials are; the log's own net catches those in a path."""
    return request.path


def _translated(error: web.HTTPException, number: str) -> web.StreamResponse:
    code = FRAMEWORK.get(error.status, Code.BAD_REQUEST)
    words = {
        Code.NOT_FOUND: "there is nothing at this path",
        Code.METHOD_NOT_ALLOWED: "this path does not take this method",
        Code.BODY_TOO_LARGE: "the body is larger than this gateway takes (max_body)",
    }
    response = refusal(GatewayError(code, words.get(code, error.reason)), number)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
