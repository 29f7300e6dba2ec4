"""How a refusal looks to the clients of each dialect: decided by the path alone, so that a credential that is missing
or a route that does not exist is told in the words of whoever asked. Nothing here has effects.
"""

from enum import StrEnum
from typing import Any

from gateway.errors import GatewayError


class Dialect(StrEnum):
    """Whose clients a path is for."""

    NATIVE = "native"
    BROWSERLESS = "browserless"
    STEEL = "steel"
    SCRAPIO = "scrapio"


SCRAPIO = frozenset({"fetch", "interact", "jobs"})  # under /v1; all else there is Steel's
BROWSERLESS = frozenset({"content", "screenshot", "pdf", "scrape", "performance", "kill", "reconnect"})
DIAGNOSTICS = "diagnostics"  # the one of an error's details that stands beside Scrapio's error, not in it


def dialect_of(path: str) -> Dialect:
    """Whose path this is, whether there is a route or not. `path` is without query, or as the router has it."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first == "hosted":  # files of Steel's page services
        return Dialect.STEEL
    if first == "v1":
        return Dialect.SCRAPIO if rest.partition("/")[0] in SCRAPIO else Dialect.STEEL
    return Dialect.BROWSERLESS if first in BROWSERLESS else Dialect.NATIVE


def refusal_body(dialect: Dialect, error: GatewayError, number: str) -> dict[str, Any]:
    """The JSON of a refusal; `number` is the request's id.

    Native and Browserless: `{"error": {"code", "message"}, "requestId"}`. Steel's SDKs print `message`, the one for
    Node.js nothing else. Scrapio: `{"request_id", "error", "diagnostics"}`, an error's details beside its code.
    """
    told: dict[str, Any] = {"code": error.code.word, "message": error.message}
    details = dict(error.details)
    if dialect is Dialect.SCRAPIO:
        diagnostics = details.pop(DIAGNOSTICS, {})
        return {"request_id": number, "error": {**details, **told}, "diagnostics": diagnostics}
    if details:
        told["details"] = details
    if dialect is Dialect.STEEL:
        return {"message": error.message, "error": told, "requestId": number}
    return {"error": told, "requestId": number}
