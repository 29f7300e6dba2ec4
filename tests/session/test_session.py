"""One session with a real browser: seats, stops, crashes and what its record says of them."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import CloseCode, Code, GatewayError
from gateway.records import Kind, SessionSpec, Status
from gateway.session.life import Role
from gateway.session.session import Session
from gateway.snapshot.carded import CardedStore
from gateway.store.sqlite import SqliteStore
from gateway.tenancy.secret import digest
from tests.inside import ADMIN, inside, until

API = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)
STANDARD = SessionSpec(ADMIN.tenant, Kind.STANDARD, LaunchSpec(), ttl=60, keep=0)


async def test_seats(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        assert session.record.status is Status.DETACHED
        async with session.attach() as seat:
            assert session.record.connections == 1
            assert seat.admitted.result() is session.browser
            with pytest.raises(GatewayError) as refused:
                async with session.attach():
                    pass
            assert refused.value.code is Code.DRIVER_CONNECTED
            async with session.attach(Role.OBSERVER):
                pass  # a debugging client sits beside
            async with session.attach(takeover=True):
                farewell = await seat.evicted
                assert farewell.close is CloseCode.TAKEN_OVER
        assert session.record.connections == 2


async def test_a_leaving_driver_is_given_a_moment(tmp_path: Path) -> None:
    """A request that is read before the Close that was sent before it does not meet 409."""
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        async with session.attach() as seat:
            asyncio.get_running_loop().call_later(0.05, seat.leave)
            async with session.attach():
                pass
        async with session.attach() as seat:
            asyncio.get_running_loop().call_later(0.05, seat.leave)
            await session.stop(force=False)
        assert session.record.status is Status.STOPPED


async def test_a_standard_session_ends_with_its_client(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.create(STANDARD)
        async with session.attach():
            assert len(list((tmp_path / "browsers").iterdir())) == 1
        await session.over.wait()
        assert session.record.reason == "client_left"
        assert list((tmp_path / "browsers").iterdir()) == []


async def test_reconnect_never_outlasts_the_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.create(STANDARD)
        async with session.attach() as seat:
            assert session.linger(seat.id, 5, None) == 5
            assert 20 < session.linger(seat.id, 3600, None) <= 60
            session.linger(seat.id, 0.05, "secret")
            assert session.record.secret == digest("secret")
        await session.over.wait()
        assert session.record.status is Status.EXPIRED
        assert session.record.reason == "keep_alive"


async def test_a_crash_is_told_and_what_is_on_disk_is_saved(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        async with session.attach() as seat:
            os.kill(seat.admitted.result().pid, signal.SIGKILL)
            farewell = await seat.evicted
            assert farewell.close is CloseCode.CRASHED
            assert "SIGKILL" in farewell.words
        await session.over.wait()
        assert session.record.status is Status.SUSPENDED
        assert session.record.reason == "browser_crashed"
        revived = await gateway.registry.session(ADMIN, session.record.id)
        async with revived.attach():
            assert revived.record.incarnation == 2


async def test_a_snapshot_does_not_end_the_browser(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        browser = session.browser
        assert (await session.snapshot("test")).version == 1
        assert (await session.context()).tabs[0].url == "about:blank"
        assert session.browser is browser
        assert session.record.snapshot == 1
        await session.stop(force=False)
        assert session.record.snapshot == 2
        with pytest.raises(GatewayError) as refused:
            await session.snapshot("late")
        assert refused.value.code is Code.NOT_RUNNING


async def test_a_record_that_cannot_be_written_is_not_forgotten(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        number = session.record.id
        carded = gateway.registry._store
        assert isinstance(carded, CardedStore)
        store = carded._store
        assert isinstance(store, SqliteStore)
        await store._db.execute("PRAGMA query_only = 1")  # as a full disk, or a file system gone read-only
        await session.stop(force=False)
        # The browser is gone and the context saved; the gateway knows it better than its file.
        assert list((tmp_path / "browsers").iterdir()) == []
        assert (await gateway.registry.find(ADMIN, number)).status is Status.STOPPED
        assert gateway.registry.count == 1
        await store._db.execute("PRAGMA query_only = 0")
        await until(lambda: gateway.registry.count == 0)
        record = await store.get(number)
        assert record is not None
        assert (record.status, record.snapshot) == (Status.STOPPED, 1)


async def test_a_session_that_nobody_uses_ends(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(replace(API, idle=60, park=0.2))
        async with session.attach() as seat:
            before = session.pulse.at
            await session.amend(ttl=None, keep=None, labels=None, idle=0.5)
            farewell = await seat.evicted
            assert farewell.close is CloseCode.EXPIRED
            assert time.time() - before > 0.45
        await session.over.wait()
        assert (session.record.status, session.record.reason) == (Status.EXPIRED, "inactivity")
        assert [word for _, word in session.record.history] == ["started", "connected", "released"]
        assert session.record.snapshot is not None


async def test_whatever_uses_a_session_keeps_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(replace(API, idle=60))
        async with session.used():
            await session.amend(ttl=None, keep=None, labels=None, idle=3.0)
            began = session.pulse.at
            await until(lambda: time.time() - began > 3.1)  # however long it takes
            assert session.reachable
            assert session.terms == replace(session.terms, idle_at=None)
        with session.busy():  # as who drives it from within the gateway
            assert session.terms == replace(session.terms, idle_at=None)
        ended = session.pulse.at
        assert ended - began > 3.1
        await until(lambda: session.record.last_used_at == ended)  # written down for a later process
        await session.amend(ttl=None, keep=None, labels=None, idle=60)
        assert session.terms.idle_at == ended + 60
        await session.amend(ttl=None, keep=None, labels=None, idle=0.1)
        await session.over.wait()
        assert session.record.reason == "inactivity"


async def test_the_wait_of_a_browser_that_was_left_to_us_goes_on(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        made = await gateway.registry.created(replace(API, idle=60))
        means, store = gateway.registry.means, gateway.registry._store
        record = replace(made.record, status=Status.DETACHED, last_used_at=1000.0)
        assert Session(record, means, store, adopt=2000.0).terms.idle_at == 1060
        driven = replace(record, status=Status.CONNECTED)
        assert (Session(driven, means, store, adopt=2000.0).terms.idle_at or 0) > time.time(), "it was used until then"
