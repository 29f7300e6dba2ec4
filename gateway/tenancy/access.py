"""Who is asking: a credential becomes a Principal.

Two kinds of credential: the tenant's token, and capabilities that the gateway hands out in URLs. A
capability is `SESSION-ID.MAC`, good for that one session; its MAC is an HMAC-SHA256 over scope and id.
A ticket is `TENANT~EXPIRY~MAC` and makes one more session for the tenant (for discovery URLs).
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import Code, GatewayError
from gateway.records import SessionId, is_session_id

TENANT = "default"
TICKET_LIFE = 3600.0  # seconds


class Role(StrEnum):
    """What a principal may do: everything, its own sessions, or look on."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What a credential is limited to: one session, the browser that `reconnect` kept, or opening a new one."""

    SESSION = "session"
    RECONNECT = "reconnect"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. A bearer of a capability or ticket has a `scope`, and may do nothing else."""

    tenant: str
    role: Role
    scope: Scope | None = None
    session: SessionId | None = None

    def require_tenant(self) -> None:
        """Refuse a capability's bearer what only the tenant may do (403)."""
        if self.scope is not None:
            raise GatewayError(Code.FORBIDDEN, "this credential is for one session only; use the tenant's token")

    def require_create(self) -> None:
        """Refuse whoever may not open a websocket session of its own (403)."""
        if self.scope not in (None, Scope.CREATE):
            raise GatewayError(Code.FORBIDDEN, "this credential is for one session only; use the tenant's token")


class Access:
    """The single tenant's token and the key that capabilities are made with.

    `token` None means that nobody needs a credential (`no_auth`), whatever token their scripts bring.
    """

    def __init__(self, token: str | None, key: bytes) -> None:
        self._token = token
        self._key = key

    def principal(self, credential: str | None, now: float) -> Principal:
        """Raises GatewayError UNAUTHORIZED (401) for a missing or wrong credential."""
        found = None if credential is None else self._capability(credential) or self._ticket(credential, now)
        if found is not None:
            return found
        if self._token is None or (credential is not None and same(credential, self._token)):
            return Principal(TENANT, Role.ADMIN)
        if credential is None:
            raise GatewayError(
                Code.UNAUTHORIZED, "a credential is missing: ?token=…, or Authorization: Bearer … (see the README)"
            )
        raise GatewayError(Code.UNAUTHORIZED, "the credential is not valid")

    def capability(self, session: SessionId, scope: Scope = Scope.SESSION) -> str:
        """A secret for this one session, fit for a URL's path or query."""
        return f"{session}.{self._mac(scope, session)}"

    def ticket(self, tenant: str, now: float) -> str:
        """A secret with which sessions of `tenant` can be opened for an hour."""
        expiry = str(int(now + TICKET_LIFE))
        return f"{tenant}~{expiry}~{self._mac(Scope.CREATE, f'{tenant}~{expiry}')}"

    def _capability(self, credential: str) -> Principal | None:
        session, dot, mac = credential.partition(".")
        if not dot or not is_session_id(session):
            return None
        for scope in (Scope.SESSION, Scope.RECONNECT):
            if same(mac, self._mac(scope, session)):
                # Whose session it is, is the record's to say: `Registry.find` compares the id.
                return Principal(TENANT, Role.USER, scope, SessionId(session))
        return None

    def _ticket(self, credential: str, now: float) -> Principal | None:
        what, _, mac = credential.rpartition("~")
        tenant, _, expiry = what.partition("~")
        if not tenant or not same(mac, self._mac(Scope.CREATE, what)) or now > float(expiry):
            return None
        return Principal(tenant, Role.USER, Scope.CREATE)

    def _mac(self, scope: str, text: str) -> str:
        digest = hmac.digest(self._key, f"{scope}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()


def digest(secret: str) -> str:
    """What is remembered of a secret: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
