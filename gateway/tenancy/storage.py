"""What a tenant's snapshots take on disk, held to what they may (`snapshot_bytes`).

Nothing is counted for a tenant without a limit. For the others sizes are kept in mind: those of all their sessions are
measured once, that of one session again when it has saved. What else is erased meanwhile is noticed when all are
measured again, as the limit seems to be reached. It is looked at before a save, so the last save may go over it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.errors import Code, GatewayError
from gateway.records import SessionId, Tenant
from gateway.snapshot.vault import Vault
from gateway.store.base import Query, Store

log = structlog.get_logger()
AGAIN = 5.0  # seconds at least between two measurings of all that a tenant has


@dataclass(slots=True)
class _Account:
    """`sizes` in bytes by session; `measured` is when all were, on a clock that never goes back."""

    sizes: dict[SessionId, int] = field(default_factory=dict)
    measured: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


class Storage:
    """Of all tenants. `tenant_of` says what a tenant may have now."""

    def __init__(self, store: Store, vault: Vault, tenant_of: Callable[[str], Tenant]) -> None:
        self._store = store
        self._vault = vault
        self._tenant_of = tenant_of
        self._accounts: dict[str, _Account] = {}

    async def used(self, tenant: str) -> int | None:
        """Bytes that the tenant's snapshots take, as far as is known; None for a tenant without a limit."""
        if self._tenant_of(tenant).snapshot_bytes is None:
            return None
        account = self._account(tenant)
        async with account.lock:
            await self._measure(tenant, account)
            return account.total

    async def make_room(self, tenant: str) -> None:
        """Before a save: remove old versions if the tenant is at its limit, but never the last good one of a session.

        Raises GatewayError QUOTA_EXCEEDED (422) when that is not enough.
        """
        most = self._tenant_of(tenant).snapshot_bytes
        if most is None:
            return
        account = self._account(tenant)
        async with account.lock:
            if account.measured is None:
                await self._measure(tenant, account)
            if account.total < most:
                return
            await self._measure(tenant, account)
            if account.total >= most:
                await self._prune(tenant, account, most)
            if account.total >= most:
                raise GatewayError(
                    Code.QUOTA_EXCEEDED,
                    f"the snapshots of this tenant take {account.total} of {most} bytes: nothing more is saved until "
                    "some are erased (DELETE /session/ID?purge=true)",
                )

    async def changed(self, tenant: str, session: SessionId) -> None:
        """After a save, or when all that a session had was erased."""
        account = self._accounts.get(tenant)
        if account is not None and self._tenant_of(tenant).snapshot_bytes is not None:
            account.sizes[session] = await self._vault.size(session)

    def _account(self, tenant: str) -> _Account:
        return self._accounts.setdefault(tenant, _Account())

    async def _measure(self, tenant: str, account: _Account) -> None:
        now = time.monotonic()
        if account.measured is not None and now - account.measured < AGAIN:
            return
        sizes = {}
        cursor: str | None = None
        while True:
            page = await self._store.page(Query(tenant, cursor=cursor, limit=1000))
            for record in page.records:
                if record.spec.persist and (size := await self._vault.size(record.id)):
                    sizes[record.id] = size
            if (cursor := page.next_cursor) is None:
                break
        for profile in await self._store.profiles.listed(tenant):  # each is a snapshot under its own id
            if size := await self._vault.size(profile.id):
                sizes[SessionId(profile.id)] = size
        account.sizes, account.measured = sizes, now

    async def _prune(self, tenant: str, account: _Account, most: int) -> None:
        versions = [
            (info.created_at, session, info.version)
            for session in tuple(account.sizes)
            for info in (await self._vault.list(session))[:-1]
        ]
        for _, session, version in sorted(versions):
            if account.total < most:
                break
            if await self._vault.drop(session, version):
                account.sizes[session] = await self._vault.size(session)
                log.info("snapshot_pruned", session=session, version=version, tenant=tenant)
