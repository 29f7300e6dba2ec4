"""Redis is away for a while: who is connected notices nothing, new work is told to wait, and nothing is lost."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.fleet.nodes import TIMEOUT, Fleet, fleet
from tests.fleet.test_routing import at, told
from tests.journeys.driving import Wire, wire
from tests.journeys.running import eventually_asked
from tests.redis_server import RedisServer

AWAY = 2.5 * TIMEOUT  # seconds: longer than any lease lasts
SLACK = 5.0  # seconds in which the machine may do something else


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "forgotten"])
async def test_redis_is_gone_for_longer_than_any_lease_lasts(tmp_path: Path, keeps: bool) -> None:
    async with fleet(tmp_path, keeps=keeps, node_timeout=f"{TIMEOUT}s") as three:
        first, other, third = three.nodes
        made = [await first.runs.create(processKeepAlive=120_000) for _ in range(3)]
        named = await other.runs.create(name="shop", processKeepAlive=120_000)
        owners = [await three.owner(session["id"]) for session in (*made, named)]
        running = sorted(pid for node in three.nodes for pid in pids(node.runs))
        near, far = at(owners[0], made[0]["connect"]), at(three.others(owners[1])[0], made[1]["connect"])
        async with wire(near) as local, wire(far) as forwarded:
            pages = [await client.page() for client in (local, forwarded)]
            await three.redis.end(signal.SIGKILL)
            await working((local, forwarded), pages, three)
            # By its URL a session that runs is found without Redis.
            async with wire(at(three.others(owners[2])[0], made[2]["connect"])) as late:
                assert await late.evaluate("1 + 1", await late.page()) == 2
            await three.redis.start()
            await made_again(three)
            await working((local, forwarded), pages, three, seconds=TIMEOUT)
        assert sorted(pid for node in three.nodes for pid in pids(node.runs)) == running, "somebody was declared dead"
        for session, owner in zip((*made, named), owners, strict=True):
            for node in three.nodes:
                assert (await node.runs.record(session["id"]))["status"] == "detached"
            assert await three.owner(session["id"]) is owner
        (await third.runs.request("POST", "/session", json={"name": "shop"})).refused(409)
        assert (await told(third.runs, "GET", "/pressure"))["pressure"]["running"] == 4
        # As tomorrow: stopped, and restored.
        assert (await told(other.runs, "DELETE", f"/session/{named['id']}"))["status"] == "stopped"
        restored = await told(first.runs, "POST", f"/session/{named['id']}/restore", 201)
        assert restored["status"] == "detached"


async def working(clients: tuple[Wire, ...], pages: list[str], three: Fleet, seconds: float = AWAY) -> None:
    """Clients drive their pages all the time; whoever wants a new session meanwhile is told to come again."""
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        if seconds == AWAY:
            group.create_task(refused(three))
        for client, page in zip(clients, pages, strict=True):
            group.create_task(driven(client, page, until))


async def driven(client: Wire, page: str, until: float) -> None:
    count = 0
    while time.monotonic() < until:
        count += 1
        assert await client.evaluate(f"{count} + 1", page) == count + 1


async def refused(three: Fleet) -> None:
    for node in three.nodes:
        began = time.monotonic()
        reply = await node.runs.request("POST", "/session", json={})
        assert (reply.status, reply.body["error"]["code"]) == (503, "store_unavailable"), reply.body
        assert int(reply.headers["Retry-After"]) >= 1
        assert time.monotonic() - began < 5 + SLACK


async def made_again(three: Fleet) -> None:
    """New sessions can be had, within the seconds that the refusals say."""

    async def made() -> bool:
        reply = await three.nodes[0].runs.request("POST", "/session", json={})
        if reply.status == 201:
            await told(three.nodes[1].runs, "DELETE", f"/session/{reply.body['id']}?purge=true")
        return reply.status == 201

    await eventually_asked("a session can be had again", made, 30)


def pids(gateway: object) -> list[int]:
    return [process.pid for process in gateway.browsers()]  # type: ignore[attr-defined]


async def test_redis_fails_over(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as two:
        one, other = two.nodes
        replica = RedisServer(
            two.redis.directory / "replica", options=("--replicaof", "127.0.0.1", str(two.redis.port))
        )
        await replica.start()
        try:
            made = [await one.runs.create(processKeepAlive=120_000, name=f"n{number}") for number in range(3)]
            async with wire(at(other, made[0]["connect"])) as client:
                page = await client.page()
                await eventually_asked("the replica has it all", lambda: synced(replica), 40)
                await two.redis.end(signal.SIGKILL)
                await replica.ask("REPLICAOF", "NO", "ONE")
                for node in two.nodes:
                    node.to_redis.lead(replica.port)
                assert await client.evaluate("1 + 1", page) == 2
                await made_again(two)
                assert await client.evaluate("1 + 1", page) == 2
            for session in made:
                for node in two.nodes:
                    assert (await node.runs.record(session["id"]))["status"] == "detached"
            (await other.runs.request("POST", "/session", json={"name": "n1"})).refused(409)
            assert two.browsers() == 3
            await told(one.runs, "DELETE", f"/session/{made[0]['id']}")
            assert (await other.runs.record(made[0]["id"]))["status"] == "stopped"
        finally:
            for node in two.nodes:  # they are to find one when they stop
                await asyncio.to_thread(node.runs.stop)
            await replica.end()


async def synced(replica: RedisServer) -> bool:
    facts = await replica.ask("INFO", "replication")
    return "master_link_status:up" in facts and "master_sync_in_progress:0" in facts
