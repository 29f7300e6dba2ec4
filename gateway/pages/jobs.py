"""Requests for pages that are answered later: a queue of each tenant's, a few at once, that survives the gateway.

What is asked, which may have passwords to type, and what came of it are sealed with the key of the snapshots, if there
is one; what was asked is forgotten when it is done, what came of it a day later.
"""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from pydantic import TypeAdapter

from browser_pool.tasks import Start, crew
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.errors import Code, GatewayError
from gateway.pages.fetch import Answer, Asked
from gateway.snapshot.seal import Sealer
from gateway.store.jobs import Job, JobStatus, JobStore

KEPT = 86400.0  # seconds that a result can be had
AT_ONCE = 4  # jobs that run
WAITING = 100  # jobs of one tenant that wait
ROOM = 1 << 30  # bytes that the results of one tenant may take before no more jobs are taken
SHARED_ROOM = 64 << 20  # the same where they are kept in Redis, in memory
Forward = Callable[[str, Asked, Lease | None], Awaitable[Answer]]  # to a node, with the place granted there
_asked = TypeAdapter(Asked)
_answer = TypeAdapter(Answer)
log = structlog.get_logger()


class Jobs:
    """All jobs of this gateway. Made by `open_jobs`. `leaving` says whether the gateway stops: then none is over.

    `forward` has what another node of the fleet must do done there.
    """

    def __init__(
        self,
        store: JobStore,
        sealer: Sealer,
        answer: Callable[[Asked], Awaitable[Answer]],
        start: Start,
        leaving: Callable[[], bool],
        forward: Forward | None = None,
        room: int = ROOM,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._answered = answer
        self._begin = start
        self._leaving = leaving
        self._forward = forward
        self._room = room
        self._queues: dict[str, deque[str]] = {}  # by tenant; whose turn is next comes first
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._running = 0
        self._cancelled: set[str] = set()

    async def submit(self, kind: str, asked: Asked, key: str | None, fingerprint: str) -> Job:
        """A job that waits for its turn; with a `key` that was used before that one, if it asks for the same.

        Raises GatewayError: TOO_MANY_JOBS (429), IDEMPOTENCY_CONFLICT (409).
        """
        tenant = asked.tenant
        if key is not None and (there := await self._store.keyed(tenant, key)) is not None:
            return await self._same(tenant, there, fingerprint)
        if len(self._queues.get(tenant, ())) >= WAITING:
            raise GatewayError(Code.TOO_MANY_JOBS, f"{WAITING} jobs wait already, which is the most", retry_after=10)
        if await self._store.size(tenant) > self._room:
            words = f"the results of earlier jobs take more than {self._room} bytes: they are kept for a day"
            raise GatewayError(Code.TOO_MANY_JOBS, words, retry_after=600)
        job = Job(f"job_{secrets.token_hex(16)}", tenant, kind, time.time())
        request = self._sealed(job.id, "request", _asked.dump_json(asked))
        there = await self._store.add(job, request, key, fingerprint)
        if there[0] != job.id:  # another request was faster by a moment
            return await self._same(tenant, there, fingerprint)
        self._enqueue(job)
        return job

    async def find(self, tenant: str, number: str) -> Job:
        """A tenant's own job; raises JOB_NOT_FOUND (404), also for one whose result is too old."""
        job = await self._store.get(number)
        old = job is not None and job.finished_at is not None and job.finished_at < time.time() - KEPT
        if job is None or job.tenant != tenant or old:
            raise GatewayError(Code.JOB_NOT_FOUND, f"there is no job {number[:80]!r}, or its result has expired")
        return job

    async def result(self, tenant: str, number: str) -> tuple[Job, Answer]:
        """What came of it.

        Raises GatewayError: JOB_NOT_FOUND (404), JOB_NOT_READY, JOB_CANCELLED (409), and of one that failed what the
        request itself would have raised.
        """
        job = await self.find(tenant, number)
        if not job.status.finished:
            raise GatewayError(
                Code.JOB_NOT_READY, f"job {job.id} is {job.status}: ask again when it is done", retry_after=1
            )
        if job.status is JobStatus.CANCELLED:
            raise GatewayError(Code.JOB_CANCELLED, f"job {job.id} was cancelled")
        result = self._opened(job.id, "result", await self._store.result(job.id) or b"")
        if job.status is JobStatus.FAILED:
            raise _refusal(result)
        return job, _answer.validate_json(result)

    async def failure(self, job: Job) -> GatewayError | None:
        """Why a job of ours failed, if it did."""
        if job.status is not JobStatus.FAILED:
            return None
        try:
            return _refusal(self._opened(job.id, "result", await self._store.result(job.id) or b""))
        except GatewayError as error:
            return error

    async def cancel(self, tenant: str, number: str) -> Job:
        """End it, if it is not over; one that runs has been stopped when this returns."""
        job = await self.find(tenant, number)
        if job.status.finished:
            return job
        queue = self._queues.get(tenant)
        if queue is not None and number in queue:
            queue.remove(number)
        if (task := self._tasks.get(number)) is not None:
            self._cancelled.add(number)
            task.cancel()
            await asyncio.wait([task])
        await self._store.finish(number, JobStatus.CANCELLED, None, time.time())
        return await self.find(tenant, number)

    async def resume(self) -> None:
        """Go on with what an earlier process of ours left: what ran is run again only if that does no harm."""
        await self._go_on(await self._store.unfinished())

    async def inherit(self, node: str) -> None:
        """The same with what another node of the fleet left, which is gone. Raises GatewayError."""
        await self._go_on(await self._store.inherit(node))

    async def _go_on(self, left: list[tuple[Job, bytes]]) -> None:
        for job, request in left:
            try:
                asked = _asked.validate_json(self._opened(job.id, "request", request))
            except (GatewayError, ValueError) as error:
                log.warning("job_not_resumed", job=job.id, error=type(error).__name__)
                words = "what was asked cannot be read any more: it was sealed with another key"
                await self._fail(job.id, GatewayError(Code.INTERRUPTED, words))
                continue
            if job.status is JobStatus.RUNNING and asked.actions:
                words = "the gateway was stopped in the middle of its actions, and repeating them might do harm"
                await self._fail(job.id, GatewayError(Code.INTERRUPTED, words))
            else:
                self._enqueue(job)

    # --- within ---

    async def _same(self, tenant: str, there: tuple[str, str], fingerprint: str) -> Job:
        if there[1] != fingerprint:
            raise GatewayError(Code.IDEMPOTENCY_CONFLICT, "this Idempotency-Key was used for another request")
        return await self.find(tenant, there[0])

    def _enqueue(self, job: Job) -> None:
        self._queues.setdefault(job.tenant, deque()).append(job.id)
        self._pump()

    def _pump(self) -> None:
        """Start what may run: of each tenant one, in turn."""
        while self._running < AT_ONCE and not self._leaving():
            tenant = next((name for name, queue in self._queues.items() if queue), None)
            if tenant is None:
                self._queues.clear()
                return
            queue = self._queues.pop(tenant)
            number = queue.popleft()
            self._queues[tenant] = queue  # behind the others
            self._start(number)

    def _start(self, number: str) -> None:
        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks[number] = task
            try:
                await self._run(number)
            except asyncio.CancelledError:
                if number not in self._cancelled:
                    raise
                task.uncancel()  # its owner wanted that, and is told
            except Exception:  # the outer edge of a job's task: a defect in one must not end the others
                log.exception("job_fault", job=number)
                with suppress(GatewayError):  # the store is away: the next start tries again
                    await self._fail(number, GatewayError(Code.INTERNAL, "a fault in the gateway; its log has more"))
            finally:
                self._cancelled.discard(number)
                self._tasks.pop(number, None)
                self._running -= 1
                self._pump()

        self._running += 1
        self._begin(work(), "job")

    async def _run(self, number: str) -> None:
        structlog.contextvars.clear_contextvars()  # the request that asked for it has ended
        request = await self._store.begin(number, time.time())
        if request is None:
            return  # it was cancelled meanwhile
        try:
            asked = _asked.validate_json(self._opened(number, "request", request))
            answer = await self._somewhere(asked)
        except GatewayError as error:
            if not self._leaving():  # else the next process of ours goes on with it
                await self._fail(number, error)
            return
        result = self._sealed(number, "result", _answer.dump_json(answer))
        await self._store.finish(number, JobStatus.COMPLETED, result, time.time())

    async def _somewhere(self, asked: Asked) -> Answer:
        try:
            return await self._answered(asked)
        except Elsewhere as other:
            if self._forward is None:
                raise
            return await self._forward(other.node, asked, other.grant)

    async def _fail(self, number: str, error: GatewayError) -> None:
        told = {"code": error.code.name, "message": error.message, "details": dict(error.details)}
        result = self._sealed(number, "result", json.dumps(told).encode())
        await self._store.finish(number, JobStatus.FAILED, result, time.time())

    def _sealed(self, number: str, what: str, data: bytes) -> bytes:
        return self._sealer.enclosed(data, f"{number}/{what}")

    def _opened(self, number: str, what: str, data: bytes) -> bytes:
        try:
            return self._sealer.disclosed(data, f"{number}/{what}")
        except ValueError:
            words = f"job {number}: it was sealed with a key that the gateway does not have, or is damaged"
            raise GatewayError(Code.SNAPSHOT_UNREADABLE, words) from None


def _refusal(result: bytes) -> GatewayError:
    told = json.loads(result)
    return GatewayError(Code[told["code"]], told["message"], details=told["details"])


@asynccontextmanager
async def open_jobs(
    store: JobStore,
    sealer: Sealer,
    answer: Callable[[Asked], Awaitable[Answer]],
    leaving: Callable[[], bool],
    forward: Forward | None = None,
    room: int = ROOM,
) -> AsyncIterator[Jobs]:
    """The jobs, with those that an earlier process left; at the end those that run are given up, for the next one."""
    async with crew(patience=0) as start:
        jobs = Jobs(store, sealer, answer, start, leaving, forward, room)
        await jobs.resume()
        yield jobs
