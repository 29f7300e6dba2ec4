"""Connections to servers that wait for their next request."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.egress.address import Host
from gateway.egress.channel import Channel

MOST = 64  # of one browser
EACH = 8  # of them to one server
LIFE = 60.0  # seconds

Key = tuple[Host, int]


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One of them. `ended` is what watches it."""

    channel: Channel
    key: Key
    since: float
    ended: Callable[[], None]


class Idle:
    """Those of one browser, by host and port; which proxy they lead through is the same for all of one key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: list[Waiting] = []  # oldest first

    def __len__(self) -> int:
        return len(self._all)

    def take(self, key: Key) -> Channel | None:
        """The one that was used last; None if there is none that is good."""
        self._purge()
        for one in reversed(self._all):
            if one.key == key:
                self._drop(one)
                if one.channel.idle:
                    one.channel.resting = False
                    return one.channel
                one.channel.abort()
        return None

    def put(self, key: Key, channel: Channel) -> None:
        """It has answered in full, and stays open."""
        if not channel.idle:
            channel.close()
            return

        def ended() -> None:
            self._drop(waiting)
            channel.close()

        waiting = Waiting(channel, key, self._clock(), ended)
        channel.watch(ended)
        channel.resting = True
        channel.rest()
        self._all.append(waiting)
        self._purge()
        same = [one for one in self._all if one.key == key]
        for one in (*same[:-EACH], *self._all[:-MOST]):
            if one in self._all:
                self._close(one)

    def close(self) -> None:
        """All of them."""
        for one in tuple(self._all):
            self._close(one)

    def _purge(self) -> None:
        oldest = self._clock() - LIFE
        for one in tuple(self._all):
            if one.since < oldest:
                self._close(one)

    def _close(self, one: Waiting) -> None:
        self._drop(one)
        one.channel.close()

    def _drop(self, one: Waiting) -> None:
        self._all.remove(one)
        one.channel.unwatch(one.ended)
