"""Those who ask a session for something and wait for its answer: clients for a seat, requests for its end."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import CloseCode, Code, GatewayError
from gateway.session import life
from gateway.session.life import Role, SeatId
from gateway.session.seat import Seat

# How long a conflict waits for a driver whose end is on its way: its socket and the request that follows
# it are two connections, and which of them is read first is chance.
GRACE = 0.25

T = TypeVar("T")
_ids = itertools.count(1)


class Desk:
    """Of one session. What is asked goes to `post` as an event; the session answers by the numbers in its effects."""

    def __init__(self, post: Callable[[life.Event], None]) -> None:
        self._post = post
        self._seats: dict[SeatId, Seat] = {}
        self._tickets: dict[SeatId, asyncio.Future[None]] = {}  # who waits for the end of a stop
        self._driver_left = asyncio.Event()
        self._closed: GatewayError | None = None

    async def seat(self, role: Role, takeover: bool) -> Seat:
        """A seat that was admitted; `leave_with` gives it back. Raises GatewayError when it is refused."""
        return await self._patiently(lambda: self._ask_for_seat(role, takeover))

    def leave_with(self, seat: Seat) -> None:
        """Its client has gone."""
        seat.leave()
        self._seats.pop(seat.id, None)

    async def stop(self, force: bool) -> None:
        """Return when the session is over. Raises GatewayError when that is refused."""
        await self._patiently(lambda: self._ask_to_stop(force))

    # --- the session's answers ---

    def waiting(self, number: SeatId) -> Seat | None:
        """The seat, if its client has not given up meanwhile."""
        return self._seats.get(number)

    def refuse(self, number: SeatId, error: GatewayError) -> None:
        """Turn away whoever has that number."""
        if (seat := self._seats.get(number)) is not None:
            seat.refuse(error)
        elif (ticket := self._tickets.get(number)) is not None and not ticket.done():
            ticket.set_exception(error)

    def evict(self, number: SeatId, close: CloseCode, words: str) -> None:
        """That client must go."""
        if (seat := self._seats.get(number)) is not None:
            seat.evict(close, words)

    def evict_all(self, close: CloseCode, words: str) -> None:
        """Every client must go."""
        for seat in self._seats.values():
            seat.evict(close, words)

    def refuse_all(self, error: GatewayError) -> None:
        """Turn away every client that still waits for its seat."""
        for seat in self._seats.values():
            seat.refuse(error)

    def driver_left(self) -> None:
        """Who was refused for its sake may ask once more."""
        self._driver_left.set()

    def over(self) -> None:
        """The session has ended, or is put away."""
        for ticket in self._tickets.values():
            if not ticket.done():
                ticket.set_result(None)

    def close(self, error: GatewayError) -> None:
        """Nobody takes its events any more: who asks for a seat from now on gets `error`, a stop is done."""
        self._closed = error

    # --- within ---

    async def _ask_for_seat(self, role: Role, takeover: bool) -> Seat:
        if self._closed is not None:
            raise self._closed
        number = SeatId(next(_ids))
        seat = Seat(number, role, leave=lambda: self._post(life.Detach(number)))
        self._seats[number] = seat
        self._post(life.Attach(number, role, takeover))
        try:
            await seat.admitted
        except BaseException:  # refused, or the client gave up: the machine shall know
            self.leave_with(seat)
            raise
        return seat

    async def _ask_to_stop(self, force: bool) -> None:
        if self._closed is not None:
            return
        number = SeatId(next(_ids))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets[number] = answer
        self._post(life.Stop(number, force))
        try:
            await answer
        finally:
            del self._tickets[number]

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; if a driver is in the way, give it a moment to be seen leaving, and ask once more."""
        self._driver_left.clear()
        try:
            return await ask()
        except GatewayError as error:
            if error.code is not Code.DRIVER_CONNECTED:
                raise
        try:
            async with asyncio.timeout(GRACE):
                await self._driver_left.wait()
        except TimeoutError:
            pass  # it stays: the second answer is final
        return await ask()
