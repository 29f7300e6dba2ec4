"""Jobs in the store."""

from pathlib import Path

from gateway.store.jobs import Job, JobStatus
from gateway.store.sqlite import open_store

JOB = Job("job_1", "t", "fetch", 1.0)


async def test_a_life(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store:
        jobs = store.jobs
        assert await jobs.add(JOB, b"asked", None, "f") == ("job_1", "f")
        assert await jobs.get("job_1") == JOB
        assert await jobs.unfinished() == [(JOB, b"asked")]
        assert await jobs.begin("job_1", 2.0) == b"asked"
        running = Job("job_1", "t", "fetch", 1.0, JobStatus.RUNNING, 2.0)
        assert await jobs.get("job_1") == running
    async with open_store(tmp_path / "db") as store:
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


async def test_a_key_is_one_jobs(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store:
        jobs = store.jobs
        assert await jobs.keyed("t", "k") is None
        assert await jobs.add(JOB, b"", "k", "f") == ("job_1", "f")
        assert await jobs.add(Job("job_2", "t", "fetch", 1.0), b"", "k", "g") == ("job_1", "f")
        assert await jobs.get("job_2") is None
        assert await jobs.add(Job("job_3", "u", "fetch", 1.0), b"", "k", "g") == ("job_3", "g")
        assert await jobs.keyed("u", "k") == ("job_3", "g")
