"""Threads that work on sessions' directories: one at a time writes, many read, and what none uses can be given up."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class _Mutex:
    """One thread at a time, which may come in again."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


class Uses:
    """`used`: when each session was in use last, in seconds since 1970."""

    def __init__(self) -> None:
        self.used: dict[str, float] = {}
        self._mutexes: WeakValueDictionary[str, _Mutex] = WeakValueDictionary()
        self._guard = threading.Lock()
        self._readers: Counter[str] = Counter()

    @contextmanager
    def alone(self, session: str) -> Iterator[None]:
        """No other thread writes for this block; they wait."""
        mutex = self._mutex(session)
        with mutex.lock:
            try:
                yield
            finally:
                self.used[session] = time.time()

    @contextmanager
    def reading(self, session: str) -> Iterator[None]:
        """It is not given up for this block."""
        with self._guard:
            self._readers[session] += 1
        try:
            yield
        finally:
            with self._guard:
                self.used[session] = time.time()
                self._readers[session] -= 1
                if not self._readers[session]:
                    del self._readers[session]

    def give_up(self, session: str, do: Callable[[], bool]) -> bool:
        """What `do` returns, if nobody uses the session; nobody begins to meanwhile. Else False at once."""
        mutex = self._mutex(session)
        if not mutex.lock.acquire(blocking=False):
            return False
        try:
            with self._guard:
                if self._readers.get(session) or not do():
                    return False
                self.used.pop(session, None)
                return True
        finally:
            mutex.lock.release()

    def _mutex(self, session: str) -> _Mutex:
        with self._guard:
            return self._mutexes.setdefault(session, _Mutex())
