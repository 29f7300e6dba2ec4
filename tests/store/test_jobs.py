"""Jobs, in every store there is."""

import asyncio

from gateway.store.base import Store
from gateway.store.jobs import Job, JobStatus
from tests.store.stores import OTHER, Place

JOB = Job("job_1", "t", "fetch", 1.0)


async def test_a_life(place: Place) -> None:
    async with place.open() as store:
        jobs = store.jobs
        assert await jobs.add(JOB, b"asked", None, "f") == ("job_1", "f")
        assert await jobs.get("job_1") == JOB
        assert await jobs.unfinished() == [(JOB, b"asked")]
        assert await jobs.begin("job_1", 2.0) == b"asked"
        running = Job("job_1", "t", "fetch", 1.0, JobStatus.RUNNING, 2.0)
        assert await jobs.get("job_1") == running
    async with place.open() as store:
        jobs = store.jobs
        assert await jobs.unfinished() == [(running, b"asked")]
        assert await jobs.finish("job_1", JobStatus.COMPLETED, b"made", 3.0)
        assert not await jobs.finish("job_1", JobStatus.CANCELLED, None, 4.0)
        assert await jobs.get("job_1") == Job("job_1", "t", "fetch", 1.0, JobStatus.COMPLETED, 2.0, 3.0)
        assert await jobs.result("job_1") == b"made"
        assert (await jobs.size("t"), await jobs.size("u")) == (4, 0)
        assert await jobs.begin("job_1", 5.0) is None
        assert await jobs.unfinished() == []
        assert await jobs.expire(3.0) == 0
        assert await jobs.expire(3.1) == 1
        assert await jobs.get("job_1") is None
        assert await jobs.result("job_1") is None


async def test_a_key_is_one_jobs(store: Store) -> None:
    jobs = store.jobs
    assert await jobs.keyed("t", "k") is None
    assert await jobs.add(JOB, b"", "k", "f") == ("job_1", "f")
    assert await jobs.add(Job("job_2", "t", "fetch", 1.0), b"", "k", "g") == ("job_1", "f")
    assert await jobs.get("job_2") is None
    assert await jobs.add(Job("job_3", "u", "fetch", 1.0), b"", "k", "g") == ("job_3", "g")
    assert await jobs.keyed("u", "k") == ("job_3", "g")


async def test_of_many_with_one_key_one_is_made(store: Store) -> None:
    many = (Job(f"job_{number}", "t", "fetch", 1.0) for number in range(20))
    there = await asyncio.gather(*(store.jobs.add(job, b"asked", "k", job.id) for job in many))
    assert len(set(there)) == 1
    assert [job.id for job, _ in await store.jobs.unfinished()] == [there[0][0]]
    assert await store.jobs.size("t") == 5


async def test_a_key_is_free_when_its_job_is_forgotten(store: Store) -> None:
    await store.jobs.add(JOB, b"asked", "k", "f")
    assert await store.jobs.finish("job_1", JobStatus.FAILED, b"why", 2.0)
    assert await store.jobs.keyed("t", "k") == ("job_1", "f")
    assert await store.jobs.expire(9.0) == 1
    assert await store.jobs.keyed("t", "k") is None
    assert await store.jobs.add(Job("job_2", "t", "fetch", 9.0), b"", "k", "g") == ("job_2", "g")


async def test_an_id_that_there_is(store: Store) -> None:
    await store.jobs.add(JOB, b"asked", None, "f")
    assert await store.jobs.add(JOB, b"another thing", None, "g") == ("job_1", "g")
    assert await store.jobs.unfinished() == [(JOB, b"asked")]
    assert await store.jobs.size("t") == 5


async def test_what_is_asked_and_made_is_any_bytes(store: Store) -> None:
    data = bytes(range(256)) * 40
    await store.jobs.add(JOB, data, None, "f")
    assert await store.jobs.size("t") == len(data)
    assert await store.jobs.begin("job_1", 2.0) == data
    assert await store.jobs.finish("job_1", JobStatus.COMPLETED, data + b"\n", 3.0)
    assert await store.jobs.result("job_1") == data + b"\n"
    assert await store.jobs.size("t") == len(data) + 1


async def test_one_that_is_cancelled_before_it_begins(store: Store) -> None:
    await store.jobs.add(JOB, b"asked", None, "f")
    assert await store.jobs.result("job_1") is None
    assert await store.jobs.finish("job_1", JobStatus.CANCELLED, None, 2.0)
    assert await store.jobs.get("job_1") == Job("job_1", "t", "fetch", 1.0, JobStatus.CANCELLED, None, 2.0)
    assert await store.jobs.begin("job_1", 3.0) is None
    assert await store.jobs.result("job_1") is None
    assert await store.jobs.size("t") == 0


async def test_there_is_no_such_job(store: Store) -> None:
    jobs = store.jobs
    assert await jobs.get("none") is None
    assert await jobs.begin("none", 1.0) is None
    assert not await jobs.finish("none", JobStatus.FAILED, b"why", 1.0)
    assert not await jobs.finish("none", JobStatus.CANCELLED, None, 1.0)
    assert await jobs.result("none") is None
    assert await jobs.unfinished() == []
    assert await jobs.inherit(OTHER) == []
    assert await jobs.expire(1.0) == 0


async def test_the_oldest_come_first(store: Store) -> None:
    ids = [f"job_{number * 7 % 11}" for number in range(11)]
    for number in ids:
        await store.jobs.add(Job(number, "t", "fetch", 1.0), number.encode(), None, "f")
    await store.jobs.begin(ids[3], 2.0)
    assert [(job.id, request) for job, request in await store.jobs.unfinished()] == [(n, n.encode()) for n in ids]
