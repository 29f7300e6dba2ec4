"""What the machine decided is done to a real browser, and told to whoever asked."""

import asyncio
import time
from pathlib import Path

from browser_pool.spec import LaunchSpec
from gateway.errors import CloseCode, Code, GatewayError
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.relay.client_leg import Pulse
from gateway.session import life
from gateway.session.desk import Desk
from gateway.session.effects import Effects
from gateway.session.ledger import Ledger
from gateway.session.life import Cause, Role, Save
from gateway.session.seat import Seat
from gateway.store.sqlite import open_store
from tests.inside import inside

SPEC = SessionSpec("default", Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_a_browser_from_its_launch_to_its_end(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, open_store(tmp_path / "store") as store, asyncio.TaskGroup() as work:
        now = time.time()
        record = SessionRecord(new_session_id(), SPEC, Status.STARTING, now, now + 60)
        await store.insert(record)
        ledger, pulse, means = Ledger(record, store), Pulse(0.0), gateway.registry.means
        events, asked = asyncio.Queue[life.Event](), asyncio.Queue[life.Event]()
        desk = Desk(asked.put_nowait)
        effects = Effects(ledger, means, desk, pulse, events.put_nowait, lambda: Cause.STOPPED, adopt=False)

        # Nothing is there: what is for a browser does nothing.
        for effect in (life.Park(), life.Wake(), life.Release(Save.CONTEXT)):
            effects.carry_out(effect, work)
        assert (effects.held, effects.failure) == (None, None)

        effects.carry_out(life.Launch(), work)
        assert await events.get() == life.BrowserReady()
        assert ledger.record.incarnation == 1
        assert effects.held is not None

        seat, attach = await _asked(desk, asked, work, Role.DRIVER)
        effects.carry_out(life.Admit(attach.seat), work)
        driver = await seat
        assert isinstance(driver, Seat)
        assert await driver.admitted is effects.held.browser
        assert ledger.record.connections == 1
        assert pulse.at == ledger.record.last_used_at
        assert pulse.at >= now
        seat, attach = await _asked(desk, asked, work, Role.OBSERVER)
        effects.carry_out(life.Admit(attach.seat), work)
        assert isinstance(await seat, Seat)
        assert ledger.record.connections == 1, "who looks on does not drive"
        seat, attach = await _asked(desk, asked, work, Role.DRIVER)
        effects.carry_out(life.Refuse(attach.seat, Code.SESSION_ENDED, Cause.EXPIRED), work)
        refused = await seat
        assert isinstance(refused, GatewayError)
        assert Cause.EXPIRED.words in refused.message
        effects.carry_out(life.Admit(attach.seat), work)
        assert ledger.record.connections == 1, "it has gone"

        await effects.held.browser.kill()
        assert await events.get() == life.BrowserGone()
        effects.carry_out(life.Evict(driver.id, CloseCode.CRASHED, "the browser crashed"), work)
        farewell = await driver.evicted
        assert farewell.close is CloseCode.CRASHED
        assert farewell.words.startswith("the browser crashed: ")
        effects.carry_out(life.Release(Save.NOTHING), work)
        assert await events.get() == life.BrowserReleased()
        assert not events.qsize()

        # The next one is given up before it is there.
        effects.carry_out(life.Launch(), work)
        assert ledger.record.incarnation == 2
        await asyncio.sleep(0)
        effects.carry_out(life.Release(Save.NOTHING), work)
        assert await events.get() == life.BrowserReleased()
        assert events.empty()


async def test_who_asked_for_a_browser_that_cannot_be_launched_is_told_why(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    async with inside(tmp_path, browser=str(broken)) as gateway, open_store(tmp_path / "store") as store:
        now = time.time()
        record = SessionRecord(new_session_id(), SPEC, Status.STARTING, now, now + 60)
        events, asked = asyncio.Queue[life.Event](), asyncio.Queue[life.Event]()
        desk, means = Desk(asked.put_nowait), gateway.registry.means
        ledger = Ledger(record, store)
        effects = Effects(ledger, means, desk, Pulse(0.0), events.put_nowait, lambda: Cause.STOPPED, adopt=False)
        async with asyncio.TaskGroup() as work:
            seat, attach = await _asked(desk, asked, work, Role.DRIVER)
            effects.carry_out(life.Launch(), work)
            assert await events.get() == life.BrowserFailed()
            effects.carry_out(life.Refuse(attach.seat, Code.BROWSER_FAILED, None), work)
            refused = await seat
        assert refused is effects.failure
        assert isinstance(refused, GatewayError)
        assert refused.message != GatewayError(Code.BROWSER_FAILED, Code.BROWSER_FAILED.word).message


async def _asked(
    desk: Desk, asked: asyncio.Queue[life.Event], work: asyncio.TaskGroup, role: Role
) -> tuple[asyncio.Task[Seat | GatewayError], life.Attach]:
    """Somebody asks for a seat: the answer, and the question as the session gets it."""
    answer = work.create_task(_seat(desk, role))
    while not isinstance(event := await asked.get(), life.Attach):
        pass  # who was refused before has left
    return answer, event


async def _seat(desk: Desk, role: Role) -> Seat | GatewayError:
    try:
        return await desk.seat(role, takeover=False)
    except GatewayError as error:
        return error
