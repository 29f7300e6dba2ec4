import asyncio
from collections import Counter
from random import Random

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import Tenant
from gateway.tenancy.queue import Slots


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Holder:
    """Someone who takes a slot and keeps it until told to give it back."""

    def __init__(self, slots: Slots) -> None:
        self.has = False
        self._done = asyncio.Event()
        self.task = asyncio.ensure_future(self._hold(slots))

    async def _hold(self, slots: Slots) -> None:
        async with slots.taken("one"):
            self.has = True
            await self._done.wait()

    async def give(self) -> None:
        self._done.set()
        await self.task


async def holders(slots: Slots, number: int) -> list[Holder]:
    made = [Holder(slots) for _ in range(number)]
    await settle()
    return made


async def refused(slots: Slots) -> str:
    with pytest.raises(GatewayError) as error:
        await slots.taken("one").__aenter__()
    assert error.value.code is Code.TOO_MANY_SESSIONS
    assert error.value.retry_after
    return error.value.message


async def test_as_many_as_the_limit_at_once() -> None:
    slots = Slots(2, 0, 10)
    one, two = await holders(slots, 2)
    assert (one.has, two.has, slots.used) == (True, True, 2)
    assert "all browsers" in await refused(slots)
    await one.give()
    assert slots.used == 1
    (three,) = await holders(slots, 1)
    assert three.has
    for holder in (two, three):
        await holder.give()
    assert slots.used == 0


async def test_first_come_first_served() -> None:
    slots = Slots(1, 3, 10)
    queue = await holders(slots, 4)
    assert slots.waiting == 3
    assert "queue" in await refused(slots)
    for position, holder in enumerate(queue):
        assert [other.has for other in queue] == [True] * (position + 1) + [False] * (3 - position)
        assert slots.used == 1
        await holder.give()
        await settle()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_nobody_is_overtaken_by_who_comes_just_when_a_slot_is_passed_on() -> None:
    slots = Slots(1, 5, 10)
    holder, waiting = await holders(slots, 2)
    await holder.give()
    late = Holder(slots)
    await settle()
    assert (waiting.has, late.has) == (True, False)
    await waiting.give()
    await settle()
    await late.give()


async def test_who_waits_too_long_is_refused_and_counts_no_more() -> None:
    slots = Slots(1, 1, 0.05)
    (holder,) = await holders(slots, 1)
    assert "within 0.05 s" in await refused(slots)
    assert slots.waiting == 0
    await holder.give()
    assert slots.used == 0


async def test_who_gives_up_waiting_is_passed_over() -> None:
    slots = Slots(1, 2, 10)
    holder, leaving, waiting = await holders(slots, 3)
    leaving.task.cancel()
    await settle()
    assert slots.waiting == 1
    await holder.give()
    await settle()
    assert waiting.has
    await waiting.give()
    assert slots.used == 0


@pytest.mark.parametrize("slot_first", [True, False])
async def test_a_slot_is_never_lost_with_who_gives_up_in_that_moment(slot_first: bool) -> None:
    slots = Slots(1, 2, 10)
    held = slots.taken("one")
    await held.__aenter__()
    leaving, waiting = await holders(slots, 2)
    if not slot_first:
        leaving.task.cancel()
    await held.__aexit__(None, None, None)  # passes the slot on without a turn of the loop
    if slot_first:
        leaving.task.cancel()
    await settle()
    assert not leaving.has
    assert leaving.task.cancelled()
    assert waiting.has
    await waiting.give()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_a_failing_holder_gives_its_slot_back() -> None:
    slots = Slots(1, 0, 10)

    async def fail() -> None:
        async with slots.taken("one"):
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert slots.used == 0


async def test_under_any_pushing_the_limit_holds_and_all_slots_return() -> None:
    slots = Slots(3, 100, 10)
    most = 0

    async def come_and_go(number: int) -> None:
        nonlocal most
        async with slots.taken("one"):
            most = max(most, slots.used)
            for _ in range(number % 4):
                await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(come_and_go(number)) for number in range(90)]
    for number, task in enumerate(tasks):
        if number % 5 == 0:
            task.cancel()
        if number % 7 == 0:
            await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    assert most == 3
    assert (slots.used, slots.waiting) == (0, 0)


async def test_what_runs_already_counts_and_is_never_refused() -> None:
    slots = Slots(1, 1, 5)
    with slots.kept("one"):
        with slots.kept("one"):
            assert slots.used == 2
            waiter = asyncio.ensure_future(hold(slots))
            await asyncio.sleep(0)
            assert slots.waiting == 1
        await asyncio.sleep(0)
        assert (slots.used, slots.waiting) == (1, 1), "one too many ends: nobody follows it"
    await waiter
    assert slots.used == 0


async def hold(slots: Slots) -> None:
    async with slots.taken("one"):
        assert slots.used == 1


class Named(Holder):
    """The same for a tenant."""

    def __init__(self, slots: Slots, tenant: str, again: bool = False) -> None:
        self.tenant, self.again = tenant, again
        super().__init__(slots)

    async def _hold(self, slots: Slots) -> None:
        async with slots.taken(self.tenant, again=self.again):
            self.has = True
            await self._done.wait()


