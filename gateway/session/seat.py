"""A client's place in a session: asked for, admitted, evicted, left."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from browser_pool.browser import Browser
from gateway.errors import CloseCode, Code, Farewell, GatewayError
from gateway.session.life import Cause, Role, SeatId


@dataclass(eq=False)
class Seat:
    """`admitted` yields the browser or raises the refusal; `evicted` is done when the client must go.

    `leave` is called the moment the client's end is seen, so that the seat is free before any later
    request is judged; calling it again is harmless.
    """

    id: SeatId
    role: Role
    leave: Callable[[], None]
    admitted: "asyncio.Future[Browser]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    evicted: "asyncio.Future[Farewell]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def admit(self, browser: Browser) -> None:
        """The client may use `browser`."""
        if not self.admitted.done():
            self.admitted.set_result(browser)

    def refuse(self, error: GatewayError) -> None:
        """The client is turned away."""
        if not self.admitted.done():
            self.admitted.set_exception(error)

    def evict(self, close: CloseCode, words: str) -> None:
        """The client must go."""
        if not self.evicted.done():
            self.evicted.set_result(Farewell(close, words))


def refusal(code: Code, cause: Cause | None = None) -> GatewayError:
    """What a client that gets no seat is told; `cause` is why the session ended, where it did."""
    words = {
        Code.DRIVER_CONNECTED: "a client is connected; takeover=true (for a stop: force=true) puts it off",
        Code.SESSION_ENDED: f"the session has ended: {cause.words if cause else 'it was stopped'}",
        Code.NOT_RUNNING: "the session's browser is put away: connect to the session to revive it",
        Code.DRAINING: "the gateway is stopping; connect again in a moment",
    }
    return GatewayError(code, words.get(code, code.word), retry_after=5 if code is Code.DRAINING else None)
