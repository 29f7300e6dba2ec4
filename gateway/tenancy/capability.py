"""Secrets for URLs: each is good for one session, or for opening one, and is checked without a look-up.

A capability is `SESSION-ID.MAC`, good for that one session; its MAC is an HMAC-SHA256 over scope and id.
A ticket is `TENANT~EXPIRY~MAC` and makes one more session for the tenant (for discovery URLs).
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from gateway.records import SessionId, is_session_id
from gateway.tenancy.secret import same

TICKET_LIFE = 3600.0  # seconds


class Scope(StrEnum):
    """What a credential is limited to: one session, the browser that `reconnect` kept, or opening a new one."""

    SESSION = "session"
    RECONNECT = "reconnect"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a capability says: its scope, and the session or the tenant that it is for."""

    scope: Scope
    session: SessionId | None = None
    tenant: str | None = None


class Capabilities:
    """Made and read with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def capability(self, session: SessionId, scope: Scope = Scope.SESSION) -> str:
        """A secret for this one session, fit for a URL's path or query."""
        return f"{session}.{self._mac(scope, session)}"

    def ticket(self, tenant: str, now: float) -> str:
        """A secret with which sessions of `tenant` can be opened for an hour."""
        expiry = str(int(now + TICKET_LIFE))
        return f"{tenant}~{expiry}~{self._mac(Scope.CREATE, f'{tenant}~{expiry}')}"

    def read(self, credential: str, now: float) -> Claim | None:
        """What it is good for; None if it is none of ours, or too old."""
        return self._session(credential) or self._ticket(credential, now)

    def _session(self, credential: str) -> Claim | None:
        session, dot, mac = credential.partition(".")
        if not dot or not is_session_id(session):
            return None
        for scope in (Scope.SESSION, Scope.RECONNECT):
            if same(mac, self._mac(scope, session)):
                return Claim(scope, session=SessionId(session))
        return None

    def _ticket(self, credential: str, now: float) -> Claim | None:
        what, _, mac = credential.rpartition("~")
        tenant, _, expiry = what.partition("~")
        if not tenant or not same(mac, self._mac(Scope.CREATE, what)) or now > float(expiry):
            return None
        return Claim(Scope.CREATE, tenant=tenant)

    def _mac(self, scope: str, text: str) -> str:
        digest = hmac.digest(self._key, f"{scope}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()
