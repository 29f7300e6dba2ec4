"""A session's record, and whether it is written down."""

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import GatewayError
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.session.ledger import HISTORY, Ledger
from gateway.store.sqlite import open_store

SPEC = SessionSpec("default", Kind.API, LaunchSpec(), ttl=60, keep=30)


def record(spec: SessionSpec = SPEC) -> SessionRecord:
    now = time.time()
    return SessionRecord(new_session_id(), spec, Status.DETACHED, now, now + spec.ttl, generation=1)


async def test_written_down_and_not(tmp_path: Path) -> None:
    file = tmp_path / "store"
    async with open_store(file) as store:
        first = record()
        await store.insert(first)
        ledger = Ledger(first, store)
        ledger.change(connections=3)
        ledger.tell(1.5, "connected")
        assert states(ledger) == "unwritten"
        await ledger.write()
        assert states(ledger) == "written"
        kept = await store.get(first.id)
        assert kept is not None
        assert (kept.connections, kept.history) == (3, ((1.5, "connected"),))
        await ledger.generation()
        assert ledger.record.generation == 2
        await store.update(replace(first, incarnation=5))  # another process has it now
        ledger.change(connections=4)
        await ledger.write()
        assert states(ledger) == "written", "it is not ours to write"
        with sqlite3.connect(file) as other:
            other.execute("DROP TABLE sessions")
        other.close()
        ledger.change(connections=5)
        await ledger.write()
        assert states(ledger) == "unwritten", "later, perhaps"
        with pytest.raises(GatewayError):
            await ledger.generation()
        assert ledger.record.generation == 2, "old URLs stay good"


def states(ledger: Ledger) -> str:
    return "unwritten" if ledger.unwritten else "written"


async def test_what_is_remembered_and_how_often(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        ledger = Ledger(record(), store)
        for number in range(HISTORY + 5):
            ledger.tell(number, "again")
        assert [at for at, _ in ledger.record.history] == list(range(5, HISTORY + 5))
        assert not ledger.worth_noting(time.time()), "nobody asks when it was used last"
        idle = Ledger(record(replace(SPEC, idle=20)), store)
        idle.change(last_used_at=100.0)
        assert [idle.worth_noting(at) for at in (100.0, 105.0, 105.1)] == [False, False, True]
