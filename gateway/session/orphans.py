"""Sessions whose browser went with the process that had it: put away, if anything was saved of them, else failed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from gateway.errors import GatewayError
from gateway.records import SessionRecord, Status
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.store.base import Fenced, Store

KILLED = "gateway_killed"  # on this machine, whose browsers ended with it
AT_ONCE = 16  # that are put right side by side: each takes a look at what nodes share
LOST = "node_lost"  # another node of the fleet, which has been silent for too long
log = structlog.get_logger()


def orphaned(record: SessionRecord, versions: Sequence[SnapshotInfo] | None, reason: str, now: float) -> SessionRecord:
    """What becomes of it. `versions`: what is saved of it, oldest first; None where only the record can tell."""
    if versions:
        record = replace(record, snapshot=versions[-1].version, snapshot_at=versions[-1].created_at)
    saved = record.snapshot is not None if versions is None else bool(versions)
    if record.spec.persist and (saved or record.spec.source is not None):
        record = replace(record, status=Status.SUSPENDED, reason=reason)
    else:
        record = replace(record, status=Status.FAILED, reason=reason, ended_at=now)
    return replace(record, keeps=None, until=None, parked=False)


class Orphans:
    """Of nodes of the fleet that are gone."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def settle(self, record: SessionRecord) -> SessionRecord:
        """Put one right; the record as it is then, by whomever. Raises GatewayError.

        Its incarnation ends with that: whatever its node may still write, should it come back, is fenced.
        """
        versions: Sequence[SnapshotInfo] | None = ()
        if record.spec.persist:
            try:
                versions = await self._vault.list(record.id)
            except (GatewayError, OSError) as error:
                log.warning("snapshots_not_listed", session=record.id, error=str(error))
                versions = None
        lost = orphaned(replace(record, incarnation=record.incarnation + 1), versions, LOST, time.time())
        try:
            await self._store.update(lost)
        except Fenced:
            return await self._store.get(record.id) or lost  # another node was faster
        log.warning("session_orphaned", session=record.id, status=lost.status, node=record.node)
        return lost

    async def of(self, node: str) -> int:
        """Put right all that a node had; how many. Raises GatewayError."""
        records = await self._store.running(node)
        turns = asyncio.Semaphore(AT_ONCE)

        async def settle(record: SessionRecord) -> None:
            async with turns:
                await self.settle(record)

        try:
            async with asyncio.TaskGroup() as group:
                for record in records:
                    group.create_task(settle(record))  # the group awaits it
        except ExceptionGroup as failed:  # the store is away: the first stands for all
            raise failed.exceptions[0] from None
        return len(records)
