"""A storage whose calls are let through one by one, and that can be away, or be where a process is killed."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import IO, Any, TypeVar

from gateway.snapshot.blobs import Blob, Blobs, BlobsAway

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing that catches errors sees it."""


class Stepping:
    """Another storage; `before` and `after` are called with the number and name of each call."""

    def __init__(self, inner: Blobs) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.away = False
        self.before: Callable[[int, str], None] = lambda number, name: None
        self.after: Callable[[int, str], None] = lambda number, name: None
        self.over: Callable[[], None] = lambda: None  # also of a call that failed

    def _call(self, name: str, do: Callable[[], T]) -> T:
        number = len(self.calls)
        self.calls.append(name)
        self.before(number, name)
        try:
            if self.away:
                raise BlobsAway("nobody answers")
            found = do()
            self.after(number, name)
            return found
        finally:
            self.over()

    def check(self) -> None:
        self._call("check", self.inner.check)

    def list(self, prefix: str) -> Iterator[Blob]:
        yield from self._call("list", lambda: tuple(self.inner.list(prefix)))

    def get(self, name: str, into: IO[bytes]) -> None:
        self._call(f"get {name}", lambda: self.inner.get(name, into))

    def put(self, name: str, source: IO[bytes]) -> None:
        self._call(f"put {name}", lambda: self.inner.put(name, source))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._call(f"delete {name}", lambda: self.inner.delete([name]))  # noqa: B023

    def sweep(self) -> int:
        return self._call("sweep", self.inner.sweep)

    def close(self) -> None:
        pass


class Actor:
    """A node that does something, of which each call to the storage waits until it is let through."""

    def __init__(self, blobs: Stepping, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._may, self._did = threading.Semaphore(0), threading.Semaphore(0)
        self.over = self.free = False
        self.failed: Exception | None = None
        self._blobs = blobs
        blobs.before = lambda number, name: self._wait()
        blobs.over = self._did.release
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def _wait(self) -> None:
        if not self.free:
            assert self._may.acquire(timeout=60)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            asyncio.run(work())
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the thread
            self.failed = error
        finally:
            self.over = True
            self._did.release()

    def step(self) -> None:
        """Let one call through, and return when it is done."""
        if not self.over:
            self._may.release()
            assert self._did.acquire(timeout=60)

    def finish(self) -> None:
        self.free = True
        self._may.release(1000)
        self._thread.join(60)
        self._blobs.before, self._blobs.over = lambda number, name: None, lambda: None


def in_order(actors: Sequence[Actor], order: Iterable[int]) -> None:
    """One step after the other; what is left then is done by the first actor first."""
    for who in order:
        actors[who].step()
    for actor in actors:
        actor.finish()
