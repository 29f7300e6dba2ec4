"""What Browserless's Session API takes in the body of `POST /session` that the native dialect has not. Pure.

`browser` and `trackingId` are translated; what is its own service's is refused in words, where it is asked for.
"""

from typing import Any

from gateway.errors import Code, GatewayError

ENGINES = ("chromium", "chrome")
TRACKING = "trackingId"
# What would change the result, and is not here. False asks for nothing.
REFUSED = {
    "replay": "sessions are not recorded; `live` shows what a running one shows",
    "record": "sessions are not recorded; `live` shows what a running one shows",
    "humanlike": "a client's input is passed on as it is",
    "solveCaptchas": "captchas are not solved here",
}
POOLED = frozenset({"type", "country", "city", "state", "sticky", "locale", "preset"})


def native(body: object) -> object:
    """The same body in native words; what is no object is left to be refused. Raises UNSUPPORTED (422)."""
    if not isinstance(body, dict):
        return body
    found: dict[str, Any] = dict(body)
    for name, why in REFUSED.items():
        if name in found and found.pop(name):
            raise GatewayError(Code.UNSUPPORTED, f"{name}: {why}")
    if "browser" in found and found.pop("browser") not in ENGINES:
        raise GatewayError(Code.UNSUPPORTED, f"browser: one of {', '.join(ENGINES)} is what there is")
    proxy = found.get("proxy")
    if isinstance(proxy, dict) and "server" not in proxy and (asked := POOLED & proxy.keys()):
        raise GatewayError(
            Code.UNSUPPORTED, f"proxy.{min(asked)}: this gateway has no proxies of its own; name one by its server"
        )
    labels = found.get("labels", {})
    if isinstance(found.get(TRACKING), str) and isinstance(labels, dict):
        found["labels"] = {**labels, TRACKING: found.pop(TRACKING)}
    return found
