"""Who did what to which session, and when: JSON lines in a file of their own.

A thread writes, so that no request waits for a disk. The file is rotated by size, and opened anew when somebody else
has moved it away. A disk that is full, or a writer that cannot keep up, loses lines, never requests: they are counted,
and the log says so once. No secret comes in here: a credential is known by the first 12 digits of its SHA-256.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import structlog

from gateway.log import Redactor

log = structlog.get_logger()
WAITING = 10_000  # events that may wait for the disk
OLDER = 5  # files that are kept beside the one that is written
TEXT = 256  # characters of what a client says of itself
AT_END = 5.0  # seconds to write what waits when the gateway ends


@dataclass(frozen=True, slots=True)
class Event:
    """One line. `action` says what was done: `session.create`, `session.connect`, `credential.failed`…

    `status` is that of the reply; 101 for a websocket. `credential` is the fingerprint of a token or capability, `kind`
    which of them it was; `address` the client's, as a trusted proxy has it.
    """

    action: str
    status: int
    address: str
    user_agent: str
    request: str
    tenant: str | None = None
    role: str | None = None
    kind: str | None = None
    credential: str | None = None
    session: str | None = None
    sessions: tuple[str, ...] = ()  # those that were made, if several
    source: str | None = None  # the session that it was made of
    detail: str | None = None

    def line(self, now: datetime) -> bytes:
        """As it is written, with its end of line. What is not known is left out."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, (), "")}
        told = {name: _NET.text(value)[:TEXT] if isinstance(value, str) else value for name, value in told.items()}
        at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"at": at, **told}).encode() + b"\n"


_NET = Redactor()  # a second net: what looks like a credential of ours is taken out wherever it stands


class Audit:
    """The log at `path`, which is rotated at `size` bytes; None writes to stderr. `writing` must run."""

    def __init__(self, path: Path | None, size: int) -> None:
        self.path = path
        self._size = size
        self._file: BinaryIO | None = None
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.lost = 0  # lines that could not be written

    def note(self, event: Event) -> None:
        """Write it down, soon."""
        if self._waiting.qsize() >= WAITING:
            self._lose("too many wait to be written")
        else:
            self._waiting.put(event.line(datetime.now(UTC)))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while the block lasts, and at its end what still waits."""
        writer = threading.Thread(target=self._write_all, name="audit", daemon=True)
        writer.start()
        try:
            yield
        finally:
            self._waiting.put(None)
            writer.join(AT_END)  # a disk that hangs shall not hold the gateway
            if self.lost:
                log.warning("audit_lines_lost", lines=self.lost)

    def _write_all(self) -> None:
        line = self._waiting.get()
        while line is not None:
            try:
                self._write(line)
            except OSError as error:
                self._lose(error.strerror or str(error))
            line = self._waiting.get()
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes) -> None:
        if self.path is None:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
            return
        file = self._opened(self.path)
        if file.tell() + len(line) > self._size and file.tell():
            file.close()
            self._file = None
            self._rotate(self.path)
            file = self._opened(self.path)
        file.write(line)

    def _opened(self, path: Path) -> BinaryIO:
        """The file that is at `path` now, also if another one was opened there."""
        if self._file is not None:
            try:
                there, ours = os.stat(path), os.fstat(self._file.fileno())
                if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                    return self._file
            except FileNotFoundError:
                pass  # moved away: the next one begins
            self._file.close()
            self._file = None
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(number, "ab", buffering=0)
        self._file.seek(0, os.SEEK_END)
        return self._file

    def _rotate(self, path: Path) -> None:
        for number in range(OLDER, 0, -1):
            older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number}"))

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost == 1:
            log.error("audit_line_lost", why=why, advice="further ones are only counted")