async def test_a_flood_of_one_tenant_does_not_hold_up_another() -> None:
    slots = Slots(2, 100, 10)
    running = [Named(slots, "a") for _ in range(2)]
    await settle()
    flood = [Named(slots, "a") for _ in range(98)]
    await settle()
    other = Named(slots, "b")
    await settle()
    assert slots.share("b").positions == (1,)
    assert slots.share("a").positions[:2] == (2, 3)
    await running[0].give()
    await settle()
    assert other.has
    assert not any(one.has for one in flood)
    for one in (running[1], other, *flood):
        await one.give()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_who_floods_a_full_queue_makes_room_for_another() -> None:
    slots = Slots(1, 3, 10)
    flood = [Named(slots, "a") for _ in range(4)]
    await settle()
    other = Named(slots, "b")
    await settle()
    with pytest.raises(GatewayError, match="the queue for them is full"):
        await flood[3].task
    assert (slots.share("a").waiting, slots.share("b").waiting) == (2, 1)
    for one in (flood[0], other, *flood[1:3]):
        await one.give()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_a_displaced_one_that_gives_up_in_that_moment() -> None:
    slots = Slots(1, 2, 10)
    flood = [Named(slots, "a") for _ in range(3)]
    await settle()
    other = Named(slots, "b")
    await asyncio.sleep(0)  # it is displaced, and has not seen it
    flood[2].task.cancel()
    await settle()
    assert flood[2].task.cancelled()
    for one in (flood[0], other, flood[1]):
        await one.give()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_a_tenants_own_limit_and_one_that_is_raised() -> None:
    limits = {"a": Tenant("a", max_sessions=1)}
    slots = Slots(3, 5, 10, lambda name: limits.get(name, Tenant(name)))
    one, two = Named(slots, "a"), Named(slots, "a")
    await settle()
    other = Named(slots, "b")
    await settle()
    assert (one.has, two.has, other.has) == (True, False, True), "a slot is free, but not for it"
    limits["a"] = Tenant("a", max_sessions=2)
    slots.settle()
    await settle()
    assert two.has
    limits["a"] = Tenant("a", max_sessions=2, queue_length=0)
    with pytest.raises(GatewayError, match="all 2 browsers that this tenant may have"):
        await slots.taken("a").__aenter__()
    limits["a"] = Tenant("a", max_sessions=0)
    with pytest.raises(GatewayError) as error:
        await slots.taken("a").__aenter__()
    assert error.value.code is Code.FORBIDDEN
    for holder in (one, two, other):
        await holder.give()


async def test_what_comes_back_goes_before_what_is_new() -> None:
    slots = Slots(1, 5, 10)
    first, new, back = Named(slots, "a"), Named(slots, "a"), Named(slots, "a", again=True)
    await settle()
    await first.give()
    await settle()
    assert (new.has, back.has) == (False, True)
    for one in (back, new):
        await one.give()


async def test_how_long_to_wait_is_told_from_how_long_it_took() -> None:
    slots = Slots(1, 0, 10)
    loop = asyncio.get_running_loop()
    clock = loop.time()
    slots._given, slots._pace = clock, 7.5
    (holder,) = await holders(slots, 1)
    with pytest.raises(GatewayError) as error:
        await slots.taken("one").__aenter__()
    assert error.value.retry_after == 8
    await holder.give()
    assert slots._pace is not None
    assert slots._pace < 7.5


async def test_tenants_pushing_at_random_lose_no_slot_and_get_none_twice() -> None:
    random = Random(5)
    limits = {name: Tenant(name) for name in "abc"}
    slots = Slots(3, 8, 0.02, limits.__getitem__)
    holding = Counter[str]()
    ends = Counter[str]()

    async def come_and_go(tenant: str) -> None:
        try:
            async with slots.taken(tenant, again=random.random() < 0.3):
                holding[tenant] += 1
                try:
                    assert holding.total() <= 3
                    for _ in range(random.randrange(6)):
                        await asyncio.sleep(0)
                finally:
                    holding[tenant] -= 1
                ends["served"] += 1
        except GatewayError as error:
            ends[error.code.word] += 1

    tasks: list[asyncio.Future[None]] = []
    for number in range(3000):
        tasks.append(asyncio.ensure_future(come_and_go(random.choice("aaaabc"))))
        if random.random() < 0.2:
            random.choice(tasks[-20:]).cancel()
        if random.random() < 0.3:
            await asyncio.sleep(0)
        if number % 500 == 0:
            limits["a"] = Tenant("a", max_sessions=random.choice([None, 1, 2]))
            slots.settle()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {type(None), asyncio.CancelledError}
    assert (slots.used, slots.waiting, slots._waiting) == (0, 0, {})
    assert ends["served"] > 100
    assert ends["too_many_sessions"] > 100
    assert set(ends) == {"served", "too_many_sessions"}
