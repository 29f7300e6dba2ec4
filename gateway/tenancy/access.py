"""Who is asking: a credential becomes a Principal.

Two kinds of credential: a tenant's token, and the capabilities that the gateway hands out in URLs
(`tenancy/capability.py`).
"""

from dataclasses import dataclass

from gateway.errors import Code, GatewayError
from gateway.records import Role, SessionId, Tenant
from gateway.tenancy.capability import Capabilities, Scope
from gateway.tenancy.secret import same
from gateway.tenancy.tenants import Tenants

__all__ = ["NOBODY", "TENANT", "Access", "Principal", "Role"]

TENANT = "default"
NOBODY = ""  # in place of a tenant: a bearer of a session's own URL, which does not say whose that is


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. A bearer of a capability or ticket has a `scope`, and may do nothing else.

    `hint` is the tag of the node where the session was when its URL was made.
    """

    tenant: str
    role: Role
    scope: Scope | None = None
    session: SessionId | None = None
    generation: int = 0  # of the session's URLs, for a bearer of one
    hint: str | None = None

    def require_tenant(self) -> None:
        """Refuse a capability's bearer what only the tenant may do (403)."""
        if self.scope is not None:
            raise GatewayError(Code.FORBIDDEN, "this credential is for one session only; use the tenant's token")

    def require_create(self) -> None:
        """Refuse whoever may not open a websocket session of its own (403)."""
        if self.scope not in (None, Scope.CREATE):
            raise GatewayError(Code.FORBIDDEN, "this credential is for one session only; use the tenant's token")

    def require_current(self, generation: int) -> None:
        """Refuse the bearer of a secret from before its session's URLs were rotated to `generation` (401)."""
        if self.session is not None and self.generation != generation:
            raise GatewayError(Code.UNAUTHORIZED, "this session's URLs were rotated: ask for the new ones")

    def sees(self, tenant: str, session: SessionId) -> bool:
        """Whether that session of that tenant is there at all, for this one: role admin sees those of all."""
        if self.session is not None:
            return self.session == session
        return self.scope is None and (self.role is Role.ADMIN or self.tenant == tenant)


class Access:
    """The token of the tenant `default`, those of the tenants file, and the capabilities of their sessions.

    With neither `token` nor `tenants` nobody needs a credential (`no_auth`), whatever token their scripts bring.
    """

    def __init__(self, token: str | None, key: bytes, tenants: Tenants | None = None) -> None:
        self._token = token
        self._tenants = tenants
        self.capabilities = Capabilities(key)

    def tenant(self, name: str) -> Tenant:
        """What that tenant may have now. One that is in no file any more gets no browser."""
        found = None if self._tenants is None else self._tenants.named(name)
        if found is not None:
            return found
        if self._tenants is None or (name == TENANT and self._token is not None):
            return Tenant(name, Role.ADMIN if name == TENANT else Role.USER)
        return Tenant(name, max_sessions=0, queue_length=0)

    def principal(self, credential: str | None, now: float) -> Principal:
        """Raises GatewayError UNAUTHORIZED (401) for a missing or wrong credential."""
        claim = None if credential is None else self.capabilities.read(credential, now)
        if claim is not None and (claim.tenant is None or self._creates(claim.tenant)):
            # Whose session it is, is the record's to say: `Registry.find` compares the id.
            role = Role.VIEWER if claim.viewer else Role.USER
            return Principal(claim.tenant or NOBODY, role, claim.scope, claim.session, claim.generation, claim.hint)
        if self._token is None and self._tenants is None:
            return Principal(TENANT, Role.ADMIN)
        if self._token is not None and credential is not None and same(credential, self._token):
            return Principal(TENANT, Role.ADMIN)
        # By its digest: how long that takes says nothing about the tokens that there are.
        if self._tenants is not None and credential is not None and (found := self._tenants.by_token(credential)):
            return Principal(found.name, found.role)
        if credential is None:
            raise GatewayError(
                Code.UNAUTHORIZED, "a credential is missing: ?token=…, or Authorization: Bearer … (see the README)"
            )
        raise GatewayError(Code.UNAUTHORIZED, "the credential is not valid")

    def _creates(self, tenant: str) -> bool:
        """Whether a ticket of that tenant's is still good."""
        if tenant != TENANT and self._tenants is None:
            return False
        now = self.tenant(tenant)
        return now.max_sessions != 0 and now.role is not Role.VIEWER
