"""Sessions whose node is gone. The whole of it, with real nodes, is in `tests/fleet/`."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.session.orphans import KILLED, LOST, Orphans, orphaned
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.store.base import Fenced
from gateway.store.sqlite import open_store

SPEC = SessionSpec("a", Kind.API, LaunchSpec(), ttl=600, keep=30, persist=True)
RUNS = SessionRecord(new_session_id(), SPEC, Status.CONNECTED, 1.0, 601.0, incarnation=3, keeps=30.0, node="http://n:1")
INFO = SnapshotInfo(RUNS.id, 7, "2026-01-01T00:00:00.000Z", 1, "checkpoint", "chromium", False)


@pytest.mark.parametrize(
    ("record", "versions", "status", "snapshot"),
    [
        (RUNS, (), Status.FAILED, None),
        (RUNS, None, Status.FAILED, None),
        (RUNS, (replace(INFO, version=6), INFO), Status.SUSPENDED, 7),
        (replace(RUNS, snapshot=6), (INFO,), Status.SUSPENDED, 7),
        (replace(RUNS, snapshot=6), (), Status.FAILED, 6),
        (replace(RUNS, snapshot=6), None, Status.SUSPENDED, 6),
        (replace(RUNS, spec=replace(SPEC, source=Source(SessionId("other"), 1))), (), Status.SUSPENDED, None),
        (replace(RUNS, spec=replace(SPEC, persist=False)), (INFO,), Status.FAILED, 7),
    ],
)
def test_what_becomes_of_it(
    record: SessionRecord, versions: tuple[SnapshotInfo, ...] | None, status: Status, snapshot: int | None
) -> None:
    after = orphaned(record, versions, KILLED, 99.0)
    assert (after.status, after.snapshot, after.reason) == (status, snapshot, KILLED)
    assert (after.keeps, after.until, after.parked) == (None, None, False)
    assert after.ended_at == (99.0 if status.ended else None)


async def test_what_a_node_had_is_put_right_and_its_late_writes_are_fenced(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "snapshots", Sealer(()))
    other = replace(RUNS, id=new_session_id(), node="http://n:2")
    bare = replace(RUNS, id=new_session_id())
    async with open_store(tmp_path / "db") as store:
        for record in (RUNS, other, bare):
            await store.insert(record)
        info = await vault.save(RUNS.id, ContextDocument(), profile=None, kind="chromium", reason="checkpoint", fence=3)
        orphans = Orphans(store, vault)
        assert await orphans.of("http://n:1") == 2
        saved = await store.get(RUNS.id)
        assert saved is not None
        assert (saved.status, saved.reason, saved.snapshot) == (Status.SUSPENDED, LOST, info.version)
        failed = await store.get(bare.id)
        assert failed is not None
        assert failed.status is Status.FAILED
        assert await store.get(other.id) == other
        with pytest.raises(Fenced):
            await store.update(replace(RUNS, status=Status.DETACHED))
        assert await orphans.of("http://n:1") == 0
        # Another node was faster: what that wrote is what counts.
        assert await orphans.settle(replace(RUNS, incarnation=2)) == saved
