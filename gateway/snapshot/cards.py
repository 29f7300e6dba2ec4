"""Beside what a session or profile has saved: a card that says what it was, so that a lost record can be made anew.

    SESSION/card                                       on the disk of a gateway alone
    SESSION/card-GENERATION.INCARNATION.NUMBER.TOKEN   where nodes share snapshots

A card is the record (zstd of JSON), sealed as snapshots are, since it may have secrets: proxies' passwords, headers. In
its name are what the record's URLs are known by, its incarnation, the time in milliseconds, and the beginning of the
SHA-256 of what is stored: so nothing is overwritten, and of several that counts which is the greatest. Nothing brings
back URLs that were made worthless: whatever has the higher generation is greater. Of profiles it is the time alone.
"""

import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import zstandard

from gateway.egress.usage import Usage
from gateway.errors import GatewayError
from gateway.records import SessionRecord, Status
from gateway.snapshot.blobs import Blob, BlobDamaged, BlobMissing, Blobs
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.manifest import UNLIKE
from gateway.snapshot.packs import LEVEL, Damaged
from gateway.snapshot.seal import Sealer
from gateway.store.codec import Codec
from gateway.store.profiles import Profile

CARD = "card"
FORMAT = 1
MAX = 16 << 20  # bytes of a card that is read
_NAME = re.compile(rf"{CARD}-(\d{{1,18}})\.(\d{{1,18}})\.(\d{{1,18}})\.([0-9a-f]{{16}})")
_codec = Codec()  # all of a card is sealed


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """Which of several cards of one session counts: the greatest. `number` grows with time."""

    generation: int
    incarnation: int
    number: int


# --- what a card says: pure ---


Record = SessionRecord | Profile


def telling(record: Record) -> Record:
    """The record without what changes all the time and is worth no new card: two that are equal have one card."""
    if isinstance(record, Profile):
        return replace(record, updated_at=0.0, used_at=0.0)
    status = Status.STARTING if record.status.running else record.status
    return replace(
        record,
        status=status,
        reason=None if status.running else record.reason,
        last_used_at=None,
        connections=0,
        snapshot=None,
        snapshot_at=None,
        keeps=None,
        until=None,
        parked=False,
        secret=None,
        failures=0,
        used=Usage(),
        history=(),
    )


def write_card(record: Record, sealer: Sealer) -> bytes:
    """As it is stored."""
    if isinstance(record, Profile):
        what, text = "profile", _codec.profile(record)
    else:
        what, text = "session", _codec.record(record)
    card = json.dumps({"format": FORMAT, what: json.loads(text)}, separators=(",", ":"))
    target = io.BytesIO()
    with sealer.writing(target, _sealed_as(record.id)) as sealed:
        sealed.write(zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(card.encode()))
    return target.getvalue()


def read_card(data: bytes, session: str, sealer: Sealer) -> Record:
    """What `write_card` wrote. Raises Damaged, GatewayError(SNAPSHOT_UNREADABLE): no such key, damage."""
    with sealer.reading(io.BytesIO(data), _sealed_as(session)) as stream:
        frame = stream.read()
    try:
        fields = json.loads(zstandard.ZstdDecompressor().decompress(frame, max_output_size=MAX))
        if fields["format"] != FORMAT:
            raise Damaged("its card is one of another version of the gateway")
        record: Record
        if "profile" in fields:
            record = _codec.read_profile(json.dumps(fields["profile"]))
        else:
            record = _codec.read_record(json.dumps(fields["session"]))
    except Damaged:
        raise
    except (zstandard.ZstdError, *UNLIKE) as error:
        raise Damaged("its card is damaged") from error
    if record.id != session:
        raise Damaged("its card is another's")
    return record


def is_card(name: str) -> bool:
    """Whether a blob, named below its session, is a card."""
    return _NAME.fullmatch(name) is not None


def _sealed_as(session: str) -> str:
    return f"{session}/{CARD}"


def _name(rank: Rank, data: bytes) -> str:
    token = hashlib.sha256(data).hexdigest()[:16]
    return f"{CARD}-{rank.generation}.{rank.incarnation}.{rank.number}.{token}"


def _ranked(session: str, blobs: Iterable[Blob]) -> list[tuple[Rank, str]]:
    """Of a session's blobs the cards, the greatest first, by rank and name."""
    found = []
    for blob in blobs:
        if match := _NAME.fullmatch(blob.name.removeprefix(f"{session}/")):
            found.append((Rank(int(match[1]), int(match[2]), int(match[3])), blob.name))
    return sorted(found, reverse=True)


# --- on a disk of one's own: blocking ---


def put_here(folder: SessionFolder, data: bytes) -> None:
    """In place of the one before; of a session that was erased meanwhile nothing is written. Raises OSError."""
    with folder.locked() as there:
        if there:
            folder.replace(CARD, data)


def card_here(folder: SessionFolder) -> bytes | None:
    """Raises OSError."""
    try:
        return (folder.path / CARD).read_bytes()
    except FileNotFoundError:
        return None


# --- where nodes share: blocking ---


class SharedCards:
    """Cards in the storage that nodes share; those that it did not take are kept until it does.

    Who calls sees to it that no other thread does for the same session.
    """

    def __init__(self, blobs: Blobs, sealer: Sealer) -> None:
        self._blobs = blobs
        self._sealer = sealer
        self._number = 0
        self._counting = threading.Lock()
        self._left: dict[str, tuple[Rank, bytes]] = {}

    @property
    def left(self) -> tuple[str, ...]:
        """Sessions whose card the storage did not take yet."""
        return tuple(self._left)

    def keep(self, record: Record) -> None:
        """Make a card of it, to be put another time."""
        with self._counting:
            number = self._number = max(self._number + 1, time.time_ns() // 1_000_000)
        rank = Rank(0, 0, number)
        if isinstance(record, SessionRecord):
            rank = Rank(record.generation, record.incarnation, number)
        self._left[record.id] = rank, write_card(record, self._sealer)

    def put(self, session: str) -> None:
        """What was kept, in place of those of lower rank. Raises BlobsAway; then it is kept on."""
        if (kept := self._left.get(session)) is None:
            return
        rank, data = kept
        self._blobs.put(f"{session}/{_name(rank, data)}", io.BytesIO(data))
        cards = _ranked(session, self._blobs.list(f"{session}/{CARD}-"))
        self._blobs.delete([name for other, name in cards if other < rank])
        self._left.pop(session, None)

    def forget(self, session: str) -> None:
        """It was erased: nothing of it is put any more."""
        self._left.pop(session, None)


def newest_shared(blobs: Blobs, session: str, sealer: Sealer) -> Record | None:
    """What the greatest card says that can be read; None where there is none.

    Raises BlobsAway; Damaged, GatewayError(SNAPSHOT_UNREADABLE) where there are some and none can be read.
    """
    failure: Damaged | GatewayError | None = None
    cards = _ranked(session, blobs.list(f"{session}/{CARD}-"))
    for _, name in cards:
        into = io.BytesIO()
        try:
            with suppress(BlobMissing):  # in the place of which there is a greater one by now, which was not listed
                blobs.get(name, into)
                record = read_card(into.getvalue(), session, sealer)
                if isinstance(record, SessionRecord):  # an older one does not bring back URLs that were rotated away
                    return replace(record, generation=max(record.generation, cards[0][0].generation))
                return record
        except BlobDamaged as error:
            failure = failure or Damaged(f"its card: {error}")
        except (Damaged, GatewayError) as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return None
