"""Requests that are answered later: queue, fairness, keys, cancelling, and what a restart makes of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cluster.fleet import Elsewhere, Lease
from gateway.errors import Code, GatewayError
from gateway.pages import jobs
from gateway.pages.fetch import Answer, Asked
from gateway.pages.interact import Action, Verb
from gateway.pages.jobs import Jobs, open_jobs
from gateway.records import new_session_id
from gateway.snapshot.seal import Sealer
from gateway.store.connection import open_redis
from gateway.store.jobs import Job, JobStatus
from gateway.store.redis import RedisStore
from gateway.store.sqlite import SqliteStore, open_store
from tests.redis_server import redis_server

ASKED = Asked("t", "http://a.example/")
TYPED = replace(ASKED, actions=(Action(Verb.TYPE, selector="#a", value="typed-secret"),))


class Work:
    """What is done for each: `begun` in order; each ends when `go` is set."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = asyncio.Event()
        self.stirred = asyncio.Event()
        self.leaving = False

    async def answer(self, asked: Asked) -> Answer:
        self.begun.append(f"{asked.tenant} {asked.url}")
        self.stirred.set()
        await self.go.wait()
        if asked.url == "bad":
            raise GatewayError(Code.ACTION_FAILED, "no", details={"action": 3})
        if asked.url == "fault":
            raise RuntimeError("a defect")
        return Answer({"html": "made-secret"}, ("s", True), {"final_url": asked.url})

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.begun) < count:
                self.stirred.clear()
                await self.stirred.wait()


@asynccontextmanager
async def opened(store: SqliteStore, work: Work, *keys: bytes) -> AsyncIterator[Jobs]:
    async with open_jobs(store.jobs, Sealer(keys), work.answer, lambda: work.leaving) as found:
        yield found


async def over(found: Jobs, job: Job) -> Job:
    async with asyncio.timeout(60):
        while not (now := await found.find(job.tenant, job.id)).status.finished:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return now


def written(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def refusal(work: Awaitable[object]) -> GatewayError:
    with pytest.raises(GatewayError) as refused:
        await work
    return refused.value


async def test_from_the_request_to_its_result(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store, AsyncExitStack() as stack:
        work = Work()
        found = await stack.enter_async_context(opened(store, work))
        job = await found.submit("fetch", ASKED, "key", "print")
        assert (job.status, job.kind) == (JobStatus.QUEUED, "fetch")
        assert (await found.submit("fetch", ASKED, "key", "print")).id == job.id
        assert (await refusal(found.submit("fetch", ASKED, "key", "other"))).code is Code.IDEMPOTENCY_CONFLICT
        assert (await refusal(found.find("another", job.id))).code is Code.JOB_NOT_FOUND
        assert (await refusal(found.result("t", job.id))).code is Code.JOB_NOT_READY
        bad = await found.submit("fetch", replace(ASKED, url="bad"), None, "")
        fault = await found.submit("fetch", replace(ASKED, url="fault"), None, "")
        work.go.set()
        assert (await over(found, job)).status is JobStatus.COMPLETED
        answer = Answer({"html": "made-secret"}, ("s", True), {"final_url": "http://a.example/"})
        assert (await found.result("t", job.id))[1] == answer
        assert await found.failure(await over(found, job)) is None
        assert (await over(found, bad)).status is JobStatus.FAILED
        refused = await refusal(found.result("t", bad.id))
        assert (refused.code, refused.message, refused.details) == (Code.ACTION_FAILED, "no", {"action": 3})
        assert (await refusal(found.result("t", (await over(found, fault)).id))).code is Code.INTERNAL
        # Too old.
        await store.jobs.finish(job.id, JobStatus.COMPLETED, b"", 0)
        old = await found.submit("fetch", ASKED, None, "")
        await store.jobs.finish(old.id, JobStatus.CANCELLED, None, 1.0)
        assert (await refusal(found.find("t", old.id))).code is Code.JOB_NOT_FOUND


async def test_a_few_at_once_and_each_tenant_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 1)
    monkeypatch.setattr(jobs, "WAITING", 2)
    async with open_store(tmp_path / "db") as store, AsyncExitStack() as stack:
        work = Work()
        found = await stack.enter_async_context(opened(store, work))
        made = [await found.submit("fetch", replace(ASKED, url=str(number)), None, "") for number in range(3)]
        assert (await refusal(found.submit("fetch", ASKED, None, ""))).code is Code.TOO_MANY_JOBS
        other = await found.submit("fetch", replace(ASKED, tenant="u"), None, "")
        monkeypatch.setattr(found, "_room", 10)
        refused = await refusal(found.submit("fetch", replace(ASKED, tenant="u"), None, ""))
        assert "take more than 10 bytes" in refused.message
        await work.until_begun(1)
        assert work.begun == ["t 0"]
        work.go.set()
        for job in (*made, other):
            await over(found, job)
        assert work.begun[:2] == ["t 0", "t 1"]
        assert work.begun.index("u http://a.example/") < work.begun.index("t 2")


async def test_cancelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 1)
    async with open_store(tmp_path / "db") as store, AsyncExitStack() as stack:
        work = Work()
        found = await stack.enter_async_context(opened(store, work))
        first, second, third = [await found.submit("fetch", ASKED, None, "") for _ in range(3)]
        await work.until_begun(1)
        assert (await found.cancel("t", second.id)).status is JobStatus.CANCELLED
        assert (await refusal(found.cancel("u", first.id))).code is Code.JOB_NOT_FOUND
        assert (await found.cancel("t", first.id)).status is JobStatus.CANCELLED
        assert (await found.cancel("t", first.id)).status is JobStatus.CANCELLED
        assert (await refusal(found.result("t", first.id))).code is Code.JOB_CANCELLED
        work.go.set()
        assert (await over(found, third)).status is JobStatus.COMPLETED
        assert len(work.begun) == 2


