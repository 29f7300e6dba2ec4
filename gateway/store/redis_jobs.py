"""Jobs in Redis: each a hash, `cdpg:job:ID`, that knows which node is to do it."""

import json
import secrets
from typing import Any

from gateway.store.connection import PREFIX, Arg, Connection, script
from gateway.store.jobs import Job, JobStatus
from gateway.store.places import part

BATCH = 100  # jobs with what is asked that one round trip brings
EXPIRED = 500  # jobs that one command forgets
TAKEN = 3_600_000  # milliseconds in which an `inherit` that failed halfway can be finished
FIELDS = ("id", "tenant", "kind", "status", "created_at", "started_at", "finished_at")
PACKAGE = "gateway.store"
ADD = script(PACKAGE, "job_add")
BEGIN = script(PACKAGE, "job_begin")
FINISH = script(PACKAGE, "job_finish")
INHERIT = script(PACKAGE, "job_inherit")
EXPIRE = script(PACKAGE, "job_expire")
ENDED = f"{PREFIX}jobs:ended"


class RedisJobs:
    """The JobStore protocol for one node. A job that another has inherited is no more this one's to begin or finish."""

    def __init__(self, connection: Connection, node: str | None = None) -> None:
        self._redis = connection
        self._node = node or ""
        self._taking: dict[str, str] = {}  # by node: what was begun to be taken from it, until all of it was

    async def add(self, job: Job, request: bytes, key: str | None, fingerprint: str) -> tuple[str, str]:
        """See JobStore."""
        keys = (_key(job.id), "" if key is None else _keyed(job.tenant, key), _of(self._node), _size(job.tenant))
        claim = json.dumps([job.id, fingerprint])
        about: list[Arg] = ["id", job.id, "tenant", job.tenant, "kind", job.kind, "status", job.status.value]
        about += ["created_at", repr(job.created_at), "node", self._node]
        number = f"{PREFIX}jobs:number"
        there = await self._redis.run(ADD, (*keys, number), (job.id, claim, request, *about))
        first, its_print = json.loads(there)
        return first, its_print

    async def keyed(self, tenant: str, key: str) -> tuple[str, str] | None:
        """See JobStore."""
        there = await self._redis.call("GET", _keyed(tenant, key))
        if there is None:
            return None
        first, its_print = json.loads(there)
        return first, its_print

    async def get(self, job: str) -> Job | None:
        """See JobStore."""
        return _job(await self._redis.call("HMGET", _key(job), *FIELDS))

    async def begin(self, job: str, now: float) -> bytes | None:
        """See JobStore."""
        request: bytes | None = await self._redis.run(BEGIN, (_key(job),), (self._node, repr(now)))
        return request

    async def finish(self, job: str, status: JobStatus, result: bytes | None, now: float) -> bool:
        """See JobStore."""
        # Whoever cancels it may be any node; what came of it only that one knows which does it.
        node = "*" if status is JobStatus.CANCELLED else self._node
        args: tuple[Arg, ...] = (job, node, status.value, repr(now), *(() if result is None else (result,)))
        return bool(await self._redis.run(FINISH, (_key(job), ENDED), args) == 1)

    async def result(self, job: str) -> bytes | None:
        """See JobStore."""
        found: bytes | None = await self._redis.call("HGET", _key(job), "result")
        return found

    async def size(self, tenant: str) -> int:
        """See JobStore."""
        return int(await self._redis.call("GET", _size(tenant)) or 0)

    async def unfinished(self) -> list[tuple[Job, bytes]]:
        """See JobStore."""
        return await self._asked(await self._redis.call("ZRANGE", _of(self._node), 0, -1))

    async def inherit(self, node: str) -> list[tuple[Job, bytes]]:
        """See JobStore. Where it failed halfway, the next call gives those too that are this one's since."""
        if node == self._node:
            return []
        taken = f"{PREFIX}jobs:taken:{self._taking.setdefault(node, secrets.token_hex(8))}"
        moved = await self._redis.run(INHERIT, (_of(node), _of(self._node), taken), (self._node, TAKEN))
        found = await self._asked(moved)
        del self._taking[node]
        await self._redis.call("DEL", taken)
        return found

    async def expire(self, instant: float) -> int:
        """See JobStore."""
        count = 0
        while done := int(await self._redis.run(EXPIRE, (ENDED,), (f"({float(instant)!r}", EXPIRED))):
            count += done
        return count

    async def _asked(self, numbers: list[bytes]) -> list[tuple[Job, bytes]]:
        found: list[tuple[Job, bytes]] = []
        for first in range(0, len(numbers), BATCH):
            some = [number.decode() for number in numbers[first : first + BATCH]]
            for values in await self._redis.together([("HMGET", _key(number), *FIELDS, "request") for number in some]):
                job = _job(values[:-1])
                if job is not None and not job.status.finished:  # it may have finished since
                    found.append((job, values[-1]))
        return found


def _job(values: list[Any]) -> Job | None:
    if values[0] is None:
        return None
    number, tenant, kind, status, created_at = (value.decode() for value in values[:5])
    started_at, finished_at = (None if value is None else float(value) for value in values[5:])
    return Job(number, tenant, kind, float(created_at), JobStatus(status), started_at, finished_at)


def _key(job: str) -> str:
    return f"{PREFIX}job:{job}"


def _keyed(tenant: str, key: str) -> str:
    return f"{PREFIX}jobs:key:{part(tenant)}:{part(key)}"


def _size(tenant: str) -> str:
    return f"{PREFIX}jobs:size:{part(tenant)}"


def _of(node: str) -> str:
    return f"{PREFIX}jobs:on:{node}"
