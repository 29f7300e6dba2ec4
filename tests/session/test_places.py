"""Places that several ask for at once."""

import asyncio
from collections import Counter

import pytest

from browser_pool.spec import LaunchSpec
from gateway.cluster.fleet import Alone, Lease
from gateway.records import Kind, SessionId, SessionSpec, new_session_id
from gateway.session.places import Places

SPEC = SessionSpec("a", Kind.API, LaunchSpec(), ttl=600, keep=30, name="shop")


class Leasing(Alone):
    """Gives one lease a session until that comes back; `going` holds it up on the way."""

    def __init__(self) -> None:
        self.leases: dict[SessionId, Lease] = {}
        self.given = Counter[SessionId]()
        self.going = asyncio.Event()
        self.going.set()
        self.fails = False

    async def place(
        self, session: SessionId, tenant: str, *, again: bool = False, name: str | None = None, here: bool = False
    ) -> Lease:
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionError
        self.given[session] += session not in self.leases
        return self.leases.setdefault(session, Lease(session, "n", str(self.given[session])))

    async def release(self, lease: Lease) -> None:
        await self.going.wait()
        if self.leases.get(lease.session) == lease:
            del self.leases[lease.session]


async def test_it_is_given_back_unless_it_is_kept() -> None:
    fleet, one, two = Leasing(), new_session_id(), new_session_id()
    places = Places(fleet)
    async with places.asked(one, SPEC), places.asked(two, SPEC) as lease:
        places.keep(lease)
    assert list(fleet.leases) == [two]
    await places.give_back(lease)
    assert list(fleet.leases) == [two], "its session runs"
    places.leave(two)
    await places.give_back(lease)
    assert not fleet.leases
    fleet.fails = True
    with pytest.raises(ConnectionError):
        async with places.asked(one, SPEC):
            pass


@pytest.mark.parametrize("second", ["keeps", "fails", "gives up"])
async def test_one_that_fails_takes_nothing_from_another(second: str) -> None:
    fleet, number = Leasing(), new_session_id()
    places = Places(fleet)
    entered, go = asyncio.Event(), asyncio.Event()

    async def other() -> None:
        async with places.asked(number, SPEC) as lease:
            entered.set()
            await go.wait()
            if second == "keeps":
                places.keep(lease)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other())
        async with places.asked(number, SPEC) as lease:
            await entered.wait()
        assert fleet.leases == {number: lease}, "the other has it yet"
        if second == "gives up":
            task.cancel()
        go.set()
    assert fleet.leases == ({number: lease} if second == "keeps" else {})


async def test_what_was_left_to_one_who_gets_none_is_given_back() -> None:
    fleet, number = Leasing(), new_session_id()
    places = Places(fleet)
    async with asyncio.TaskGroup() as group, places.asked(number, SPEC):
        fleet.fails = True

        async def other() -> None:
            with pytest.raises(ConnectionError):
                async with places.asked(number, SPEC):
                    pass

        group.create_task(other())
        await asyncio.sleep(0)  # it has begun to ask
    assert not fleet.leases


async def test_who_comes_while_it_goes_back_gets_another() -> None:
    fleet, number = Leasing(), new_session_id()
    places = Places(fleet)
    fleet.going.clear()
    async with asyncio.TaskGroup() as group:

        async def first() -> None:
            async with places.asked(number, SPEC):
                pass

        leaving = group.create_task(first())
        while number not in fleet.leases:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = fleet.leases[number]
        coming = group.create_task(first())
        await asyncio.sleep(0)
        assert not leaving.done()
        assert not coming.done()
        fleet.going.set()
    assert fleet.given[number] == 2
    assert before not in fleet.leases.values()
