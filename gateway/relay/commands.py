"""What is ours in a client's stream of CDP commands: recognise it and word the answer. Pure.

The domain `Gateway` (alias `Browserless`) never reaches Chromium. `Browser.close` has a meaning of its own
here, and `Target.createBrowserContext` is changed on its way, so that what a client made outlives its socket.
What it sets for its pages is noted (`overrides.py`), and files are the session's (`places.py`).
`relay.py` does what these nouns say; `frames.py` finds the frames that are worth a look.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.relay.overrides import RECORDED, Override
from gateway.relay.places import SET_DOWNLOADS, SET_FILES, Outside, Places

INVALID_PARAMS = -32602
NOT_FOUND = -32601
REFUSED = -32000

AUTH_LIMIT = 256  # characters

# Searched in every small message, so cheap rather than exact: a method name in a parameter matches as well, one
# written with JSON escapes does not. It is a convenience of the protocol, not a security boundary.
CONCERNS = re.compile(
    rb'"(?:Gateway\.|Browser(?:less\.|\.(?:close"|grantP|setPerm|resetPerm|setDown))|Target\.createBrowserContext"'
    rb'|Emulation\.|Network\.set|Page\.(?:enable"|addScriptTo|removeScriptTo|setBypassCSP|setDown|(?:set|clear)[DG]e)'
    rb"|Security\.setIgnore|DOM\.setFileI|Runtime\.runIf)"
)

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Keep the browser when this client goes; `timeout_ms` None means the default."""

    id: int
    session: str | None
    alias: bool
    timeout_ms: int | None
    auth: str | None = field(repr=False)
    detach: bool


@dataclass(frozen=True, slots=True)
class Info:
    """Tell about the session."""

    id: int
    session: str | None
    alias: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Save the context now."""

    id: int
    session: str | None
    alias: bool


@dataclass(frozen=True, slots=True)
class CloseBrowser:
    """`Browser.close`: the browser is to end, not to wait for another client."""

    id: int
    session: str | None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The command to send to Chromium in place of the client's; `always`: whoever the client is."""

    payload: bytes
    always: bool = False


@dataclass(frozen=True, slots=True)
class LetGo:
    """`Runtime.runIfWaitingForDebugger`: the client is done with a target that waits for it."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One of ours that is wrong; the error to answer with."""

    id: int
    session: str | None
    code: int
    message: str


Answerable = Reconnect | Info | Snapshot | CloseBrowser
Own = Answerable | Rewrite | LetGo | Reject | Override


def recognise(payload: bytes, places: Places | None = None) -> Own | None:
    """What a client's message asks of the gateway; None passes it on to Chromium as it is.

    `places` are where the session's files are; None leaves commands that name files alone.

    A message that is not a well-formed command is Chromium's to refuse, in its own words.
    """
    try:
        message = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None  # not JSON, or nested deeper than Chromium takes
    if not isinstance(message, dict):
        return None
    number, session, method = message.get("id"), message.get("sessionId"), message.get("method")
    if type(number) is not int or not isinstance(method, str) or not isinstance(session, str | None):
        return None
    params = message.get("params", {})
    domain, dot, name = method.partition(".")
    if dot and domain in ("Gateway", "Browserless"):
        read = _GATEWAY.get(name)
        if read is None:
            return Reject(number, session, NOT_FOUND, f"'{method}' wasn't found")
        try:
            return read(number, session, domain == "Browserless", params)
        except _WrongParameter as wrong:
            return Reject(number, session, INVALID_PARAMS, f"Invalid parameters: {wrong}")
    if not isinstance(params, dict):
        return None
    if method == "Browser.close":
        return CloseBrowser(number, session)
    if places is not None and method in SET_DOWNLOADS and (own := places.downloading(params)) is not None:
        message, params = message | {"params": own}, own
        if method not in RECORDED:
            return Rewrite(_dump(message), always=True)
        return Override(session, method, params, len(payload), _dump(message))
    if places is not None and method == SET_FILES:
        try:
            own = places.uploading(params)
        except Outside as outside:
            return Reject(number, session, REFUSED, str(outside))
        return None if own is None else Rewrite(_dump(message | {"params": own}), always=True)
    if method in RECORDED:
        return Override(session, method, params, len(payload))
    if method == "Runtime.runIfWaitingForDebugger":
        return LetGo()
    if method == "Target.createBrowserContext" and params.get("disposeOnDetach") is True:
        kept = message | {"params": params | {"disposeOnDetach": False}}
        return Rewrite(_dump(kept))
    return None


def answer(command: Answerable, result: dict[str, object]) -> bytes:
    """The reply to a command, as Chromium would write it. Browserless's clients also look for `error`."""
    if not isinstance(command, CloseBrowser) and command.alias:
        result = {**result, "error": None}
    return _reply(command, {"result": result})


def refuse(command: Answerable | Reject, code: int, message: str) -> bytes:
    """The error reply to a command; `code` is JSON-RPC's."""
    return _reply(command, {"error": {"code": code, "message": message}})


class _WrongParameter(ValueError):
    """A parameter of ours is wrong; the text names it."""


def _reconnect(number: int, session: str | None, alias: bool, params: object) -> Reconnect:
    given = _known(params, "timeout", "auth", "detach")
    timeout = None
    if "timeout" in given:
        timeout = _milliseconds(given["timeout"])
    auth = given.get("auth")
    if "auth" in given and not _is_secret(auth):
        raise _WrongParameter(f"auth: a string of 1 to {AUTH_LIMIT} characters expected")
    detach = given.get("detach", False)
    if not isinstance(detach, bool):
        raise _WrongParameter("detach: boolean value expected")
    return Reconnect(number, session, alias, timeout, auth, detach)


def _info(number: int, session: str | None, alias: bool, params: object) -> Info:
    _known(params)
    return Info(number, session, alias)


def _snapshot(number: int, session: str | None, alias: bool, params: object) -> Snapshot:
    _known(params)
    return Snapshot(number, session, alias)


_GATEWAY: dict[str, Callable[[int, str | None, bool, object], Own]] = {
    "reconnect": _reconnect,
    "info": _info,
    "snapshot": _snapshot,
}


def _known(params: object, *names: str) -> Params:
    if not isinstance(params, dict):
        raise _WrongParameter("params: object expected")
    for name in params:
        if name not in names:
            raise _WrongParameter(f"{name[:80]}: unknown parameter")
    return params


def _milliseconds(value: object) -> int:
    """Rounded up, so that a fraction of a millisecond does not become none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return math.ceil(value)
    raise _WrongParameter("timeout: a positive number of milliseconds expected")


def _is_secret(value: object) -> bool:
    """Text that can come back in a URL: JSON's lone surrogates have no UTF-8."""
    if not isinstance(value, str) or not 0 < len(value) <= AUTH_LIMIT:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is Python's, not JSON's")


def _reply(command: Answerable | Reject, outcome: dict[str, object]) -> bytes:
    reply = {"id": command.id, **outcome}
    if command.session is not None:
        reply["sessionId"] = command.session
    return _dump(reply)


def _dump(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
