import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec
from browser_pool.tasks import running
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.session import janitor
from gateway.session.files import Files
from gateway.session.janitor import (
    JOB_RETENTION,
    STANDARD_RETENTION,
    keep_sweeping,
    sweep,
    sweep_files,
    sweep_snapshots,
)
from gateway.session.means import Means
from gateway.session.registry import Registry, open_registry
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from gateway.store.jobs import Job, JobStatus
from gateway.store.sqlite import SqliteStore, open_store
from gateway.tenancy.queue import Slots
from tests.journeys.running import eventually_asked

NOW = 1_000_000.0
RETENTION = 50_000.0


@dataclass(frozen=True)
class Place:
    """A registry without running sessions."""

    store: SqliteStore
    registry: Registry

    async def remembered(
        self, status: Status, *, kind: Kind = Kind.API, saved: bool = True, **times: float
    ) -> SessionRecord:
        """A record as an earlier gateway left it, with something saved."""
        spec = SessionSpec("t", kind, LaunchSpec(), ttl=60, keep=10)
        record = SessionRecord(
            new_session_id(),
            spec,
            status,
            created_at=1.0,
            expires_at=times.get("expires_at", NOW + 1000),
            ended_at=times.get("ended_at"),
        )
        await self.store.insert(record)
        if saved:
            await self.vault.save(record.id, ContextDocument(), profile=None, kind="chromium", reason="test")
        return record

    @property
    def vault(self) -> Vault:
        return self.registry.means.vault

    async def sweep(self, now: float = NOW) -> int:
        return await sweep(self.store, self.registry, RETENTION, now)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    means = Means(
        BrowserPool(tmp_path / "browsers", Binaries()),
        Slots(1, 0, 1),
        Vault(tmp_path / "snapshots", Sealer(())),
        Files(tmp_path / "downloads", 1 << 20),
    )
    async with (
        open_store(tmp_path / "gateway.sqlite") as store,
        open_registry(store, means, drain_timeout=1) as registry,
    ):
        yield Place(store, registry)


async def test_suspended_sessions_expire_and_keep_what_they_saved(place: Place) -> None:
    due = await place.remembered(Status.SUSPENDED, expires_at=NOW)
    later = await place.remembered(Status.SUSPENDED, expires_at=NOW + 1)
    assert await place.sweep() == 1
    found = await place.store.get(due.id)
    assert found is not None
    assert (found.status, found.reason, found.ended_at) == (Status.EXPIRED, "ttl", NOW)
    assert len(await place.vault.list(due.id)) == 1
    assert await place.store.get(later.id) == later
    assert await place.sweep() == 0


async def test_ended_sessions_are_erased_after_retention(place: Place) -> None:
    old = await place.remembered(Status.STOPPED, ended_at=NOW - RETENTION - 1)
    young = await place.remembered(Status.STOPPED, ended_at=NOW - RETENTION)
    assert await place.sweep() == 1
    assert await place.store.get(old.id) is None
    assert not await place.vault.list(old.id)
    assert await place.store.get(young.id) == young
    assert len(await place.vault.list(young.id)) == 1


async def test_jobs_expire_after_a_day(place: Place) -> None:
    for number, ended in (("old", NOW - JOB_RETENTION - 1), ("young", NOW - JOB_RETENTION)):
        await place.store.jobs.add(Job(number, "t", "fetch", 1.0), b"", None, "")
        await place.store.jobs.finish(number, JobStatus.COMPLETED, b"", ended)
    await place.store.jobs.add(Job("waiting", "t", "fetch", 1.0), b"", None, "")
    assert await place.sweep() == 1
    assert [await place.store.jobs.get(number) is None for number in ("old", "young", "waiting")] == [
        True,
        False,
        False,
    ]


async def test_files_go_with_the_record_and_those_of_nobody_go(place: Place) -> None:
    async def one() -> AsyncIterator[bytes]:
        yield b"x"

    old = await place.remembered(Status.STOPPED, ended_at=NOW - RETENTION - 1)
    kept = await place.remembered(Status.STOPPED, ended_at=NOW)
    files, unknown = place.registry.means.files, new_session_id()
    for session in (old.id, kept.id, unknown):
        await files.add(session, "one", one())
    await place.sweep()
    assert set(await files.sessions()) == {kept.id, unknown}
    assert await sweep_files(place.store, place.registry) == 1
    assert await files.sessions() == [kept.id]


async def test_standard_sessions_go_sooner(place: Place) -> None:
    ended = NOW - STANDARD_RETENTION - 1
    standard = await place.remembered(Status.STOPPED, kind=Kind.STANDARD, saved=False, ended_at=ended)
    api = await place.remembered(Status.STOPPED, ended_at=ended)
    fresh = await place.remembered(Status.STOPPED, kind=Kind.STANDARD, saved=False, ended_at=ended + 1)
    assert await place.sweep() == 1
    assert await place.store.get(standard.id) is None
    assert await place.store.get(api.id) == api
    assert await place.store.get(fresh.id) == fresh


async def test_many_sessions_that_are_kept_do_not_stand_in_the_way(place: Place) -> None:
    ended = NOW - STANDARD_RETENTION - 1
    for _ in range(501):
        await place.remembered(Status.STOPPED, saved=False, ended_at=ended)
    standard = await place.remembered(Status.STOPPED, kind=Kind.STANDARD, saved=False, ended_at=ended)
    assert await place.sweep() == 1
    assert await place.store.get(standard.id) is None


async def test_old_versions_and_what_belongs_to_nobody_are_erased(place: Place) -> None:
    known = await place.remembered(Status.SUSPENDED)
    unknown = new_session_id()
    for session in (known.id, known.id, unknown):
        await place.vault.save(session, ContextDocument(), profile=None, kind="chromium", reason="test")
    now = time.time()
    assert await sweep_snapshots(place.store, place.vault, RETENTION, now) == 0
    assert len(await place.vault.list(known.id)) == 3
    # The newest of a session stays as long as the session does.
    assert await sweep_snapshots(place.store, place.vault, RETENTION, now + RETENTION + 60) == 3
    assert [info.version for info in await place.vault.list(known.id)] == [3]
    assert await place.vault.sessions() == (known.id,)


async def test_snapshots_are_looked_at_from_the_start(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "PERIOD", 0.01)
    record = await place.remembered(Status.SUSPENDED, expires_at=time.time() + 1000)
    await place.vault.save(record.id, ContextDocument(), profile=None, kind="chromium", reason="test")
    async with running(keep_sweeping(place.store, place.registry, -60), "janitor"):

        async def gone() -> bool:
            return [info.version for info in await place.vault.list(record.id)] == [2]

        await eventually_asked("the older version is gone", gone)


async def test_it_goes_on_when_the_store_comes_back(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "PERIOD", 0.01)
    due = await place.remembered(Status.SUSPENDED, expires_at=1.0)
    async with open_store(tmp_path / "gateway.sqlite") as other:
        await other._run("ALTER TABLE sessions RENAME TO away", ())
        async with running(keep_sweeping(place.store, place.registry, RETENTION), "janitor") as task:
            done, _ = await asyncio.wait([task], timeout=0.1)
            assert not done
            await other._run("ALTER TABLE away RENAME TO sessions", ())

            async def erased() -> bool:
                return await other.get(due.id) is None

            await eventually_asked("it has swept", erased)
