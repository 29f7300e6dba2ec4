"""The store of records, with a card kept beside what each session or profile has saved: see `cards.py`.

Whatever is written of one that has a snapshot goes through here, so its card says what its record does: also that
it was stopped, that its terms were changed, and that its URLs were made worthless. It is written only where it would
say something else than the last one. A card that cannot be written holds up nothing: it is tried again with the next
change, and where nodes share snapshots every ten seconds.
"""

from collections import OrderedDict

import structlog

from gateway.errors import GatewayError
from gateway.records import Identity, Kind, SessionId, SessionRecord
from gateway.snapshot.cards import Record, telling
from gateway.snapshot.vault import Vault
from gateway.store.base import Page, Query, Store
from gateway.store.profiles import Profile, ProfileStore

MOST = 10_000  # sessions that run and whose card is known
log = structlog.get_logger()


class CardedStore:
    """The Store protocol over another store."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._said: OrderedDict[SessionId, Record] = OrderedDict()  # by cards of sessions that run
        self.jobs = store.jobs
        self.profiles = CardedProfiles(store.profiles, vault)

    # --- what is kept on a card, too ---

    async def insert(self, record: SessionRecord) -> None:
        """See Store."""
        await self._store.insert(record)
        await self._tell(record)

    async def put_back(self, record: SessionRecord) -> bool:
        """See Store. Its card is there already."""
        return await self._store.put_back(record)

    async def update(self, record: SessionRecord) -> None:
        """See Store."""
        await self._store.update(record)
        await self._tell(record)

    async def delete(self, session: SessionId) -> None:
        """See Store. Its card goes with what it has saved."""
        self._said.pop(session, None)
        await self._store.delete(session)

    async def _tell(self, record: SessionRecord) -> None:
        if record.snapshot is None:
            self._said.pop(record.id, None)  # nothing is there to come back to
            return
        words = telling(record)
        if self._said.pop(record.id, None) != words and not await _remembered(record, self._vault):
            return
        if record.status.running:
            self._said[record.id] = words
            if len(self._said) > MOST:
                self._said.popitem(last=False)

    # --- the same as it is ---

    async def get(self, session: SessionId) -> SessionRecord | None:
        """See Store."""
        return await self._store.get(session)

    async def page(self, query: Query) -> Page:
        """See Store."""
        return await self._store.page(query)

    async def running(self, node: str | None = None) -> list[SessionRecord]:
        """See Store."""
        return await self._store.running(node)

    async def saved_as(self, tenant: str, name: str) -> list[SessionRecord]:
        """See Store."""
        return await self._store.saved_as(tenant, name)

    async def due(self, now: float) -> list[SessionRecord]:
        """See Store."""
        return await self._store.due(now)

    async def ended_before(self, instant: float, kind: Kind) -> list[SessionRecord]:
        """See Store."""
        return await self._store.ended_before(instant, kind)

    async def once(self, tenant: str, key: str, fingerprint: str, session: SessionId) -> tuple[SessionId, str]:
        """See Store."""
        return await self._store.once(tenant, key, fingerprint, session)

    async def unclaim(self, tenant: str, key: str) -> None:
        """See Store."""
        await self._store.unclaim(tenant, key)

    async def leads(self, what: str, seconds: float) -> bool:
        """See Store."""
        return await self._store.leads(what, seconds)

    async def add_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        return await self._store.add_identity(tenant, name, identity)

    async def put_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        return await self._store.put_identity(tenant, name, identity)

    async def identity(self, tenant: str, name: str) -> Identity | None:
        """See Store."""
        return await self._store.identity(tenant, name)

    async def identities(self, tenant: str) -> list[tuple[str, Identity]]:
        """See Store."""
        return await self._store.identities(tenant)

    async def drop_identity(self, tenant: str, name: str) -> bool:
        """See Store."""
        return await self._store.drop_identity(tenant, name)


class CardedProfiles:
    """The ProfileStore protocol over another one."""

    def __init__(self, store: ProfileStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def add(self, profile: Profile) -> None:
        """See ProfileStore."""
        await self._store.add(profile)
        if profile.version is not None:
            await _remembered(profile, self._vault)

    async def put(self, profile: Profile) -> bool:
        """See ProfileStore."""
        before = await self._store.get(profile.id)
        if not await self._store.put(profile):
            return False
        known = before is not None and telling(before) == telling(profile)
        if profile.version is not None and not known:
            await _remembered(profile, self._vault)
        return True

    async def get(self, profile: str) -> Profile | None:
        """See ProfileStore."""
        return await self._store.get(profile)

    async def listed(self, tenant: str) -> list[Profile]:
        """See ProfileStore."""
        return await self._store.listed(tenant)

    async def unused(self, before: float) -> list[Profile]:
        """See ProfileStore."""
        return await self._store.unused(before)

    async def drop(self, profile: str) -> bool:
        """See ProfileStore. Its card goes with what it holds."""
        return await self._store.drop(profile)


async def _remembered(record: Record, vault: Vault) -> bool:
    try:
        await vault.remember(record)
    except GatewayError as error:
        log.warning("card_not_written", of=record.id, error=error.message)
        return False
    return True
