"""Keeps what a node has on its own disk of what is stored elsewhere within a size. Blocking."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from gateway.snapshot.folder import SessionFolder, remove
from gateway.snapshot.uses import Uses

PERIOD = 60.0  # seconds at least between two looks now and then
log = structlog.get_logger()


class Cache:
    """Of `size` bytes below `directory`; beyond it those sessions go that were not used for longest.

    But none that is in use, nor one that `may_go` says no of. Of each that went `gone` is told.
    """

    def __init__(
        self,
        directory: Path,
        size: int,
        uses: Uses,
        may_go: Callable[[SessionFolder], bool],
        gone: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._size = size
        self._uses = uses
        self._may_go = may_go
        self._gone = gone
        self._looked = time.monotonic()

    def now_and_then(self, folders: Iterable[SessionFolder]) -> None:
        """As `trim`, but not oftener than once a minute. Raises OSError."""
        if time.monotonic() - self._looked > PERIOD:
            self.trim(folders)

    def trim(self, folders: Iterable[SessionFolder]) -> int:
        """Remove what is too much; how many sessions. Raises OSError."""
        self._looked = time.monotonic()
        sizes = {folder: folder.size() for folder in folders}
        total, done = sum(sizes.values()), 0
        for folder in sorted(sizes, key=self._last_used):
            if total <= self._size:
                break
            if self._uses.give_up(folder.session_id, lambda: self._remove(folder)):  # noqa: B023
                self._gone(folder.session_id)
                total, done = total - sizes[folder], done + 1
        if done:
            log.info("snapshots_evicted", sessions=done)
        return done

    def _last_used(self, folder: SessionFolder) -> float:
        try:
            return self._uses.used.get(folder.session_id) or folder.path.stat().st_mtime
        except FileNotFoundError:  # erased meanwhile
            return 0.0

    def _remove(self, folder: SessionFolder) -> bool:
        if not self._may_go(folder):
            return False
        remove(folder.path, self._directory)
        return True
