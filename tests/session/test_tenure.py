"""One browser of a session: its last word is always one event."""

import asyncio
import time
from pathlib import Path

from browser_pool.spec import LaunchSpec
from gateway.errors import Code
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.session import life
from gateway.session.ledger import Ledger
from gateway.session.life import Cause, Save
from gateway.session.tenure import Tenure
from gateway.store.sqlite import open_store
from tests.inside import inside

SPEC = SessionSpec("default", Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_launched_released_and_given_up(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, open_store(tmp_path / "store") as store:
        means = gateway.registry.means
        now = time.time()
        record = SessionRecord(new_session_id(), SPEC, Status.STARTING, now, now + 60, incarnation=1)
        await store.insert(record)
        ledger, events = Ledger(record, store), asyncio.Queue[life.Event]()

        def tenure() -> Tenure:
            return Tenure(ledger, means, events.put_nowait, lambda: Cause.STOPPED, adopt=False)

        first = tenure()
        assert not first.release(Save.CONTEXT), "it is not there yet"
        async with asyncio.TaskGroup() as work:
            work.create_task(first.run())
            assert await events.get() == life.BrowserReady()
            assert first.held is not None
            assert first.release(Save.CONTEXT)
            assert await events.get() == life.BrowserReleased()
        assert first.failure is None
        assert ledger.record.snapshot == 1

        second = tenure()
        running = asyncio.create_task(second.run())
        await asyncio.sleep(0)
        running.cancel()
        assert await events.get() == life.BrowserReleased(), "its launch is given up"
        await asyncio.wait([running])

        gone = tenure()
        async with asyncio.TaskGroup() as work:
            work.create_task(gone.run())
            assert await events.get() == life.BrowserReady()
            assert gone.held is not None
            await gone.held.browser.kill()
            assert await events.get() == life.BrowserGone()
            assert gone.release(Save.NOTHING)
            assert await events.get() == life.BrowserReleased()
        assert events.empty()


async def test_one_that_cannot_be_launched(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    async with inside(tmp_path, browser=str(broken)) as gateway, open_store(tmp_path / "store") as store:
        now = time.time()
        record = SessionRecord(new_session_id(), SPEC, Status.STARTING, now, now + 60, incarnation=1)
        events = asyncio.Queue[life.Event]()
        tenure = Tenure(Ledger(record, store), gateway.registry.means, events.put_nowait, lambda: Cause.STOPPED, False)
        await tenure.run()
        assert events.get_nowait() == life.BrowserFailed()
        assert tenure.failure is not None
        assert tenure.failure.code is Code.BROWSER_FAILED
