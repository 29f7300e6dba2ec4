"""The road of a browser: the one forward proxy that it may reach, and nothing else of the network.

The pool opens one for each browser before its launch, and keeps it as long as the browser lives. What goes through it
and what does not is the business of who builds it.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Road(Protocol):
    """A forward proxy (HTTP and CONNECT) that listens for one browser alone."""

    @property
    def port(self) -> int:
        """It listens on 127.0.0.1 at this port for as long as the road is open."""
        ...


class Roads(Protocol):
    """Where roads come from."""

    def open(self, port: int | None = None) -> AbstractAsyncContextManager[Road]:
        """A road for this block. With `port` on that very port, for a browser that was started with it.

        Raises OSError where it cannot listen.
        """
        ...
