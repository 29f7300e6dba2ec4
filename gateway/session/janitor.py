"""Time passes for sessions that nobody runs: suspended ones expire, ended ones are erased after retention."""

import asyncio
import time

import structlog

from gateway.errors import GatewayError
from gateway.records import Kind, SessionId
from gateway.session.registry import Registry
from gateway.snapshot.folder import instant
from gateway.snapshot.vault import Vault
from gateway.store.base import BATCH, Fenced, Store

PERIOD = 30.0  # seconds
SNAPSHOTS_EVERY = 3600.0  # seconds: all of them are looked at
SHARE_EVERY = 10.0  # seconds
JOB_RETENTION = 86400.0  # seconds that a job's result can be had
STANDARD_RETENTION = 3600.0  # seconds; long enough to answer 410 to a client that comes late
log = structlog.get_logger()


async def sweep(store: Store, registry: Registry, retention: float, now: float) -> int:
    """One round at `now`; returns how many sessions and jobs were expired or erased. `retention` in seconds."""
    done = 0
    full = True
    while full:
        due = await store.due(now)
        full = len(due) >= BATCH
        for record in due:
            try:
                await store.update(record.settled(now))
            except Fenced:
                full = False  # somebody has just woken it: it is looked at again the next time
                continue
            done += 1
    for kind, kept in ((Kind.API, retention), (Kind.STANDARD, STANDARD_RETENTION)):
        while ended := await store.ended_before(now - kept, kind):
            for record in ended:
                await registry.forget(record.id)
            done += len(ended)
            if len(ended) < BATCH:
                break
    return done + await store.jobs.expire(now - JOB_RETENTION)


async def sweep_snapshots(store: Store, vault: Vault, retention: float, now: float) -> int:
    """Erase what is older than `retention` seconds at `now`; returns how many versions and sessions that were.

    Of a session that the store knows the newest version stays; of one that it does not know, nothing.
    """
    done = await vault.expire(now, retention)
    for session in await vault.sessions():
        if await store.get(SessionId(session)) is not None or await store.profiles.get(session) is not None:
            continue
        saved = await vault.list(session)
        if saved and saved[-1].created_at < instant(now - retention):
            await vault.erase(session)
            done += 1
    return done


async def sweep_files(store: Store, registry: Registry) -> int:
    """Erase files of sessions that neither run here nor are known to the store; returns how many sessions that were."""
    done, files = 0, registry.means.files
    for session in await files.sessions():
        if registry.live(session) is None and await store.get(session) is None:
            await files.erase(session)
            done += 1
    return done


async def keep_sharing(vault: Vault) -> None:
    """Where nodes share what they save: try again what could not be brought there, every ten seconds."""
    while True:
        await asyncio.sleep(SHARE_EVERY)
        try:
            if left := await vault.share():
                log.warning("snapshots_wait", sessions=left)
        except (GatewayError, OSError) as error:
            log.warning("snapshots_not_shared", error=str(error))


async def keep_sweeping(store: Store, registry: Registry, retention: float) -> None:
    """Sweep every half minute, snapshots every hour; of a fleet one node does. A store that is away is tried again."""
    looked = -SNAPSHOTS_EVERY
    while True:
        try:
            leads = await store.leads("sweep", 2 * PERIOD)
            if leads and (done := await sweep(store, registry, retention, time.time())):
                log.info("sessions_swept", count=done)
            if time.monotonic() - looked >= SNAPSHOTS_EVERY:
                looked = time.monotonic()
                vault = registry.means.vault
                if leads and (done := await sweep_snapshots(store, vault, retention, time.time())):
                    log.info("snapshots_swept", count=done)
                if done := await sweep_files(store, registry):
                    log.info("files_swept", count=done)
        except (GatewayError, OSError) as error:
            log.warning("sweep_failed", error=str(error))
        await asyncio.sleep(PERIOD)
