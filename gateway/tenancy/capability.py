"""Secrets for URLs: each is good for one session, or for opening one, and is checked without a look-up.

A capability is `SESSION-ID.WHAT-EXPIRY-MAC`. WHAT is a letter and a number: `s` to use the session, `v` to look on, `r`
for what `reconnect` kept; the number is the session's generation, which a rotation raises, so that all before it are
worth nothing (its record tells that). EXPIRY is an instant in hexadecimal seconds. MAC is an HMAC-SHA256 over all of
it in base64url, cut to 144 bits (RFC 2104 section 5 wants half of the 256 at least).

In a fleet it is `SESSION-ID.WHAT-EXPIRY-HINT-MAC`: HINT is the tag of the node that had the session when the URL was
made, where to look first. Those with a hint and those without are good for the same.

A ticket is `TENANT~EXPIRY~MAC` and makes one more session for the tenant (for discovery URLs).
"""

import base64
import hashlib
import hmac
import math
import re
import time
from dataclasses import dataclass
from enum import StrEnum

from gateway.records import SessionId, is_session_id
from gateway.tenancy.secret import same

TICKET_LIFE = 3600.0  # seconds
# How long a session's own URLs are good from when they are handed out, unless they are rotated: the longest life and
# the retention of what is left of it, as they are by default. When the session ends is its record's to say.
SESSION_LIFE = 180 * 86400.0  # seconds
WINDOW_LIFE = 86400.0  # seconds; of what is opened at once: DevTools, and the sockets that a debugger is told

_PARTS = re.compile(r"(([svr])(0|[1-9][0-9]{0,8})-([0-9a-f]{1,12})(?:-([0-9a-f]{6}))?)-[A-Za-z0-9_-]{24}\Z")


def tag(node: str) -> str:
    """Six hexadecimal digits for a node's name. Two nodes may share one: it is a hint, and no more."""
    return hashlib.sha256(node.encode()).hexdigest()[:6]


class Scope(StrEnum):
    """What a credential is limited to: one session, the browser that `reconnect` kept, or opening a new one."""

    SESSION = "session"
    RECONNECT = "reconnect"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a capability says: its scope, and the session or the tenant that it is for.

    `generation` is the session's when it was made; a `viewer` may look on and do nothing. `hint` is the tag of the
    node that had the session.
    """

    scope: Scope
    session: SessionId | None = None
    tenant: str | None = None
    generation: int = 0
    viewer: bool = False
    hint: str | None = None


class Capabilities:
    """Made and read with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def capability(
        self,
        session: SessionId,
        scope: Scope = Scope.SESSION,
        *,
        generation: int = 0,
        expires: float | None = None,
        viewer: bool = False,
        hint: str | None = None,
    ) -> str:
        """A secret for this one session, fit for a URL's path or query as it is.

        `expires` is an instant, rounded up to a second; None is SESSION_LIFE from now. Only SESSION has viewers.
        `hint` is the tag of the node that has the session, if one has.
        """
        letter = "r" if scope is Scope.RECONNECT else "v" if viewer else "s"
        end = math.ceil(time.time() + SESSION_LIFE if expires is None else expires)
        return self._signed(session, f"{letter}{generation}-{end:x}" + ("" if hint is None else f"-{hint}"))

    def ticket(self, tenant: str, now: float) -> str:
        """A secret with which sessions of `tenant` can be opened for an hour."""
        expiry = str(int(now + TICKET_LIFE))
        return f"{tenant}~{expiry}~{self._mac(Scope.CREATE, f'{tenant}~{expiry}')}"

    def read(self, credential: str, now: float) -> Claim | None:
        """What it is good for; None if it is none of ours, or too old.

        Whether its generation is still the session's is for who has the record to say (`Registry.find`).
        """
        return self._session(credential, now) or self._ticket(credential, now)

    def _session(self, credential: str, now: float) -> Claim | None:
        session, dot, rest = credential.partition(".")
        if not dot or not is_session_id(session):
            return None
        if (parts := _PARTS.match(rest)) is None:
            return self._early(SessionId(session), rest)
        what, letter, generation, end, hint = parts.groups()
        if not same(credential, self._signed(SessionId(session), what)) or now > int(end, 16):
            return None
        scope = Scope.RECONNECT if letter == "r" else Scope.SESSION
        return Claim(scope, SessionId(session), generation=int(generation), viewer=letter == "v", hint=hint)

    def _early(self, session: SessionId, mac: str) -> Claim | None:
        """`SESSION-ID.MAC`, as they were before there were generations.

        It is good for sessions from that time alone, whose records say generation 0, until they end or are rotated.
        """
        for scope in (Scope.SESSION, Scope.RECONNECT):
            if same(mac, self._mac(scope, session)):
                return Claim(scope, session)
        return None

    def _ticket(self, credential: str, now: float) -> Claim | None:
        what, _, mac = credential.rpartition("~")
        tenant, _, expiry = what.partition("~")
        if not tenant or not same(mac, self._mac(Scope.CREATE, what)) or now > float(expiry):
            return None
        return Claim(Scope.CREATE, tenant=tenant)

    def _signed(self, session: SessionId, what: str) -> str:
        return f"{session}.{what}-{self._mac('capability', f'{session}.{what}')}"

    def _mac(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self._key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()
