"""A node of a fleet that stops: whoever can leave it without noticing does so first.

A session that another node can revive is put away as soon as nobody is connected to it; the next connect finds it
there. A browser that `reconnect` keeps cannot move: it is kept here for as long as that goes. Who is still connected
at the end is told to reconnect (close code 1001).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from gateway.session.session import Session


async def leaving(sessions: Sequence[Session], patience: float) -> None:
    """Return when all sessions are over, after `patience` seconds at the latest."""
    with suppress(TimeoutError):  # who is left is told to go next
        async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(_left(session))


async def _left(session: Session) -> None:
    if session.record.spec.persist:
        await session.calm()
        session.drain()
    await session.over.wait()
