import asyncio

import pytest

from gateway.errors import Code, GatewayError
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
        async with slots.taken():
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
        await slots.taken().__aenter__()
    assert error.value.code is Code.TOO_MANY_SESSIONS
    assert error.value.retry_after
    return error.value.message


async def test_as_many_as_the_limit_at_once() -> None:
    slots = Slots(2, 0, 10)
    one, two = await holders(slots, 2)
    assert (one.has, two.has, slots.used) == (True, True, 2)
    assert "all 2 browsers" in await refused(slots)
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
    held = slots.taken()
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
        async with slots.taken():
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert slots.used == 0


async def test_under_any_pushing_the_limit_holds_and_all_slots_return() -> None:
    slots = Slots(3, 100, 10)
    most = 0

    async def come_and_go(number: int) -> None:
        nonlocal most
        async with slots.taken():
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
    with slots.kept():
        with slots.kept():
            assert slots.used == 2
            waiter = asyncio.ensure_future(hold(slots))
            await asyncio.sleep(0)
            assert slots.waiting == 1
        await asyncio.sleep(0)
        assert (slots.used, slots.waiting) == (1, 1), "one too many ends: nobody follows it"
    await waiter
    assert slots.used == 0


async def hold(slots: Slots) -> None:
    async with slots.taken():
        assert slots.used == 1
