"""Messages that Chromium drops: who is told, and how.

Chromium lets at most 256 MiB wait for a DevTools socket; a message that would make it more it drops whole, and
goes on. Nobody would ever answer the command that it belonged to, so that socket is closed with 1009 and words: a
stream with a hole in it is not to be trusted. What becomes of the browser is as at any other end of a client.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from browser_pool.browser import Browser
from gateway.errors import CloseCode
from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.encoding import encode_close
from gateway.session.life import Attached, Role
from gateway.session.seat import Seat
from gateway.session.session import Session

log = structlog.get_logger()

UNREAD = 300.0  # seconds for a client that does not read to find the Close behind what it left unread

# At most 123 bytes in all, or they are cut (RFC 6455 section 5.5).
TOO_BIG = "Chromium dropped a response, over 256 MiB: ask for less at a time"
TOO_SLOW = "Chromium dropped a response: over 256 MiB were left unread"
COME_BACK = "; the browser goes on, reconnect"


@dataclass(frozen=True, slots=True)
class Signs:
    """What a socket looks like in the moment in which a message is known to be lost."""

    driver: bool
    stalled: bool  # its client does not read
    waits: bool  # it has sent something that is not answered yet


def concerned(sockets: Sequence[Signs]) -> list[int]:
    """Which of a browser's sockets may have lost the message; indices.

    Those that do not read: only behind them can so much have piled up from small messages. Else one message was
    too big, and whoever asked for it waits. Events in between can hide that; then it is the driver's, or, with no
    driver there, may be anyone's. With one socket this is certain; with several it is a guess.
    """
    for sign in (
        [signs.stalled for signs in sockets],
        [signs.waits for signs in sockets],
        [signs.driver for signs in sockets],
    ):
        if any(sign):
            return [index for index, shown in enumerate(sign) if shown]
    return list(range(len(sockets)))


@dataclass(slots=True, eq=False)
class _Socket:
    session: Session
    seat: Seat
    leg: BrowserLeg
    told: bool = False
    unread: bool = False  # when it was told; more may be lost until its client reads on

    def signs(self, seconds: float) -> Signs:
        """`seconds` is how long ago the message was lost."""
        return Signs(self.seat.role is Role.DRIVER, self.unread or self.leg.stalled, self.leg.waits(seconds))

    def part(self, *, stalled: bool) -> None:
        """Close it. One who does not read finds the Close behind the message under way once it reads on."""
        if self.told:
            return
        self.told, self.unread = True, stalled
        words = TOO_SLOW if stalled else TOO_BIG
        if self._stays:
            words += COME_BACK
        log.warning("message_dropped", session=self.session.record.id, role=self.seat.role.value, unread=stalled)
        if stalled:
            self.leg.finish(encode_close(CloseCode.TOO_BIG, words))
            asyncio.get_running_loop().call_later(UNREAD, self.seat.evict, CloseCode.TOO_BIG, words)
        else:
            self.seat.evict(CloseCode.TOO_BIG, words)

    @property
    def _stays(self) -> bool:
        """Whether the browser outlives this client."""
        state = self.session.state
        return self.seat.role is not Role.DRIVER or (isinstance(state, Attached) and state.keep > 0)


class Drops:
    """The open sockets of clients, by browser."""

    def __init__(self) -> None:
        self._sockets: dict[Browser, list[_Socket]] = {}

    @contextmanager
    def watched(self, session: Session, seat: Seat, leg: BrowserLeg) -> Iterator[None]:
        """While the block lasts, the client on `seat`, who speaks over `leg`, is told when a message of his is lost."""
        browser, socket = seat.admitted.result(), _Socket(session, seat, leg)
        beside = self._sockets.setdefault(browser, [])
        beside.append(socket)
        browser.on_drop = partial(_dropped, beside)
        try:
            yield
        finally:
            beside.remove(socket)
            if not beside:
                del self._sockets[browser]


def _dropped(sockets: Sequence[_Socket], seconds: float) -> None:
    signs = [socket.signs(seconds) for socket in sockets]
    for index in concerned(signs):
        sockets[index].part(stalled=signs[index].stalled)
