"""What is used of the network for a session without its browser, by pages that are fetched as it: counted as its own.

This is the registry's own business, in a file of its own.
"""

from dataclasses import replace

import structlog

from gateway.egress.usage import Usage
from gateway.errors import GatewayError
from gateway.records import SessionId
from gateway.session.registry import Registry
from gateway.session.tenure import REMEMBERED
from gateway.store.base import Fenced

log = structlog.get_logger()


async def spent(registry: Registry, session: SessionId, used: Usage) -> None:
    """Add `used` to what the session has used, whether it is still put away or was just woken.

    Where it cannot be written down the log has it: what was fetched stays fetched.
    """
    if used == Usage():
        return
    try:
        async with registry._waking:
            if (live := registry.live(session)) is not None:
                live.record = replace(live.record, used=live.record.used.plus(used, most=REMEMBERED))
            elif (record := await registry._store.get(session)) is not None:
                await registry._store.update(replace(record, used=record.used.plus(used, most=REMEMBERED)))
    except (Fenced, GatewayError) as error:  # another node has woken it, or the store is not to be had
        log.warning("usage_not_noted", session=session, bytes=used.bytes_in + used.bytes_out, error=str(error))
