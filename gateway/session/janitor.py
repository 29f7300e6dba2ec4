"""Time passes for sessions that nobody runs: suspended ones expire, ended ones are erased after retention."""

import asyncio
import time

import structlog

from gateway.errors import GatewayError
from gateway.records import Kind
from gateway.session.registry import Registry
from gateway.store.base import Fenced, Store

PERIOD = 30.0  # seconds
STANDARD_RETENTION = 3600.0  # seconds; long enough to answer 410 to a client that comes late
log = structlog.get_logger()


async def sweep(store: Store, registry: Registry, retention: float, now: float) -> int:
    """One round at `now`; returns how many sessions were expired or erased. `retention` in seconds."""
    done = 0
    for record in await store.due(now):
        try:
            await store.update(record.settled(now))
        except Fenced:
            continue  # somebody has just woken it
        done += 1
    for kind, kept in ((Kind.API, retention), (Kind.STANDARD, STANDARD_RETENTION)):
        for record in await store.ended_before(now - kept, kind):
            await registry.forget(record.id)
            done += 1
    return done


async def keep_sweeping(store: Store, registry: Registry, retention: float) -> None:
    """Sweep every half minute. A store that is away for a time is tried again."""
    while True:
        try:
            if done := await sweep(store, registry, retention, time.time()):
                log.info("sessions_swept", count=done)
        except (GatewayError, OSError) as error:
            log.warning("sweep_failed", error=str(error))
        await asyncio.sleep(PERIOD)
