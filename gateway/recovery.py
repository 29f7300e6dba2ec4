"""`cdp-gateway recover`: records that Redis or the disk has lost, made anew from what is saved of their sessions.

A record is put where there is none, in one step that fails where there is one or a node has the session: so nothing
that exists, runs or is being made is changed, and it may run beside gateways that serve.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from gateway.config import Config, ConfigError
from gateway.errors import GatewayError
from gateway.records import SessionId, SessionRecord
from gateway.session.ledger import HISTORY
from gateway.session.orphans import KILLED, LOST, orphaned
from gateway.session.roll import UNDER_A_NAME
from gateway.snapshot.blobs import BlobsAway, open_blobs, snapshot_store
from gateway.snapshot.finds import Find, Finds, LocalFinds, SharedFinds
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.seal import Sealer
from gateway.store.base import Query, Store
from gateway.store.codec import Codec
from gateway.store.connection import open_redis
from gateway.store.profiles import Profile, Stage
from gateway.store.redis import RedisStore
from gateway.store.sqlite import open_store

BATCH = 1000  # sessions that are looked at before any of them is brought back, the oldest first
AT_ONCE = 16  # looks
PROGRESS = 5.0  # seconds between two lines about it
RECOVERED = "recovered"  # as a record's history tells it
NOBODY = "recover"  # the name of no node: whatever a node has a lease on is another's


def revived(record: SessionRecord, find: Find, now: float, *, named: bool = True) -> SessionRecord:
    """The record as it is brought back: as the session was; one that ran then is put away. Pure.

    Its next browser is a later incarnation than any that left something. Without its name if not `named`.
    """
    assert find.info is not None
    record = replace(
        record,
        spec=record.spec if named else replace(record.spec, name=None),
        incarnation=max(record.incarnation, find.fence),
        snapshot=find.info.version,
        snapshot_at=find.info.created_at,
        keeps=None,
        until=None,
        parked=False,
        secret=None,
        history=(*record.history, (now, RECOVERED))[-HISTORY:],
    )
    if record.status.running:
        record = orphaned(record, (find.info,), KILLED if record.node is None else LOST, now)
    if record.spec.idle is not None and not record.status.ended:
        record = replace(record, last_used_at=now)  # when it was used last is not known: it has its time once more
    return record


@dataclass(slots=True)
class Tally:
    """How many sessions and profiles were looked at, had a record, were brought back, and could not be."""

    looked: int = 0
    known: int = 0
    back: int = 0
    failed: int = 0


@dataclass(slots=True)
class Recovery:
    """One run. `wait` are seconds in which nodes that run a session have said so; `dry`: nothing is written."""

    store: Store
    finds: Finds
    wait: float
    dry: bool
    tally: Tally = field(default_factory=Tally)

    async def run(self) -> Tally:
        """Raises GatewayError STORE_UNAVAILABLE, BlobsAway, OSError: what was brought back by then is."""
        began = told = time.monotonic()
        ran: list[Find] = []
        names = self.finds.sessions()
        while batch := await asyncio.to_thread(lambda: tuple(itertools.islice(names, BATCH))):
            for find in await self._unknown(batch):
                if isinstance(find.record, SessionRecord) and find.info and find.record.status.running:
                    ran.append(find)
                else:
                    await self._treat(find)
            if time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                _say(f"looked at {self.tally.looked} sessions", sys.stderr)
        if ran and (left := began + self.wait - time.monotonic()) > 0:
            _say(f"{len(ran)} ran when they were last heard of: nodes have {left:.0f} s to say so", sys.stderr)
            await asyncio.sleep(left)
        for find in ran:
            if await self._known(find.session):
                self.tally.known += 1
            else:
                await self._treat(find)
        return self.tally

    async def _unknown(self, sessions: tuple[str, ...]) -> list[Find]:
        """Of these the ones without a record, in the order in which they were made."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def look(session: str) -> Find | None:
            async with turns:
                if await self._known(session):
                    return None
                return await asyncio.to_thread(self.finds.look, session)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(look(session)) for session in sessions]  # the group awaits them
        except ExceptionGroup as failed:  # the storage or the store is away: the first stands for all
            raise failed.exceptions[0] from None
        self.tally.looked += len(sessions)
        found = [find for task in tasks if (find := task.result()) is not None]
        self.tally.known += len(sessions) - len(found)
        return sorted(found, key=lambda find: find.record.created_at if find.record else 0.0)

    async def _known(self, session: str) -> bool:
        if await self.store.get(SessionId(session)) is not None:
            return True
        return await self.store.profiles.get(session) is not None

    async def _treat(self, find: Find) -> None:
        if not find.versions:
            return  # it was erased: what is left of it goes by itself
        record, info = find.record, find.info
        if info is not None and isinstance(record, SessionRecord):
            await self._session(record, find)
        elif info is not None and isinstance(record, Profile):
            await self._profile(record, info)
        elif await self._known(find.session):  # it was just being made
            self.tally.known += 1
        else:
            why = "no version of it is whole" if info is None else find.why
            self.tally.failed += 1
            _say(f"{find.session}  cannot be brought back by itself: {why}")

    async def _session(self, record: SessionRecord, find: Find) -> None:
        now = time.time()
        named = not await self._name_taken(record, now)
        back = revived(record, find, now, named=named)
        if not self.dry and not await self.store.put_back(back):
            self.tally.known += 1
            _say(f"{back.id}  is left as it is: there is a record of it by now, or a node runs it")
            return
        words = [back.id, str(back.settled(now).status), f"tenant {back.spec.tenant}"]
        if back.spec.name is not None:
            words.append(f"name {back.spec.name!r}")
        elif not named:
            words.append(f"without its name {record.spec.name!r}, which another session has by now")
        self._brought(*words, f"snapshot {back.snapshot} of {back.snapshot_at}")

    async def _profile(self, profile: Profile, info: SnapshotInfo) -> None:
        """One that nobody uses is erased some day: it has its time once more."""
        back = replace(profile, stage=Stage.READY, version=info.version, used_at=time.time())
        if not self.dry:
            await self.store.profiles.add(back)
        self._brought(back.id, "profile", f"tenant {back.tenant}", f"snapshot {back.version} of {info.created_at}")

    def _brought(self, *words: str) -> None:
        self.tally.back += 1
        _say("  ".join(words))

    async def _name_taken(self, record: SessionRecord, now: float) -> bool:
        """Whether a session that was not brought back, and can be connected to, has its name by now."""
        name = record.spec.name
        if name is None or record.settled(now).status.ended:
            return False  # of those that have ended several may have one name
        cursor: str | None = None
        while True:
            page = await self.store.page(Query(record.spec.tenant, name=name, among=UNDER_A_NAME, cursor=cursor))
            others = (other.settled(now) for other in page.records)
            if any(not other.status.ended and not _brought_back(other) for other in others):
                return True
            if (cursor := page.next_cursor) is None:
                return False


