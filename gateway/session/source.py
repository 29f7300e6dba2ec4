"""What a browser begins with: which saved context, and of which the newest that can be read."""

import structlog

from gateway.errors import Code, GatewayError
from gateway.records import SessionId, SessionRecord, Source
from gateway.snapshot.vault import Vault
from gateway.store.base import Store

log = structlog.get_logger()


def source_of(record: SessionRecord) -> Source | None:
    """What a new browser of this session starts from: its own last snapshot, else what it was made from."""
    if record.snapshot is not None:
        return Source(record.id, record.snapshot)
    return record.spec.source


async def readable(record: SessionRecord, vault: Vault) -> Source | None:
    """The same, or the newest snapshot before it that can be read. Raises GatewayError where none can be."""
    source = source_of(record)
    if source is None or source.session != record.id:
        return source
    return await newest(record.id, vault)


async def newest(session: SessionId, vault: Vault) -> Source:
    """The newest snapshot that can be read. Raises GatewayError: NOTHING_SAVED, SNAPSHOT_UNREADABLE."""
    info, skipped = await vault.usable(session)
    for words in skipped:
        log.error("snapshot_skipped", session=session, why=words)
    return Source(session, info.version)


async def chosen(session: SessionId, version: int | None, vault: Vault) -> Source:
    """That snapshot, or the newest that can be read. Raises GatewayError: NOTHING_SAVED (409), SNAPSHOT_UNREADABLE."""
    versions = [info.version for info in await vault.list(session)]
    if not versions or version not in (None, *versions):
        what = "nothing" if version is None else f"no snapshot {version}"
        raise GatewayError(Code.NOTHING_SAVED, f"session {session} has {what} saved: stop it, or let it be put away")
    return await newest(session, vault) if version is None else Source(session, version)


async def last_saved(tenant: str, name: str, store: Store, vault: Vault) -> Source | None:
    """The newest context that the tenant saved under `name`, of those that can be read. Raises STORE_UNAVAILABLE."""
    for record in await store.saved_as(tenant, name):
        try:
            return await newest(record.id, vault)
        except GatewayError as error:  # an older one may still have something
            if error.code is Code.STORE_UNAVAILABLE:
                raise  # nobody knows yet
            log.error("snapshot_skipped", session=record.id, why=error.message)
    return None
