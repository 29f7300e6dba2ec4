import asyncio
import gc
import os
import signal
from pathlib import Path

import pytest

from browser_pool import hold
from browser_pool.errors import RootInUse
from browser_pool.hold import Guard, guards_of, held
from browser_pool.spec import LaunchSpec
from tests.browser_pool.outliving import outliving
from tests.browser_pool.seen import alive, children, dead_children
from tests.journeys.running import eventually


async def test_one_process_at_a_time(root: Path, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "PATIENCE", 0.2)
    async with outliving(root, spec, 60) as program:
        with pytest.raises(RootInUse, match=str(root)):
            async with held(root):
                pass
        assert alive(program.guard), "it has its process still"
        await program.kill()
        async with held(root):
            assert guards_of(root) == []
            assert not alive(program.guard)


async def test_a_root_is_made_for_its_owner_alone_and_free_again_at_the_end(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there"
    gc.collect()  # what others have left open does not close under way
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        async with held(root):
            assert root.stat().st_mode & 0o777 == 0o700
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_guard_is_there_while_the_block_lasts(root: Path) -> None:
    gc.collect()
    before, files = children(), len(os.listdir("/proc/self/fd"))
    async with held(root) as lock:
        guard = Guard(root, lock, 60)
        async with guard.watching():
            assert guard.pid is not None
            await eventually("it is known by its root", lambda: guards_of(root) == [(guard.pid, os.getpid())])
            assert os.getsid(guard.pid) == guard.pid
        assert guards_of(root) == []
    assert children() <= before
    assert len(os.listdir("/proc/self/fd")) == files


async def test_one_that_is_killed_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "RETRY", 0.01)
    there = children()
    async with held(root) as lock:
        guard = Guard(root, lock, 60)
        async with guard.watching():
            seen: set[int] = set()
            for _ in range(2):
                await eventually("there is another", lambda: guard.pid not in {None, *seen})
                assert guard.pid is not None
                seen.add(guard.pid)
                os.kill(guard.pid, signal.SIGKILL)
            await eventually("there is another", lambda: guard.pid not in {None, *seen})
            assert dead_children() <= there
    assert guards_of(root) == []


async def test_one_that_does_not_go_is_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "FAREWELL", 0.1)
    async with held(root) as lock:
        guard = Guard(root, lock, 60)
        async with guard.watching():
            assert guard.pid is not None
            os.kill(guard.pid, signal.SIGSTOP)
    assert guards_of(root) == []


async def test_a_cancelled_start_leaves_none(root: Path) -> None:
    async def guarded() -> None:
        async with held(root) as lock, Guard(root, lock, 60).watching():
            await asyncio.Event().wait()

    for turns in range(6):
        task = asyncio.ensure_future(guarded())
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert guards_of(root) == []
