"""Jobs of several nodes in Redis; what every store does with them is in `test_jobs.py`."""

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.store import redis_jobs
from gateway.store.connection import Connection
from gateway.store.jobs import Job, JobStatus
from gateway.store.redis_jobs import RedisJobs
from tests.store.stores import NODE, OTHER, keys

THIRD = "http://10.0.0.3:3000"


def job(number: int, tenant: str = "t") -> Job:
    return Job(f"job_{number}", tenant, "fetch", 1.0)


async def numbers(jobs: RedisJobs) -> list[str]:
    return [one.id for one, _ in await jobs.unfinished()]


async def test_each_node_has_its_own(connection: Connection) -> None:
    mine, others = RedisJobs(connection, NODE), RedisJobs(connection, OTHER)
    await mine.add(job(1), b"asked", None, "f")
    await others.add(job(2), b"asked", None, "f")
    assert (await numbers(mine), await numbers(others)) == (["job_1"], ["job_2"])
    assert await others.get("job_1") == job(1)
    assert await others.begin("job_1", 2.0) is None
    assert not await others.finish("job_1", JobStatus.FAILED, b"why", 2.0)
    assert await others.finish("job_1", JobStatus.CANCELLED, None, 2.0)
    assert await mine.begin("job_1", 3.0) is None
    assert await numbers(mine) == []


async def test_what_a_dead_node_had_to_do_one_other_does(connection: Connection) -> None:
    dead = RedisJobs(connection, NODE)
    for number in range(5):
        await dead.add(job(number), str(number).encode(), f"key {number}", "f")
    await dead.begin("job_1", 2.0)
    await dead.finish("job_2", JobStatus.COMPLETED, b"made", 3.0)
    heirs = [RedisJobs(connection, f"http://10.0.1.{number}:3000") for number in range(10)]
    await heirs[4].add(job(9), b"9", None, "f")
    shares = await asyncio.gather(*(heir.inherit(NODE) for heir in heirs))
    assert [len(share) for share in shares if share] == [4]
    heir = heirs[next(number for number, share in enumerate(shares) if share)]
    (share,) = (share for share in shares if share)
    assert [(one.id, request) for one, request in share] == [
        ("job_0", b"0"),
        ("job_1", b"1"),
        ("job_3", b"3"),
        ("job_4", b"4"),
    ]
    assert share[1][0].status is JobStatus.RUNNING
    assert await numbers(dead) == []
    # The dead one comes back.
    assert await dead.begin("job_0", 4.0) is None
    assert not await dead.finish("job_1", JobStatus.FAILED, b"why", 4.0)
    assert await heir.begin("job_1", 5.0) == b"1"
    assert await heir.finish("job_1", JobStatus.COMPLETED, b"made", 6.0)
    assert await heir.inherit(NODE) == []
    assert set(await numbers(heir)) >= {"job_0", "job_3", "job_4"}
    assert not [key for key in await keys(connection) if "taken" in key]


async def test_nobody_inherits_from_himself(connection: Connection) -> None:
    mine = RedisJobs(connection, NODE)
    await mine.add(job(1), b"asked", None, "f")
    assert await mine.inherit(NODE) == []
    assert await numbers(mine) == ["job_1"]


async def test_an_inheritance_that_failed_halfway(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, heir = RedisJobs(connection, NODE), RedisJobs(connection, OTHER)
    await heir.add(job(0), b"own", None, "f")
    await dead.add(job(1), b"asked", None, "f")
    with monkeypatch.context() as broken:
        broken.setattr(redis_jobs, "FIELDS", ("id", object()))  # redis-py cannot send that
        with pytest.raises(GatewayError):
            await heir.inherit(NODE)
    assert await numbers(heir) == ["job_0", "job_1"]
    assert (await connection.call("PTTL", next(key for key in await keys(connection) if "taken" in key))) > 0
    await dead.add(job(2), b"meanwhile", None, "f")
    assert [one.id for one, _ in await heir.inherit(NODE)] == ["job_1", "job_2"]
    assert await heir.inherit(NODE) == []
    assert not [key for key in await keys(connection) if "taken" in key]


async def test_a_call_that_is_sent_twice(connection: Connection) -> None:
    jobs = RedisJobs(connection, NODE)
    assert await jobs.add(job(1), b"asked", "k", "f") == await jobs.add(job(1), b"asked", "k", "f")
    assert await jobs.size("t") == 5
    assert await jobs.begin("job_1", 2.0) == await jobs.begin("job_1", 2.0) == b"asked"
    for _ in range(2):
        assert await jobs.finish("job_1", JobStatus.COMPLETED, b"made", 3.0)
    assert await jobs.size("t") == 4
    assert not await jobs.finish("job_1", JobStatus.COMPLETED, b"other", 3.5)
    assert await jobs.result("job_1") == b"made"


async def test_nothing_is_left_of_those_that_are_forgotten(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_jobs, "EXPIRED", 3)
    monkeypatch.setattr(redis_jobs, "BATCH", 3)
    jobs = RedisJobs(connection, NODE)
    for number in range(10):
        await jobs.add(job(number, f"t{number % 2}"), b"asked", f"key {number}" if number % 3 else None, "f")
    assert len(await jobs.unfinished()) == 10
    for number in range(10):
        result = b"made" if number % 4 else None
        assert await jobs.finish(f"job_{number}", JobStatus.COMPLETED, result, float(number))
    assert await jobs.expire(5.0) == 5
    assert await jobs.expire(50.0) == 5
    assert await keys(connection) == {"cdpg:jobs:number"}


async def test_a_store_without_a_node(connection: Connection) -> None:
    jobs = RedisJobs(connection)
    await jobs.add(job(1), b"asked", None, "f")
    assert await numbers(jobs) == ["job_1"]
    assert await jobs.begin("job_1", 1.0) == b"asked"
    assert [one.id for one, _ in await RedisJobs(connection, THIRD).inherit("")] == ["job_1"]
