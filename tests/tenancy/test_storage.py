"""What tenants' snapshots take, on a real disk with a real store."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Status, Tenant, new_session_id
from gateway.snapshot.document import ContextDocument, Tab
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from gateway.store.base import Store
from gateway.store.sqlite import open_store
from gateway.tenancy import storage as module
from gateway.tenancy.storage import Storage

SIZE = 50_000  # bytes of one version, and a little


class Place:
    """Sessions that save versions of which each has its own content."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self.limits: dict[str, int | None] = {}
        self.store, self.vault = store, vault
        self.storage = self.anew()
        self.written = 0

    def anew(self) -> Storage:
        return Storage(self.store, self.vault, lambda name: Tenant(name, snapshot_bytes=self.limits.get(name)))

    async def session(self, tenant: str = "a") -> SessionId:
        spec = SessionSpec(tenant, Kind.API, LaunchSpec(), ttl=60, keep=0, persist=True)
        record = SessionRecord(new_session_id(), spec, Status.SUSPENDED, time.time(), time.time() + 60)
        await self.store.insert(record)
        return record.id

    async def save(self, session: SessionId, tenant: str = "a") -> int:
        """As `Means.save` does; the version."""
        await self.storage.make_room(tenant)
        self.written += 1
        noise = Random(self.written).randbytes(SIZE).hex()
        document = replace(ContextDocument(), tabs=(Tab(f"data:,{noise}"),))
        info = await self.vault.save(session, document, profile=None, kind="chromium", reason="test")
        await self.storage.changed(tenant, session)
        return info.version

    async def versions(self, session: SessionId) -> list[int]:
        return [info.version for info in await self.vault.list(session)]

    async def refused(self, session: SessionId) -> str:
        with pytest.raises(GatewayError) as error:
            await self.save(session)
        assert error.value.code is Code.QUOTA_EXCEEDED
        return error.value.message


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    async with open_store(tmp_path / "gateway.sqlite") as store:
        yield Place(store, Vault(tmp_path / "snapshots", Sealer(()), keep=10))


async def test_without_a_limit_nothing_is_counted(place: Place) -> None:
    one = await place.session()
    for _ in range(3):
        await place.save(one)
    assert await place.versions(one) == [1, 2, 3]
    assert await place.storage.used("a") is None


async def test_at_the_limit_old_versions_go_the_oldest_first_and_never_the_last(place: Place) -> None:
    # Of two that were saved in one millisecond that of the lower id counts as the older one.
    two, one = sorted([await place.session(), await place.session()])
    await place.save(one)
    each = await place.vault.size(one)
    for session in (two, one, two, one):
        await place.save(session)
    assert (await place.versions(one), await place.versions(two)) == ([1, 2, 3], [1, 2])
    place.limits["a"] = 4 * each
    await place.save(one)
    # A version's pack stays while a later one has something in it: more may go than their own sizes say.
    assert await place.versions(one) in ([2, 3, 4], [3, 4])
    assert await place.versions(two) == [2]
    used = await place.storage.used("a")
    assert used is not None
    assert used < 5 * each, "the limit, and the last save"
    place.limits["a"] = each
    assert "purge=true" in await place.refused(one)
    assert (await place.versions(one), await place.versions(two)) == ([4], [2])
    assert (await place.vault.load_document(two)).tabs


async def test_room_that_is_made_is_noticed(place: Place) -> None:
    one, two = await place.session(), await place.session()
    place.limits["a"] = 10_000
    await place.save(one)
    await place.refused(two)
    await place.vault.erase(one)
    assert await place.save(two) == 1


async def test_after_a_restart_all_that_is_there_counts(place: Place) -> None:
    one = await place.session()
    await place.save(one)
    place.limits["a"] = 10_000
    place.storage = place.anew()
    assert await place.storage.used("a") == await place.vault.size(one)
    await place.refused(await place.session())


async def test_anothers_count_for_nothing(place: Place) -> None:
    other, own = await place.session("b"), await place.session()
    for _ in range(3):
        await place.save(other, "b")
    place.limits["a"] = 10_000
    assert await place.storage.used("a") == 0
    await place.save(own)
    await place.refused(own)
    assert await place.versions(other) == [1, 2, 3]


async def test_a_good_version_under_a_damaged_one_stays(place: Place) -> None:
    one = await place.session()
    await place.save(one)
    kept = set(folder(place, one).glob("pack-*"))
    await place.save(one)
    for pack in set(folder(place, one).glob("pack-*")) - kept:
        pack.write_bytes(b"damaged")
    place.limits["a"] = 10_000
    await place.refused(one)
    assert await place.versions(one) == [1, 2]


def folder(place: Place, session: SessionId) -> Path:
    return place.vault._directory / session
