"""What browsers say on their standard error: searched for the one line that concerns clients, and kept small.

Chromium drops a DevTools message whole when more than 256 MiB would wait to be sent on that socket
(net/server/http_connection.cc, QueuedWriteIOBuffer::Append), and tells nobody but its log. Which socket it
was it does not say.

One timer looks at all logs, a stat each: 1,000 idle browsers cost 0.2 % of a core. A timer for each browser would
cost ten times that, and inotify, which costs nothing, has few instances to give (128 a user, in all containers
together), so that it could not be relied on alone.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PERIOD = 1.0  # seconds between looks
LIMIT = 1 << 20  # bytes of a log; above it starts anew, and of a flood only so much is searched

_WORDS = b"Too large write data is pending"
_DROPPED = re.compile(rb"^\[[^\]\n]*ERROR:[\w./]*http_connection\.cc[:(]\d+\)?\] " + _WORDS, re.MULTILINE)

Listener = Callable[[float], None]


class StderrWatch:
    """Looks at the logs of all browsers of this process."""

    def __init__(self) -> None:
        self._logs: set[_Log] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, file: Path, dropped: Listener) -> Iterator[None]:
        """Keep `file` small while the block lasts, and call `dropped(seconds)` when Chromium drops a message.

        `seconds` is how long ago that was. The file must be written in append mode. Needs a running loop.
        """
        log = _Log(file, dropped)
        self._logs.add(log)
        if self._timer is None:
            self._set_timer()
        try:
            yield
        finally:
            self._logs.remove(log)
            if not self._logs and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD, self._look)

    def _look(self) -> None:
        self._set_timer()
        for log in tuple(self._logs):
            with suppress(OSError):  # its directory is just being removed, or no file can be opened now: next time
                log.look()


class _Log:
    def __init__(self, file: Path, dropped: Listener) -> None:
        self._file = file
        self._dropped = dropped
        self._size = 0  # when it was looked at last
        self._seen = 0  # searched so far: up to the end of a line

    def look(self) -> None:
        """Search what is new. Raises FileNotFoundError."""
        status = os.stat(self._file)
        if status.st_size == self._size:
            return
        self._size = status.st_size
        new = self._read()
        if self._size > LIMIT:
            os.truncate(self._file, 0)
            self._size = self._seen = 0
        if _WORDS in new and _DROPPED.search(new):
            self._dropped(max(0.0, time.time() - status.st_mtime))

    def _read(self) -> bytes:
        """The new whole lines."""
        start = max(self._seen, self._size - LIMIT)
        with self._file.open("rb") as file:
            file.seek(start)
            lines, newline, _ = file.read(LIMIT).rpartition(b"\n")
        self._seen = start + len(lines) + len(newline)
        return lines


STDERR_WATCH = StderrWatch()
