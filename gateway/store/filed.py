"""Documents in Redis that are found by more than their id: each one key, and members of sorted sets (`lua/filed.lua`).

Scripts change a document together with its sets, so that these are never at odds.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.store.base import BATCH
from gateway.store.connection import PREFIX, Arg, Connection, script

NUMBER = f"{PREFIX}number"
STEP = 2000  # candidates that one command looks at
PACKAGE = "gateway.store"
ADD = script(PACKAGE, "filed", "add")
PUT = script(PACKAGE, "filed", "put")
DROP = script(PACKAGE, "filed", "drop")
RANGE = script(PACKAGE, "range")
PAGE = script(PACKAGE, "filed", "page")


class Put(Enum):
    """What became of a document that was to replace another."""

    DONE = 1
    LATE = 0  # there is none, or one of a later incarnation
    FOREIGN = -1  # another node has a lease on it


@dataclass(frozen=True, slots=True)
class Sheet:
    """A document as it is filed. `line` are its places (`places.line`), `text` is JSON."""

    id: str
    line: str
    text: bytes
    incarnation: int = 0


class Filed:
    """All documents of one sort: `cdpg:SORT:ID`. Every call may raise GatewayError STORE_UNAVAILABLE."""

    def __init__(self, connection: Connection, sort: str) -> None:
        self._redis = connection
        self._prefix = f"{PREFIX}{sort}:"

    async def add(self, sheet: Sheet, least: int, among: Sequence[str] = (), node: str = "") -> bool:
        """A new one; False if there is one of that id. Its number is `least` or, where that is not, the next.

        With `among`, sets, it is put where `least` belongs among theirs, also before others. With `node` only if no
        other has the lease on it: else False too.
        """
        mark = secrets.token_hex(8)  # by which a call that is sent twice knows its own
        args: list[Arg] = [sheet.id, sheet.incarnation, mark, sheet.line, sheet.text, least, node, *among]
        keys = (self._prefix + sheet.id, NUMBER, f"{PREFIX}lease:{sheet.id}")
        return bool(await self._redis.run(ADD, keys, args) == 1)

    async def put(self, sheet: Sheet, node: str = "") -> Put:
        """Replace one. With `node` only if no other has the lease on it."""
        keys = (self._prefix + sheet.id, f"{PREFIX}lease:{sheet.id}")
        args = (sheet.id, sheet.incarnation, sheet.line, sheet.text, node)
        return Put(await self._redis.run(PUT, keys, args))

    async def get(self, number: str) -> bytes | None:
        """The text of one, or None."""
        value = await self._redis.call("GET", self._prefix + number)
        return None if value is None else _read(value)

    async def drop(self, number: str) -> bool:
        """Forget one; False if there is none."""
        return bool(await self._redis.run(DROP, (self._prefix + number,), (number,)) == 1)

    async def range(
        self, where: str, first: str, last: str, *, limit: int | None = None, highest: bool = False
    ) -> list[bytes]:
        """Some of a set, by score from `first` to `last` as ZRANGE BYSCORE has them, the `highest` ones first.

        At most `limit`, or else BATCH.
        """
        return [_read(value) for value in await self._values(where, first, last, limit or BATCH, highest)]

    async def every(self, where: str, *, highest: bool = False) -> AsyncIterator[bytes]:
        """All of a set whose scores are their numbers, a few at a time."""
        first, last = ("+inf", "-inf") if highest else ("-inf", "+inf")
        while True:
            values = await self._values(where, first, last, BATCH, highest)
            for value in values:
                yield _read(value)
            if len(values) < BATCH:
                return
            first = "(" + values[-1].split(b" ", 1)[0].decode()

    async def page(self, tenant: str, cursor: str | None, limit: int, sets: str) -> list[bytes] | None:
        """Some that are in `sets` (`places.sets`), the newest first, behind `cursor`; None if a tenant has none such.

        However many there are, no command looks at more than some thousand, nor holds up others for long.
        """
        found: list[bytes] = []
        behind, below = cursor or "", b""
        while len(found) < limit:
            args = (self._prefix, tenant, behind, below, limit - len(found), STEP, sets)
            reply = await self._redis.run(PAGE, (), args)
            if not reply:
                return None
            below, *values = reply
            found += [_read(value) for value in values]
            if below == b"":
                break
            behind = ""
        return found

    async def _values(self, where: str, first: str, last: str, limit: int, highest: bool) -> list[bytes]:
        args = (self._prefix, first, last, limit, "REV" if highest else "")
        return list(await self._redis.run(RANGE, (PREFIX + where,), args))


def _read(value: bytes) -> bytes:
    return value.split(b"\n", 1)[1]
