"""Who is asking: a credential becomes a Principal.

Two kinds of credential: the tenant's token, and the capabilities that the gateway hands out in URLs
(`tenancy/capability.py`).
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import Code, GatewayError
from gateway.records import SessionId
from gateway.tenancy.capability import Capabilities, Scope
from gateway.tenancy.secret import same

TENANT = "default"


class Role(StrEnum):
    """What a principal may do: everything, its own sessions, or look on."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"


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
    """The single tenant's token, and the capabilities of its sessions.

    `token` None means that nobody needs a credential (`no_auth`), whatever token their scripts bring.
    """

    def __init__(self, token: str | None, key: bytes) -> None:
        self._token = token
        self.capabilities = Capabilities(key)

    def principal(self, credential: str | None, now: float) -> Principal:
        """Raises GatewayError UNAUTHORIZED (401) for a missing or wrong credential."""
        claim = None if credential is None else self.capabilities.read(credential, now)
        if claim is not None:
            # Whose session it is, is the record's to say: `Registry.find` compares the id.
            return Principal(claim.tenant or TENANT, Role.USER, claim.scope, claim.session)
        if self._token is None or (credential is not None and same(credential, self._token)):
            return Principal(TENANT, Role.ADMIN)
        if credential is None:
            raise GatewayError(
                Code.UNAUTHORIZED, "a credential is missing: ?token=…, or Authorization: Bearer … (see the README)"
            )
        raise GatewayError(Code.UNAUTHORIZED, "the credential is not valid")
