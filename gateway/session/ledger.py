"""What a session says of itself, and whether it is written down."""

from dataclasses import replace
from typing import Any

import structlog

from gateway.errors import GatewayError
from gateway.records import SessionRecord
from gateway.snapshot.vault import SnapshotInfo
from gateway.store.base import Fenced, Store

NOTED = 10.0  # seconds between two uses that are written down, where it matters when the last one was
HISTORY = 100  # changes that are remembered


class Ledger:
    """The record of one session that runs."""

    def __init__(self, record: SessionRecord, store: Store) -> None:
        self.record = record
        self._store = store
        self._written = record
        self._forfeited = False
        self._log = structlog.get_logger().bind(session=record.id)

    @property
    def unwritten(self) -> bool:
        """It says other than the store."""
        return self._written != self.record and not self._forfeited

    def change(self, **fields: Any) -> None:
        """Fields of the record that are now other."""
        self.record = replace(self.record, **fields)

    def saved(self, info: SnapshotInfo) -> None:
        """A snapshot of it was taken."""
        self.change(snapshot=info.version, snapshot_at=info.created_at)

    def tell(self, instant: float, word: str) -> None:
        """Something happened that its history tells."""
        self.change(history=(*self.record.history, (instant, word))[-HISTORY:])

    def worth_noting(self, instant: float) -> bool:
        """Whether a use at `instant` is to be written down, for a process that adopts the session: now and then."""
        idle = self.record.spec.idle
        return idle is not None and instant - (self.record.last_used_at or 0.0) > min(NOTED, idle / 4)

    def forfeit(self) -> None:
        """Another node has the session: what happens to it here is written down no more."""
        self._forfeited = True

    async def generation(self) -> None:
        """Make all URLs that were handed out worthless. Raises GatewayError.

        Where it cannot be written the old ones stay good: whoever asks has no new ones.
        """
        generation = self.record.generation + 1
        await self._store.update(replace(self.record, generation=generation))
        self.change(generation=generation)

    async def insist(self) -> None:
        """Write it down, or raise GatewayError."""
        await self._store.update(self.record)

    async def write(self) -> None:
        """Write it down where that is possible now; the session goes on in any case."""
        record = self.record
        if record == self._written or self._forfeited:
            return
        try:
            await self._store.update(record)
        except GatewayError as error:
            # The session stays here until its record could be written.
            self._log.error("record_not_written", error=error.message)
            return
        except Fenced as error:
            self._log.warning("record_not_ours", error=str(error))  # erased, or taken over: it is not ours to write
        self._written = record
