import asyncio
import errno
import gc
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from browser_pool import pidfd, procfs
from browser_pool.pidfd import ended


@contextmanager
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        try:
            yield process
        finally:
            process.kill()


async def seen_and_not_reaped() -> None:
    with sleeper() as process:
        waiting = asyncio.ensure_future(ended(process.pid))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        process.kill()
        await asyncio.wait_for(waiting, 30)
        assert process.poll() == -9, "its parent can still ask how it ended"


async def over_long_ago() -> None:
    with sleeper() as process:
        process.kill()
        process.wait()
        await asyncio.wait_for(ended(process.pid), 30)


async def another_with_its_pid() -> None:
    with sleeper() as process:
        own = procfs.seen(process.pid)
        assert own is not None
        await asyncio.wait_for(ended(process.pid, own.start - 1), 30)
        waiting = asyncio.ensure_future(ended(process.pid, own.start))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


CASES = [seen_and_not_reaped, over_long_ago, another_with_its_pid]


@pytest.mark.parametrize("case", CASES)
async def test_an_end_is_seen(case: Callable[[], Coroutine[Any, Any, None]]) -> None:
    gc.collect()  # what others have left open does not close under way
    before = len(os.listdir("/proc/self/fd"))
    await case()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("case", CASES)
async def test_where_the_kernel_has_no_such_thing(
    case: Callable[[], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")  # this kernel has it

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    monkeypatch.setattr(pidfd, "POLL", 0.01)
    await case()


def test_on_the_gateways_own_loop() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for case in CASES:
            runner.run(case())