def _brought_back(record: SessionRecord) -> bool:
    return any(word == RECOVERED for _, word in record.history)


def _say(line: str, where: TextIO | None = None) -> None:
    where = where or sys.stdout
    where.write(f"{line}\n")
    where.flush()


async def recover(config: Config, *, dry: bool) -> int:
    """Bring back what can be, printing a line for each; 0, or 1 if something could not be, or nothing was reached.

    Raises ConfigError.
    """
    try:
        async with _opened(config, dry) as run:
            tally = await run.run()
    except (GatewayError, BlobsAway, OSError) as error:
        words = error.message if isinstance(error, GatewayError) else str(error)
        _say(f"cdp-gateway: {words}; what was brought back stays so: run it again", sys.stderr)
        return 1
    done = f"{tally.back} could be" if dry else f"{tally.back} were"
    _say(f"{tally.looked} saved, {tally.known} with a record, {done} brought back, {tally.failed} could not be")
    return 1 if tally.failed else 0


@asynccontextmanager
async def _opened(config: Config, dry: bool) -> AsyncIterator[Recovery]:
    sealer = Sealer(config.encryption_key)
    codec = Codec(sealer)
    async with AsyncExitStack() as stack:
        aside = Path(stack.enter_context(TemporaryDirectory(prefix="cdpg-")))
        store: Store
        if config.redis_url is not None:
            redis = await stack.enter_async_context(open_redis(config.redis_url))
            await redis.about()  # before anything is looked for
            store = RedisStore(redis, NOBODY, codec)
        else:
            store = await stack.enter_async_context(open_store(_file(config.data_dir, aside, dry), codec))
        finds: Finds
        if config.snapshot_store is None:
            finds = LocalFinds(config.data_dir / "snapshots", sealer)
        else:
            try:
                place = snapshot_store(config.snapshot_store)
            except ValueError as error:
                raise ConfigError(f"snapshot_store: {error}") from None
            blobs = await asyncio.to_thread(open_blobs, place)
            stack.callback(blobs.close)
            finds = SharedFinds(blobs, sealer, aside)
        yield Recovery(store, finds, config.node_timeout if config.redis_url is not None else 0.0, dry)


def _file(data_dir: Path, aside: Path, dry: bool) -> Path:
    if not data_dir.is_dir():
        raise ConfigError(f"data_dir: {data_dir} is not there: give the one that the gateway has")
    file = data_dir / "gateway.sqlite"
    return aside / file.name if dry and not file.exists() else file
