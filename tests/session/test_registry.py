"""Sessions by their ids: made, found, ended, remembered over a restart of the gateway."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from gateway.store.base import Query
from gateway.store.sqlite import open_store
from tests.inside import ADMIN, inside, until

API = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def refusal(work: object) -> Code:
    with pytest.raises(GatewayError) as refused:
        await work  # type: ignore[misc]
    return refused.value.code


async def test_a_name_is_held_by_one_running_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        named = replace(API, name="shop")
        first = await gateway.registry.created(named)
        assert await refusal(gateway.registry.created(named)) is Code.NAME_IN_USE
        await first.stop(force=False)
        await (await gateway.registry.created(named)).stop(force=False)


async def test_a_create_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho no libnss3 >&2\nexit 1\n")
    broken.chmod(0o755)
    async with inside(tmp_path / "data", browser=str(broken)) as gateway:
        with pytest.raises(GatewayError, match="no libnss3") as refused:
            await gateway.registry.created(API)
        assert refused.value.code is Code.BROWSER_FAILED
        assert (await gateway.registry.page(Query(ADMIN.tenant))).records == ()
        assert list((tmp_path / "data" / "browsers").iterdir()) == []
        assert gateway.registry.count == 0


async def test_a_create_that_is_given_up_leaves_no_browser(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        creating = asyncio.get_running_loop().create_task(gateway.registry.created(API))
        await until(lambda: gateway.registry.count == 1)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert gateway.registry.count == 0
        assert list((tmp_path / "browsers").iterdir()) == []


async def test_two_at_once_wake_a_session_once(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(replace(API, keep=0.01))
        await session.over.wait()
        assert session.record.status is Status.SUSPENDED
        number = session.record.id
        one, two = await asyncio.gather(*(gateway.registry.session(ADMIN, number) for _ in range(2)))
        assert one is two
        async with one.attach():
            assert one.record.incarnation == 2


async def test_an_idempotency_key_makes_one_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry = gateway.registry
        one, two = await asyncio.gather(*(registry.created_once(API, None, "key", "same") for _ in range(2)))
        assert one.id == two.id
        assert registry.count == 1
        assert await refusal(registry.created_once(API, None, "key", "different")) is Code.IDEMPOTENCY_MISMATCH


async def test_stopped_sessions_are_remembered(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        await gateway.registry.stop(ADMIN, session.record.id, force=False, purge=False)
    async with inside(tmp_path) as gateway:
        record = await gateway.registry.find(ADMIN, session.record.id)
        assert record.status is Status.STOPPED
        assert (await gateway.registry.source(ADMIN, record.id)).version == 1
        again = await gateway.registry.stop(ADMIN, record.id, force=False, purge=True)
        assert again.snapshot is None
        assert await refusal(gateway.registry.source(ADMIN, record.id)) is Code.NOTHING_SAVED


async def test_a_drain_saves_what_survives(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        kept = await gateway.registry.created(API)
        lost = await gateway.registry.created(replace(API, persist=False))
        await gateway.registry.drain(20)
        assert kept.record.status is Status.SUSPENDED
        assert kept.record.snapshot == 1
        assert lost.record.status is Status.STOPPED
        assert await refusal(gateway.registry.created(API)) is Code.DRAINING


async def test_what_a_killed_gateway_was_running_is_put_right(tmp_path: Path) -> None:
    now = time.time()
    saved = SessionRecord(new_session_id(), API, Status.CONNECTED, now, now + 60)
    vault = Vault(tmp_path / "snapshots", Sealer())
    # It was killed when the second save was on disk and the record did not know of it, nor of the first.
    for _ in range(2):
        await vault.save(saved.id, ContextDocument(), profile=None, kind="chromium", reason="test")
    unsaved = SessionRecord(new_session_id(), API, Status.DETACHED, now, now + 60)
    async with open_store(tmp_path / "gateway.sqlite") as store:
        await store.insert(saved)
        await store.insert(unsaved)
    async with inside(tmp_path) as gateway:
        assert (await gateway.registry.find(ADMIN, saved.id)).status is Status.SUSPENDED
        assert (await gateway.registry.find(ADMIN, saved.id)).snapshot == 2
        failed = await gateway.registry.find(ADMIN, unsaved.id)
        assert (failed.status, failed.reason) == (Status.FAILED, "gateway_killed")


async def test_a_restore_of_a_damaged_snapshot_leaves_no_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        await session.stop(force=False)
        next((tmp_path / "snapshots").rglob("pack-*")).write_bytes(b"damaged")
        assert await refusal(gateway.registry.source(ADMIN, session.record.id)) is Code.SNAPSHOT_UNREADABLE
        source = await gateway.registry.source(ADMIN, session.record.id, 1)  # that one and no other
        assert await refusal(gateway.registry.created(replace(API, source=source))) is Code.SNAPSHOT_UNREADABLE
        assert [record.id for record in (await gateway.registry.page(Query(ADMIN.tenant))).records] == [
            session.record.id
        ]
        assert gateway.registry.count == 0


async def test_an_id_of_the_callers_own(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry, number = gateway.registry, new_session_id()
        given = ContextDocument()
        both = await asyncio.gather(
            registry.created_as(number, API, given), registry.created_as(number, API, given), return_exceptions=True
        )
        assert [type(one) for one in both].count(GatewayError) == 1, "of two at once one is made"
        assert registry.count == 1
        assert await refusal(registry.created_as(number, API)) is Code.ID_IN_USE
        await registry.stop(ADMIN, number, force=False, purge=False)
        kept = await registry.means.vault.list(number)
        assert await refusal(registry.created_as(number, API, given)) is Code.ID_IN_USE, "it is remembered"
        assert await registry.means.vault.list(number) == kept, "nothing was saved under it"
        await registry.forget(number)
        ended = (await registry.created(API)).record
        await registry.stop(ADMIN, ended.id, force=False, purge=False)
        await registry._store.delete(ended.id)
        assert await refusal(registry.created_as(ended.id, API)) is Code.ID_IN_USE, "what it saved is still there"
        await registry.means.vault.erase(ended.id)
        await registry.created_as(number, API)
        assert (await registry.find(ADMIN, number)).snapshot is None