async def test_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    key = b"k" * 32
    async with open_store(tmp_path / "db") as store:
        work = Work()
        async with opened(store, work, key) as found:
            fetched = await found.submit("fetch", ASKED, None, "")
            typed = await found.submit("interact", TYPED, None, "")
            queued = await found.submit("interact", TYPED, None, "")
            await work.until_begun(2)
            work.leaving = True
        assert [job.status for job, _ in await store.jobs.unfinished()] == ["running", "running", "queued"]

        again = Work()
        again.go.set()
        async with opened(store, again, key) as found:
            assert (await over(found, fetched)).status is JobStatus.COMPLETED
            assert (await over(found, queued)).status is JobStatus.COMPLETED
            assert (await refusal(found.result("t", typed.id))).code is Code.INTERRUPTED
            assert len(again.begun) == 2
        # With a key nothing of it can be read on the disk.
        assert b"typed-secret" not in written(tmp_path)
        assert b"made-secret" not in written(tmp_path)
        # Without it, neither here.
        async with opened(store, again) as found:
            assert (await refusal(found.result("t", fetched.id))).code is Code.SNAPSHOT_UNREADABLE


async def test_what_cannot_be_read_any_more_has_failed(tmp_path: Path) -> None:
    async with open_store(tmp_path / "db") as store:
        work = Work()
        async with opened(store, work, b"k" * 32) as found:
            job = await found.submit("fetch", ASKED, None, "")
            await work.until_begun(1)
            work.leaving = True
        async with opened(store, Work(), b"l" * 32) as found:
            assert (await found.find("t", job.id)).status is JobStatus.FAILED
            failure = await found.failure(await found.find("t", job.id))
            assert failure is not None
            assert failure.code is Code.INTERRUPTED


async def test_what_another_node_must_do_is_done_there(tmp_path: Path) -> None:
    asked_of: list[tuple[str, str, Lease | None]] = []
    grant = Lease(new_session_id(), "http://b", "token")

    async def elsewhere(asked: Asked) -> Answer:
        raise Elsewhere("http://b", grant)

    async def forward(node: str, asked: Asked, place: Lease | None) -> Answer:
        asked_of.append((node, asked.url, place))
        if asked.url == "bad":
            raise GatewayError(Code.NODE_UNREACHABLE, "it does not answer")
        return Answer({"html": "from b"}, None, {})

    async with (
        open_store(tmp_path / "db") as store,
        open_jobs(store.jobs, Sealer(()), elsewhere, lambda: False, forward) as found,
    ):
        job = await found.submit("fetch", ASKED, None, "")
        assert (await over(found, job)).status is JobStatus.COMPLETED
        assert (await found.result("t", job.id))[1].outputs == {"html": "from b"}
        bad = await found.submit("fetch", replace(ASKED, url="bad"), None, "")
        assert (await over(found, bad)).status is JobStatus.FAILED
        assert (await refusal(found.result("t", bad.id))).code is Code.NODE_UNREACHABLE
        assert asked_of == [("http://b", ASKED.url, grant), ("http://b", "bad", grant)]


async def test_jobs_of_a_node_that_is_gone_are_done_by_another_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path / "redis"))
        connection = await stack.enter_async_context(open_redis(redis.url))
        works, nodes = [Work() for _ in range(3)], []
        for name, work in zip("abc", works, strict=True):
            store = RedisStore(connection, f"http://{name}").jobs
            nodes.append(await stack.enter_async_context(open_jobs(store, Sealer(()), work.answer, lambda: False)))
        works[0].go.clear()
        job = await nodes[0].submit("fetch", ASKED, None, "")
        await works[0].until_begun(1)
        await asyncio.gather(nodes[1].inherit("http://a"), nodes[2].inherit("http://a"))
        works[1].go.set()
        works[2].go.set()
        done = await over(nodes[1], job)
        assert done.status is JobStatus.COMPLETED
        assert len(works[1].begun) + len(works[2].begun) == 1
        works[0].go.set()  # it was not gone, after all: its answer comes too late, and changes nothing
        assert (await nodes[2].result("t", job.id))[1].outputs == {"html": "made-secret"}
