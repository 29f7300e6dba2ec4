"""What the machine decided for a session, carried out: its browser's life, and the answers to who asked."""

import asyncio
import time
from collections.abc import Callable

from gateway.errors import Code, GatewayError
from gateway.relay.client_leg import Pulse
from gateway.session import life
from gateway.session.desk import Desk
from gateway.session.held import Held
from gateway.session.ledger import Ledger
from gateway.session.life import Cause, Role, SeatId
from gateway.session.means import Means
from gateway.session.seat import refusal
from gateway.session.tenure import Tenure


class Effects:
    """Of one session, which has one browser at a time. What happens to that is told to `post`.

    `cause` says why the session puts it away. `adopt`: the first one runs already, left by an earlier process of ours.
    """

    def __init__(
        self,
        ledger: Ledger,
        means: Means,
        desk: Desk,
        pulse: Pulse,
        post: Callable[[life.Event], None],
        cause: Callable[[], Cause],
        *,
        adopt: bool,
    ) -> None:
        self._ledger = ledger
        self._means = means
        self._desk = desk
        self._pulse = pulse
        self._post = post
        self._cause = cause
        self._adopt = adopt
        self._tenure: Tenure | None = None
        self._holding: asyncio.Task[None] | None = None

    @property
    def held(self) -> Held | None:
        """The browser that it has now, and what looks after it."""
        return self._tenure.held if self._tenure is not None else None

    @property
    def failure(self) -> GatewayError | None:
        """Why the last browser could not be launched, or saved."""
        return self._tenure.failure if self._tenure is not None else None

    def carry_out(self, effect: life.Effect, work: asyncio.TaskGroup) -> None:
        """Do it; what takes time is a task of `work`."""
        held = self.held
        match effect:
            case life.Launch():
                adopt, self._adopt = self._adopt, False
                if not adopt:
                    self._ledger.change(incarnation=self._ledger.record.incarnation + 1)
                self._tenure = Tenure(self._ledger, self._means, self._post, self._cause, adopt)
                self._holding = work.create_task(self._tenure.run())  # the group awaits it
            case life.Release(save):
                if self._tenure is None or not self._tenure.release(save):
                    self.give_up()
            case life.Park():
                if held is not None:
                    held.parking.park(work.create_task)
            case life.Wake():
                if held is not None:
                    work.create_task(held.parking.wake())  # the group awaits it
            case life.Admit(number):
                self._admit(number)
            case life.Refuse(number, code, cause):
                self._desk.refuse(number, self._refusal(code, cause))
            case life.Evict(number, close, words):
                crashed = held.browser.reason if held is not None and held.browser.gone.is_set() else ""
                self._desk.evict(number, close, f"{words}: {crashed}" if crashed else words)

    def give_up(self) -> None:
        """End the browser at once, saved or not, wherever its life is."""
        if self._holding is not None:
            self._holding.cancel()

    def used(self, now: float) -> None:
        """A driver came or went."""
        self._pulse.at = now
        self._ledger.change(last_used_at=now)

    def _admit(self, number: SeatId) -> None:
        seat, held = self._desk.waiting(number), self.held
        if seat is None or held is None:
            return  # it gave up in the meantime: its Detach is on the way
        if seat.role is Role.DRIVER:
            connections = self._ledger.record.connections + 1
            # Each driver asks for itself whether the browser is kept, and for whom.
            self._ledger.change(connections=connections, secret=None)
            self.used(time.time())
        seat.admit(held.browser)

    def _refusal(self, code: Code, cause: Cause | None) -> GatewayError:
        if code is Code.BROWSER_FAILED and self.failure is not None:
            return self.failure
        return refusal(code, cause)
