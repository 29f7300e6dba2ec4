"""Every refusal once: its stable code, its HTTP status, and the close codes of sockets already open.

Raise `GatewayError(Code.X, "words")` anywhere below the web layer; `web/middleware.py` turns it
into what the dialect's clients expect (`web/dialects.py`), natively `{"error": {"code", "message"}, "requestId"}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

NO_DETAILS: Mapping[str, Any] = MappingProxyType({})


class Code(Enum):
    """A stable error code and the HTTP status it travels with."""

    BAD_REQUEST = ("bad_request", 400)
    UNKNOWN_FIELD = ("unknown_field", 400)
    UNKNOWN_PARAMETER = ("unknown_parameter", 400)
    FLAG_REFUSED = ("flag_refused", 400)
    UNAUTHORIZED = ("unauthorized", 401)
    FORBIDDEN = ("forbidden", 403)
    ORIGIN_REFUSED = ("origin_refused", 403)
    HOST_REFUSED = ("host_refused", 403)
    HOP_REFUSED = ("hop_refused", 403)
    NOT_FOUND = ("not_found", 404)
    SESSION_NOT_FOUND = ("session_not_found", 404)
    TARGET_NOT_FOUND = ("target_not_found", 404)
    JOB_NOT_FOUND = ("job_not_found", 404)
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405)
    DRIVER_CONNECTED = ("driver_connected", 409)
    ID_IN_USE = ("id_in_use", 409)
    NAME_IN_USE = ("name_in_use", 409)
    NOTHING_SAVED = ("nothing_saved", 409)
    NOT_RUNNING = ("not_running", 409)
    FENCED = ("fenced", 409)
    IDENTITY_DIFFERS = ("identity_differs", 409)
    IDEMPOTENCY_CONFLICT = ("idempotency_conflict", 409)
    JOB_NOT_READY = ("job_not_ready", 409)
    JOB_CANCELLED = ("job_cancelled", 409)
    INTERRUPTED = ("interrupted", 409)
    SESSION_ENDED = ("session_ended", 410)
    REQUEST_TIMEOUT = ("request_timeout", 408)
    PAGE_TIMEOUT = ("page_timeout", 408)
    BODY_TOO_LARGE = ("body_too_large", 413)
    UNSUPPORTED = ("unsupported", 422)
    QUOTA_EXCEEDED = ("quota_exceeded", 422)
    WAIT_FAILED = ("wait_failed", 422)
    ELEMENT_MISSING = ("element_missing", 422)
    PAGE_UNREADABLE = ("page_unreadable", 422)
    ACTION_FAILED = ("action_failed", 422)
    SNAPSHOT_UNREADABLE = ("snapshot_unreadable", 422)
    IDEMPOTENCY_MISMATCH = ("idempotency_mismatch", 422)
    TOO_MANY_SESSIONS = ("too_many_sessions", 429)
    RATE_LIMITED = ("rate_limited", 429)
    TOO_MANY_JOBS = ("too_many_jobs", 429)
    TOO_MANY_FAILURES = ("too_many_failures", 429)
    TOO_MANY_CONNECTIONS = ("too_many_connections", 429)
    NOT_HERE = ("not_here", 421)
    HEAD_TOO_LARGE = ("head_too_large", 431)
    UPGRADE_REQUIRED = ("upgrade_required", 426)
    INTERNAL = ("internal", 500)
    BAD_GATEWAY = ("browser_unreachable", 502)
    PAGE_UNREACHABLE = ("page_unreachable", 502)
    PAGE_CRASHED = ("page_crashed", 502)
    PAGE_FAILED = ("page_failed", 502)
    BLOCKED_BY_POLICY = ("blocked_by_policy", 502)
    OVERLOADED = ("overloaded", 503)
    BROWSER_FAILED = ("browser_failed", 503)
    SAVE_FAILED = ("save_failed", 503)
    DRAINING = ("draining", 503)
    STORE_UNAVAILABLE = ("store_unavailable", 503)
    NODE_UNREACHABLE = ("node_unreachable", 503)
    TIMED_OUT = ("timeout", 504)

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


class CloseCode(IntEnum):
    """Websocket close codes (RFC 6455 section 7.4; 4000 and above are ours)."""

    DONE = 1000
    DRAINING = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    TOO_BIG = 1009
    FAULT = 1011
    NODE_GONE = 1012
    STOPPED = 4000
    EXPIRED = 4001
    TAKEN_OVER = 4002
    CRASHED = 4003
    ROTATED = 4004


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a client whose socket we close is told."""

    close: CloseCode
    words: str


class GatewayError(Exception):
    """A refusal that the caller is told about in full. `retry_after` is in whole seconds.

    `details` is what else the caller is told, as JSON: what a program can use that has read the code.
    """

    def __init__(
        self, code: Code, message: str, *, retry_after: int | None = None, details: Mapping[str, Any] = NO_DETAILS
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.details = details
