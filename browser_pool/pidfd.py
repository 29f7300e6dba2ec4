"""Waiting for the end of any process, whoever its parent is. It is not reaped."""

import asyncio
import os

from browser_pool import procfs

POLL = 0.25  # seconds between looks, where the kernel has no pidfd (before 5.3, or forbidden)


async def ended(pid: int, start: int | None = None) -> None:
    """Wait until that process has ended; with `start` (procfs.Process) only one that began then is meant."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # Python was built without it, the kernel has none, or no file is to be had
        while _lives(pid, start):  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return
    try:
        if not _lives(pid, start):
            return
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def _lives(pid: int, start: int | None) -> bool:
    process = procfs.seen(pid)
    return process is not None and process.lives and start in (None, process.start)
