"""The queue in Lua against the one in Python, and what the other scripts say to what nobody asks in a hurry."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import pytest

from gateway.cluster.fleet import Lease
from gateway.cluster.placement import AGAIN, Answer, Outcome, Pressure
from gateway.cluster.scripts import SCRIPTS, Scripts
from gateway.records import SessionId, Tenant
from gateway.store.connection import Connection
from gateway.tenancy.turns import Turns, Verdict

LIFE = 600_000
TENANTS = ("a", "b", "c")
NODE = "http://10.0.0.1:3000"
LENGTH = 6
LIMIT = 3


def session(number: int) -> SessionId:
    return SessionId(str(UUID(int=number)))


@dataclass
class Both:
    """One queue twice: `turns` says what is right. Sessions are numbers, as tickets are."""

    scripts: Scripts
    epoch: int
    limits: dict[str, Tenant]
    turns: Turns
    asked: dict[int, dict[str, Any]] = field(default_factory=dict)
    running: dict[int, tuple[str, str]] = field(default_factory=dict)  # tenant and lease
    waiting: dict[int, tuple[str, bool]] = field(default_factory=dict)

    async def come(self, number: int, tenant: str, again: bool) -> None:
        limit = self.limits[tenant]
        own = limit.queue_length
        self.asked[number] = {
            "session": session(number),
            "tenant": tenant,
            "nonce": f"n{number}",
            "name": "",
            "again": again,
            "here": False,
            "me": NODE,
            "epoch": self.epoch,
            "most": -1 if limit.max_sessions is None else limit.max_sessions,
            "length": LENGTH,
            "own_length": LENGTH if own is None else min(own, LENGTH),
            "turn": None,
        }
        # Whose limit was raised since is found out by those who ask again.
        await self.settle()
        lengths = sorted(self.turns.waiting(one) for one in TENANTS)
        if sum(lengths) == LENGTH and lengths[-1] == lengths[-2]:
            return  # which of two equally long queues makes room is nobody's business
        verdict, displaced = self.turns.ask(tenant, number, again=again)
        answer = await self.ask(number)
        match verdict:
            case Verdict.GRANTED:
                assert answer.outcome is Outcome.GRANTED
                self.running[number] = (tenant, answer.lease)
            case Verdict.QUEUED:
                assert answer.outcome is Outcome.QUEUED
                self.waiting[number] = (tenant, again)
                self.asked[number]["turn"] = answer.turn
                assert (answer.turn < 0) == again
            case Verdict.TENANT_FULL | Verdict.NODE_FULL:
                assert answer.outcome is Outcome.FULL
        if displaced is not None:
            del self.waiting[displaced]
            assert (await self.ask(displaced)).outcome is Outcome.FULL

    async def settle(self) -> None:
        """Whoever waits asks again; those get a place who are to have one."""
        for number, (tenant, _) in self.waiting.items():
            most = self.limits[tenant].max_sessions
            self.asked[number]["most"] = -1 if most is None else most
        given = []
        while (ticket := self.turns.next()) is not None:
            given.append(ticket)
        for number in sorted(self.waiting, key=lambda one: one not in given):
            answer = await self.ask(number)
            assert (answer.outcome is Outcome.GRANTED) == (number in given), (number, given)
            if answer.outcome is Outcome.GRANTED:
                self.running[number] = (self.waiting.pop(number)[0], answer.lease)

    async def ask(self, number: int) -> Answer:
        return Answer.read(await self.scripts.read("place", **self.asked[number]))

    async def give(self, number: int) -> None:
        tenant, lease = self.running.pop(number)
        self.turns.give(tenant)
        await self.scripts.release([Lease(session(number), NODE, lease)])
        await self.settle()

    async def leave(self, number: int) -> None:
        tenant, _ = self.waiting.pop(number)
        self.turns.leave(tenant, number)
        await self.scripts.run("withdraw", session=session(number), tenant=tenant, nonce=f"n{number}")
        await self.settle()

    async def compare(self) -> None:
        pressure = Pressure.read(await self.scripts.read("pressure"))
        for tenant in TENANTS:
            own = pressure.of(tenant)
            assert own.running == self.turns.running[tenant]
            assert own.waiting == self.turns.waiting(tenant)
            assert own.positions == self.turns.positions(tenant)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_queue_is_that_of_one_machine(connection: Connection, seed: int) -> None:
    random = Random(seed)
    limits = {name: Tenant(name) for name in TENANTS}
    scripts = Scripts(connection, LIFE)
    epoch = await joined(scripts, NODE, LIMIT)
    both = Both(scripts, epoch, limits, Turns(LIMIT, LENGTH, limits.__getitem__))
    for number in range(1, 121):
        match random.randrange(8):
            case 0 | 1 | 2 | 3:
                await both.come(number, random.choice(TENANTS), random.random() < 0.3)
            case 4 | 5 if both.running:
                await both.give(random.choice(sorted(both.running)))
            case 6 if both.waiting:
                await both.leave(random.choice(sorted(both.waiting)))
            case 7:
                tenant = random.choice(TENANTS)
                # As the queue's length is only asked for by who comes, it stays; see `Turns.most_waiting`.
                limits[tenant] = Tenant(tenant, max_sessions=random.choice([None, None, 1, 2]))
                await both.settle()
        await both.compare()
    for number in sorted(both.waiting):
        await both.leave(number)
    for number in sorted(both.running):
        await both.give(number)
    assert await connection.call("ZCARD", f"cdpg:leases:{NODE}") == 0
    for left in ("tickets", "queues", "queue:a", "ticket:", "lease:"):
        assert await connection.call("EXISTS", f"cdpg:{left}") == 0


async def joined(scripts: Scripts, node: str, limit: int, warm: int = 0) -> int:
    epoch = int(await scripts.run("join", me=node))
    await beat(scripts, node, epoch, limit, warm)
    return epoch


async def beat(scripts: Scripts, node: str, epoch: int, limit: int, warm: int = 0, accepting: int = 1) -> Any:
    return await scripts.read(
        "beat", me=node, epoch=epoch, limit=limit, warm=warm, accepting=accepting, first=True, sessions=[]
    )


Ask = Callable[[str], Any]


def asking(scripts: Scripts) -> Ask:
    numbers = iter(range(1, 1000))

    async def ask(node: str, here: bool = False) -> str:
        number = next(numbers)
        answer = Answer.read(
            await scripts.read(
                "place",
                session=session(number),
                tenant="t",
                nonce=f"n{number}",
                name="",
                again=False,
                here=here,
                me=node,
                epoch=1,
                most=-1,
                length=9,
                own_length=9,
                turn=None,
            )
        )
        return answer.node

    return ask


async def test_where_a_session_is_placed(connection: Connection) -> None:
    scripts = Scripts(connection, LIFE)
    ask = asking(scripts)
    for node, limit, warm in (("a", 3, 1), ("b", 4, 1), ("c", 9, 0)):
        await joined(scripts, node, limit, warm)
    assert await ask("a") == "a", "it has a warm browser"
    assert await ask("a") == "b", "the one that has one"
    assert await ask("a") == "a", "nobody has a warm one, and it has a place"
    assert await ask("a") == "a"
    assert await ask("a") == "c", "the most free places"
    assert await ask("b") == "b"
    assert [await ask("a") for _ in range(6)] == ["c"] * 6, "until others have as many"


async def test_who_is_silent_or_drains_gets_nothing(connection: Connection) -> None:
    scripts = Scripts(connection, LIFE)
    ask = asking(scripts)
    epochs = {node: await joined(scripts, node, limit, 2) for node, limit in (("a", 1), ("b", 9), ("c", 5))}
    await beat(scripts, "b", epochs["b"], 9, 2, accepting=0)
    assert await ask("b") == "c"
    await connection.call("ZADD", "cdpg:nodes", 1, "c")  # long ago
    assert [await ask("b"), await ask("b")] == ["a", ""]
    await beat(scripts, "b", epochs["b"], 2)
    await beat(scripts, "c", epochs["c"], 5, 2)
    assert await connection.call("ZSCORE", "cdpg:nodes:free", "b") == b"1", "who waited has got the other"
    assert [await ask("b"), await ask("b")] == ["c", "c"]


async def test_epochs_grow_whatever_redis_forgets(connection: Connection) -> None:
    scripts = Scripts(connection, LIFE)
    epochs = [int(await scripts.run("join", me="a")) for _ in range(5)]
    await connection.call("FLUSHALL")
    await asyncio.sleep(0.01)  # its clock is the only thing that it still has
    epochs.append(int(await scripts.run("join", me="a")))
    assert sorted(set(epochs)) == epochs


async def test_a_ticket_that_redis_has_forgotten_keeps_its_number(connection: Connection) -> None:
    scripts = Scripts(connection, LIFE)
    await joined(scripts, NODE, 1)
    both = Both(scripts, 1, {"a": Tenant("a")}, Turns(1, LENGTH))
    for number in (9, 1, 2):
        await both.come(number, "a", again=False)
    await connection.call("FLUSHALL")
    await joined(scripts, NODE, 0)
    assert [(await both.ask(number)).turn for number in (2, 1)] == [2, 1]
    await both.come(3, "a", again=False)
    assert both.asked[3]["turn"] == 3
    await both.come(4, "a", again=True)
    assert both.asked[4]["turn"] == 4 - AGAIN
    queue = await connection.call("ZRANGE", "cdpg:queue:a", 0, -1)
    assert [one.decode() for one in queue] == [session(number) for number in (4, 1, 2, 3)]


@pytest.mark.parametrize("rate", [1, 60, 600])
async def test_a_bucket_of_creates(connection: Connection, rate: int) -> None:
    scripts = Scripts(connection, LIFE)

    async def charge(count: int) -> int:
        return int(await scripts.run("charge", tenant="a", rate=rate, count=count))

    async def at_once(count: int) -> int:  # however slow the machine is, no time passes since the charge before
        await connection.call("HINCRBY", "cdpg:bucket:a", "at", 600_000)
        return await charge(count)

    assert await charge(rate) == 0
    assert await at_once(1) == 60_000 / rate
    assert await at_once(rate) == 60_000, "what was refused was not counted"
    await connection.call("HINCRBY", "cdpg:bucket:a", "at", -30_000)  # half a minute passes
    if rate > 1:
        assert await charge(rate // 2) == 0
    await connection.call("HINCRBY", "cdpg:bucket:a", "at", -600_000)
    assert await charge(rate) == 0, "never more than a minute's"
    assert await at_once(1) > 0
    assert int(await scripts.run("charge", tenant="b", rate=rate, count=1)) == 0


async def test_nothing_that_takes_as_long_as_redis_is_full(connection: Connection) -> None:
    await connection.call("CONFIG", "RESETSTAT")
    scripts = Scripts(connection, LIFE)
    await joined(scripts, NODE, 1)
    await asking(scripts)(NODE)
    stats = (await connection.call("INFO", "commandstats")).decode()
    assert "cmdstat_evalsha" in stats
    for script in SCRIPTS.values():
        assert "'KEYS'" not in script.source
        assert "SCAN" not in script.source
    assert "cmdstat_keys" not in stats
    assert "cmdstat_scan" not in stats
