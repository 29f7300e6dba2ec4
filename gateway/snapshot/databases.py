"""IndexedDB of one origin, as read so far: in small portions, and again only what has changed.

No portion holds the page's own work up for more than a few milliseconds; a record that is larger than one is read
whole.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from gateway.snapshot.script import Ask, ScriptFailed

SIZE_LIMIT = 64 << 20  # characters, of one origin
PORTION = 1 << 17  # characters, about; that of `storage.js`
FIRST, MOST = 64, 200  # records in one portion
ECHO = 0.5  # seconds in which Chromium tells of a list that our own reading has opened

Name = tuple[str, str]  # of a database and an object store in it


@dataclass
class _Store:
    """An object store: its schema, and what was read of it."""

    schema: dict[str, Any]
    records: list[Any] = field(default_factory=list)
    size: int = 0  # characters
    digest: bytes = b""
    lost: str = ""


@dataclass(eq=False)
class Databases:
    """What is known; `listed` False and the stores in `changed` are what has to be read again.

    Databases that were known before (`before`, of a restored browser) are replaced once they have been read.
    """

    listed: bool = False
    changed: set[Name] = field(default_factory=set)
    before: tuple[Mapping[str, Any], ...] = ()
    _versions: dict[str, float] = field(default_factory=dict)
    _stores: dict[Name, _Store] = field(default_factory=dict)
    _lost: dict[str, str] = field(default_factory=dict)  # databases that could not be opened
    _different: bool = False  # since `read` has told
    _echo: float = 0.0  # until then; time of the event loop
    _doubtful: bool = False  # what sounded like an echo may have been another database

    @property
    def dirty(self) -> bool:
        """Whether there is something to read."""
        return not self.listed or bool(self.changed)

    @property
    def lost(self) -> list[str]:
        """What could not be read, in words, without values."""
        stores = [
            f"object store {name} of database {database}: {store.lost}"
            for (database, name), store in self._stores.items()
            if store.lost
        ]
        return [*(f"database {name}: {words}" for name, words in self._lost.items()), *stores]

    def note(self, database: str | None, store: str | None) -> None:
        """An event tells that records of a store have changed; without names: which databases there are."""
        if database is not None and store is not None:
            self.changed.add((database, store))
        elif asyncio.get_running_loop().time() > self._echo:
            self.listed = False
        else:
            self._doubtful = True

    def doubt(self) -> None:
        """Somebody wants to know for certain: look again at what was taken for an echo."""
        if self._doubtful:
            self._doubtful = self.listed = False

    def forget(self) -> None:
        """Nobody has told of changes for a while: all is to be read again."""
        self.listed = False
        self.changed.update(self._stores)

    def state(self) -> tuple[Mapping[str, Any], ...]:
        """In the shape of the context document."""
        if self.before:
            return self.before
        return tuple(
            {
                "name": name,
                "version": version,
                "stores": [
                    {**store.schema, "records": store.records}
                    for (database, _), store in self._stores.items()
                    if database == name
                ],
            }
            for name, version in self._versions.items()
        )

    async def read(self, ask: Ask, *, until: float) -> bool:
        """Read what has to be; True if anything is different from before. `until` in seconds of the event loop.

        Raises ScriptFailed, DevToolsError, DevToolsGone and TimeoutError: then what was known stays, and is still to
        be read.
        """
        for database in {name for name, store in self.changed if (name, store) not in self._stores}:
            self._forget(database)  # another one of that name
            self.listed = False
        if not self.listed:
            self.listed = True  # what changes from here on is told by an event, and read next time
            try:
                await self._list(ask)
            except BaseException:
                self.listed = False
                raise
        for name in sorted(self.changed):
            self.changed.discard(name)
            try:
                if name in self._stores:  # else it is gone
                    await self._read_store(ask, name, until)
            except BaseException:
                self.changed.add(name)
                raise
        if self.before:
            self.before, self._different = (), True
        different, self._different = self._different, False
        if not different:
            # Reading opens the databases, which Chromium tells as if there were others. Were that looked into each
            # time, it would never end.
            self.listed, self._echo = True, asyncio.get_running_loop().time() + ECHO
        return different

    async def _list(self, ask: Ask) -> None:
        """Which databases and stores there are; records of those that are new have to be read."""
        found: dict[str, float] = dict(await ask("databases"))
        for name in [name for name in self._versions if name not in found]:
            self._forget(name)
        lost, self._lost = self._lost, {}
        for name, version in found.items():
            if self._versions.get(name) == version:
                continue
            self._forget(name)
            try:
                schema = await ask("schema", name)
            except ScriptFailed as error:
                self._lost[name] = _words(error)
                continue
            self._different = True
            self._versions[name] = schema["version"]
            for store in schema["stores"]:
                self._stores[name, store["name"]] = _Store(store)
                self.changed.add((name, store["name"]))
        self._different |= lost != self._lost
        # In the order of the list, however they came about.
        self._versions = {name: self._versions[name] for name in found if name in self._versions}

    def _forget(self, database: str) -> None:
        self._different |= self._versions.pop(database, None) is not None
        for name in [name for name in self._stores if name[0] == database]:
            del self._stores[name]

    async def _read_store(self, ask: Ask, name: Name, until: float) -> None:
        old = self._stores[name]
        left = SIZE_LIMIT - sum(store.size for store in self._stores.values()) + old.size
        new, digest = _Store(old.schema), blake2b(digest_size=16)
        last, count, failures, reason = None, FIRST, 0, ""
        clock: Callable[[], float] = asyncio.get_running_loop().time
        while True:
            if clock() > until:
                if old.records and not old.lost:  # all of what was is more than a part of what is
                    old.lost, self._different = "it is as it was before: more than can be read in time", True
                    return
                new.lost = "more than can be read in time"
                break
            try:
                portion = await ask("records", *name, last, count, left - new.size)
            except ScriptFailed as error:
                new.lost = _words(error)
                break
            text = json.dumps(portion["records"])
            digest.update(text[1:-1].encode() + b"," * bool(portion["records"]))  # the same however it is divided
            new.records += portion["records"]
            new.size += len(text)
            failures, reason = failures + portion["failures"], portion.get("reason", reason)
            if portion["full"]:
                new.lost = "more than can be saved"
                break
            if not portion["more"]:
                new.lost = f"{failures} records ({reason})" if failures else ""
                break
            last = portion["last"]
            fitting = PORTION * len(portion["records"]) // len(text)
            count = max(1, min(MOST, 2 * count, fitting)) if portion["records"] else count
        new.digest = digest.digest()
        self._stores[name] = new
        self._different |= (new.digest, new.lost) != (old.digest, old.lost)


def _words(error: ScriptFailed) -> str:
    return str(error).removeprefix("Error: ")
