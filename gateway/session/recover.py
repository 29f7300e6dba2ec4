"""What an earlier process of ours left when it was killed: browsers that run on, and profiles of those that do not."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.cluster.fleet import Fleet, Lease
from gateway.errors import GatewayError
from gateway.records import Kind, SessionRecord, Status
from gateway.session.means import Means
from gateway.session.orphans import KILLED, orphaned
from gateway.session.saving import salvaged
from gateway.session.session import Session
from gateway.snapshot.vault import SnapshotInfo
from gateway.store.base import Store

log = structlog.get_logger()
AT_ONCE = 4  # profiles that are saved side by side


async def recover(
    store: Store, fleet: Fleet, means: Means, adopt: Callable[[SessionRecord, float, Lease], Session]
) -> None:
    """Put right every session that was running here: at the end each has its browser again, or has none.

    A browser that lives goes on with `adopt(record, until, lease)`, for the time that it had left. Of one that died the
    profile is saved. What it had saved before counts as it stands on disk: the process may have been killed
    between a save and its record. Browsers and profiles that belong to nobody are removed.
    """
    adopted: list[Session] = []
    turns = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for record in await store.running(fleet.name):
            lease = await fleet.adopt(record.id, record.spec.tenant, record.spec.name)
            if lease is None:
                continue  # another node has it by now
            left = means.pool.left.get(record.id)
            # Without a note of this incarnation its context had not been put in yet.
            ready = left is not None and left.about.get("incarnation") == record.incarnation
            if left is not None and left.alive and ready and goes_on(record):
                adopted.append(adopt(record, waits_until(record, time.time()), lease))
                log.info("session_adopted", session=record.id)
            else:
                group.create_task(_settle(store, fleet, means, record, ready, turns, lease))  # the group awaits it
    for session in adopted:
        await session.ready.wait()
    await means.pool.forsake()


def goes_on(record: SessionRecord) -> bool:
    """Whether the session outlives the clients that its gateway had: a standard one if `reconnect` was asked for."""
    if record.spec.kind is Kind.API:
        return True
    return record.status is Status.DETACHED or bool(record.status is Status.CONNECTED and record.keeps)


def waits_until(record: SessionRecord, now: float) -> float:
    """The instant at which its browser's wait for a client is over; a client that was there has gone at `now`."""
    if record.until is not None:
        return record.until
    return now + (record.spec.keep if record.keeps is None else record.keeps)


async def _settle(
    store: Store,
    fleet: Fleet,
    means: Means,
    record: SessionRecord,
    profile: bool,
    turns: asyncio.Semaphore,
    lease: Lease,
) -> None:
    """A session without a browser: to be revived from what there is of it, else failed."""
    spec = record.spec
    if spec.persist and profile:
        try:
            async with turns:
                await salvaged(record, means)
        except GatewayError as error:
            log.warning("profile_not_salvaged", session=record.id, error=error.message)
    versions: Sequence[SnapshotInfo] | None = ()
    if spec.persist:
        try:
            versions = await means.vault.list(record.id)
        except GatewayError as error:  # what nodes share is away
            log.warning("snapshots_not_listed", session=record.id, error=error.message)
            versions = None
    record = orphaned(record, versions, KILLED, time.time())
    await store.update(record)
    await fleet.release(lease)
    log.warning("session_recovered", session=record.id, status=record.status)
