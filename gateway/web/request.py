"""What a request says, for every handler: its body, its query, the session in its path."""

import json

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.records import SessionId, is_session_id

CREDENTIALS = frozenset({"token", "apiKey"})


async def json_body(request: web.Request) -> object:
    """The body as JSON; an empty one is an empty object. Raises BAD_REQUEST, or 413 from aiohttp."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise GatewayError(Code.BAD_REQUEST, f"body: not JSON: {error}") from None


def check_query(request: web.Request, known: frozenset[str]) -> None:
    """Refuse a query name that means nothing here (400)."""
    for name in request.query:
        if name not in known and name not in CREDENTIALS:
            raise GatewayError(Code.UNKNOWN_PARAMETER, f"query: there is no parameter {name[:80]!r}")


def switch(request: web.Request, name: str) -> bool:
    """A query parameter that is true, false or absent."""
    value = request.query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise GatewayError(Code.BAD_REQUEST, f"{name}: true or false is wanted")
    return value in ("true", "1", "")


def session_id(key: str) -> SessionId:
    """The id in a path: `ID` or the capability `ID.MAC`. Raises SESSION_NOT_FOUND for what cannot be one."""
    text = key.partition(".")[0].lower()
    if not is_session_id(text):
        raise GatewayError(Code.SESSION_NOT_FOUND, f"there is no session {key[:80]!r}")
    return SessionId(text)
