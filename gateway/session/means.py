"""What every session needs to have a browser and to be saved."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from browser_pool.browser import Browser
from browser_pool.pool import BrowserPool
from gateway.adblock.filters import Filters
from gateway.egress.pattern import BadPattern
from gateway.egress.process import EgressDown, EgressProcess
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.errors import Code, GatewayError
from gateway.records import Rules, SessionRecord, SessionSpec
from gateway.session.files import Files
from gateway.session.precedence import Precedence
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.tenancy.queue import Slots
from gateway.tenancy.quota import Quotas
from gateway.tenancy.storage import Storage


@dataclass(frozen=True, slots=True)
class Means:
    """What every session needs to have a browser and to be saved."""

    pool: BrowserPool
    slots: Slots
    vault: Vault
    files: Files
    precedence: Precedence = field(default_factory=Precedence)
    egress: EgressProcess = field(default_factory=EgressProcess)
    quotas: Quotas = field(default_factory=Quotas)
    storage: Storage | None = None
    filters: Filters = field(default_factory=Filters)
    placed: bool = False  # a session that begins has its place already, by the fleet
    kept: Callable[[SessionRecord, SnapshotInfo], Awaitable[None]] | None = None  # after a save that is a profile's too

    async def lead(self, browser: Browser, spec: SessionSpec) -> None:
        """From now on the browser's road leads where the session may go; until then it leads nowhere."""
        if browser.road is None:
            return
        tenant = self.quotas.tenant_of(spec.tenant)
        terms = Terms(Rules(tenant.egress_allow, tenant.egress_deny), spec.egress)
        try:
            await self.egress.assign(browser.road.port, terms)
        except (EgressDown, BadPattern) as error:
            raise GatewayError(Code.BROWSER_FAILED, f"the browser's way to the network: {error}") from error

    async def used(self, browser: Browser) -> Usage:
        """What the browser has used of the network."""
        return Usage() if browser.road is None else await self.egress.usage(browser.road.port)

    async def save(
        self,
        record: SessionRecord,
        document: ContextDocument,
        *,
        profile: Path | None,
        kind: str,
        reason: str,
        fence: int,
        checkpoint: bool = False,
        beside: int | None = None,
    ) -> SnapshotInfo:
        """As `Vault.save`, within what the tenant's snapshots may take. Raises QUOTA_EXCEEDED, too."""
        tenant = record.spec.tenant
        if self.storage is not None:
            await self.storage.make_room(tenant)
        info = await self.vault.save(
            record.id,
            document,
            profile=profile,
            kind=kind,
            reason=reason,
            checkpoint=checkpoint,
            fence=fence,
            beside=beside,
        )
        if self.storage is not None:
            await self.storage.changed(tenant, record.id)
        return info
