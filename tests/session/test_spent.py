"""What is used of the network as a session that has no browser."""

from pathlib import Path

from browser_pool.spec import LaunchSpec
from gateway.egress.usage import DomainUsage, Usage
from gateway.records import Kind, SessionSpec, Status, new_session_id
from gateway.session.asleep import made_asleep
from gateway.session.spent import spent
from tests.inside import ADMIN, inside

SPEC = SessionSpec("default", Kind.API, LaunchSpec(), ttl=60, keep=10, persist=True, name="shop")
USED = Usage(10, 2, 1, (DomainUsage("a.example", 1, 10, 2),))


async def test_it_is_counted_as_the_sessions(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry = gateway.registry
        record = await made_asleep(registry, SPEC)
        await spent(registry, record.id, Usage())
        assert await registry.find(ADMIN, record.id) == record
        for _ in range(2):
            await spent(registry, record.id, USED)
        found = await registry.find(ADMIN, record.id)
        assert (found.status, found.used) == (Status.SUSPENDED, USED.plus(USED))

        session = await registry.session(ADMIN, record.id)  # somebody wakes it meanwhile
        await spent(registry, record.id, USED)
        assert session.record.used.requests == 3
        await session.stop(force=False)
        assert (await registry.find(ADMIN, record.id)).used.requests == 3

        await spent(registry, new_session_id(), USED)  # erased meanwhile
