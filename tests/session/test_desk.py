"""Who asks a session for something gets an answer, however it ends."""

import asyncio

import pytest

from browser_pool.browser import Browser
from gateway.errors import CloseCode, Code, GatewayError
from gateway.session import life
from gateway.session.desk import Desk
from gateway.session.life import Role, SeatId

BUSY = GatewayError(Code.DRIVER_CONNECTED, "a client is connected")


class Answering:
    """A session in so far as a desk needs one: what was posted, and an answer to each."""

    def __init__(self) -> None:
        self.posted: list[life.Event] = []
        self.desk = Desk(self.post)
        self.answers: list[GatewayError | None] = []  # in order; None admits

    def post(self, event: life.Event) -> None:
        self.posted.append(event)
        if isinstance(event, life.Attach) and self.answers:
            answer = self.answers.pop(0)
            if answer is not None:
                self.desk.refuse(event.seat, answer)
            elif (seat := self.desk.waiting(event.seat)) is not None:
                seat.admitted.set_result(object.__new__(Browser))
        if isinstance(event, life.Stop) and self.answers and (refused := self.answers.pop(0)) is not None:
            self.desk.refuse(event.ticket, refused)


async def test_a_seat_is_admitted_and_left() -> None:
    session = Answering()
    session.answers = [None]
    seat = await session.desk.seat(Role.DRIVER, takeover=False)
    assert session.posted == [life.Attach(seat.id, Role.DRIVER, False)]
    session.desk.evict(seat.id, CloseCode.STOPPED, "over")
    assert (await seat.evicted).close is CloseCode.STOPPED
    session.desk.leave_with(seat)
    assert session.posted[-1] == life.Detach(seat.id)
    assert session.desk.waiting(seat.id) is None


async def test_who_is_refused_gives_its_number_back() -> None:
    session = Answering()
    session.answers = [GatewayError(Code.SESSION_ENDED, "it was stopped")]
    with pytest.raises(GatewayError, match="stopped"):
        await session.desk.seat(Role.DRIVER, takeover=False)
    assert isinstance(session.posted[-1], life.Detach)


async def test_a_driver_in_the_way_is_given_a_moment_to_leave() -> None:
    session = Answering()
    session.answers = [BUSY, None]
    asking = asyncio.ensure_future(session.desk.seat(Role.DRIVER, takeover=False))
    await asyncio.sleep(0)
    session.desk.driver_left()
    await asking
    assert [type(event) for event in session.posted] == [life.Attach, life.Detach, life.Attach]
    session.answers = [BUSY, BUSY]
    with pytest.raises(GatewayError, match="connected"):
        await session.desk.stop(force=False)


async def test_a_client_that_gives_up_is_told_to_the_machine() -> None:
    session = Answering()
    asking = asyncio.ensure_future(session.desk.seat(Role.OBSERVER, takeover=False))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    attach, detach = session.posted
    assert isinstance(attach, life.Attach)
    assert detach == life.Detach(attach.seat)


async def test_a_stop_waits_for_the_end() -> None:
    session = Answering()
    stopping = asyncio.ensure_future(session.desk.stop(force=True))
    await asyncio.sleep(0)
    assert not stopping.done()
    session.desk.over()
    await stopping
    assert session.posted == [life.Stop(SeatId(session.posted[0].ticket), True)]  # type: ignore[union-attr]


async def test_nobody_waits_at_a_closed_desk() -> None:
    session = Answering()
    waiting = asyncio.ensure_future(session.desk.seat(Role.DRIVER, takeover=False))
    await asyncio.sleep(0)
    fault = GatewayError(Code.INTERNAL, "a fault")
    session.desk.refuse_all(fault)
    session.desk.evict_all(CloseCode.FAULT, "a fault")
    session.desk.close(fault)
    with pytest.raises(GatewayError, match="a fault"):
        await waiting
    with pytest.raises(GatewayError, match="a fault"):
        await session.desk.seat(Role.DRIVER, takeover=False)
    await session.desk.stop(force=False)
    assert not any(isinstance(event, life.Stop) for event in session.posted)
