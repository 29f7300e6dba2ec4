"""Now and then one node of all goes through everything that the shared storage has: what is old goes. Blocking."""

import itertools
import time
from collections.abc import Callable
from io import BytesIO

from gateway.snapshot.blobs import LEFT, Blobs
from gateway.snapshot.cards import is_card
from gateway.snapshot.claims import stored
from gateway.snapshot.folder import instant, is_session

ROUND = 3000.0  # seconds: within that one node of all looks
ROUNDS = ".rounds"


class Rounds:
    """`expired(session, since)` removes a session's versions from before an instant; how many. All raise BlobsAway."""

    def __init__(self, blobs: Blobs, expired: Callable[[str, str], int]) -> None:
        self._blobs = blobs
        self._expired = expired
        self._mine = False

    def expire(self, since: str) -> int:
        """Versions of all sessions, if it is this node's turn; and what was left that no version needs.

        That are packs of a save that was never ended, and the card of a session that has none.
        """
        self._mine = self._turn()
        if not self._mine:
            return 0
        done = 0
        for session, listed in itertools.groupby(self._blobs.list(""), lambda blob: blob.name.partition("/")[0]):
            if not is_session(session):
                continue
            blobs = list(listed)
            there = stored(blobs, session)
            if any(instant(blob.modified) < since for blob in blobs) and len(there.copies) > 1:
                done += self._expired(session, since)
            elif not there.copies and all(blob.modified < time.time() - LEFT for blob in blobs):
                left = [f"{session}/{name}" for copies in there.packs.values() for name in copies]
                left += [blob.name for blob in blobs if is_card(blob.name.partition("/")[2])]
                self._blobs.delete(left)
        return done

    def sessions(self) -> tuple[str, ...]:
        """All that something is stored of, if it was this node's turn when `expire` was called."""
        if not self._mine:
            return ()
        names = {blob.name.partition("/")[0] for blob in self._blobs.list("") if "/" in blob.name}
        return tuple(sorted(filter(is_session, names)))

    def _turn(self) -> bool:
        last = max((blob.modified for blob in self._blobs.list(ROUNDS) if blob.name == ROUNDS), default=0.0)
        if abs(time.time() - last) < ROUND:
            return False
        self._blobs.put(ROUNDS, BytesIO())
        return True
