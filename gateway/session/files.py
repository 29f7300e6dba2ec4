"""A session's files: what its browser downloaded, and what was uploaded for its pages.

While a browser runs they are in its own directory (`DIR/downloads`, `DIR/uploads`), the only place that it can reach;
when it is put away they are moved to `ROOT/ID/`, and back for the next one. They end with the session's record.
"""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from browser_pool.browser import Browser
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import Mode
from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, is_session_id
from gateway.relay.places import DOWNLOADS, UPLOADS, Places
from gateway.session import shelf
from gateway.session.shelf import Arriving, Entry

PERIOD = 5.0  # seconds between looks at how much the browsers have downloaded
BATCH = 256 << 10  # bytes of an upload that are written at once

log = structlog.get_logger()


class Kind(StrEnum):
    """Where a file is from."""

    DOWNLOAD = "download"
    UPLOAD = "upload"

    @property
    def directory(self) -> str:
        """The name of the directory for it."""
        return DOWNLOADS if self is Kind.DOWNLOAD else UPLOADS


@dataclass(frozen=True, slots=True)
class File:
    """One file of a session."""

    kind: Kind
    entry: Entry


class Files:
    """The files of all sessions. `root` is where they are without a browser; `limit` is in bytes a session."""

    def __init__(self, root: Path, limit: int) -> None:
        self._root = root
        self._limit = limit
        self._browsers: dict[SessionId, Path] = {}
        self._arriving: Counter[SessionId] = Counter()  # bytes
        self._arrived = 0  # uploads so far, of all sessions

    @asynccontextmanager
    async def within(self, session: SessionId, browser: Browser, *, first: bool) -> AsyncIterator[None]:
        """For this block they are with the browser; `first`: there is none of an earlier one. Raises DevToolsError."""
        directory = browser.directory
        if not first:
            await self._move(session, self._root / session, directory.path)
        if browser.mode is Mode.SHELL:  # it has no preferences, and refuses downloads by itself
            allowed = {"behavior": "allow", "downloadPath": str(directory.downloads)}
            await browser.devtools.send("Browser.setDownloadBehavior", allowed)
        self._browsers[session] = directory.path
        try:
            yield
        finally:
            del self._browsers[session]
            await self.collect(session, directory)

    async def collect(self, session: SessionId, directory: BrowserDirectory) -> None:
        """Keep the files of a browser that goes."""
        await self._move(session, directory.path, self._root / session)

    async def listed(self, session: SessionId) -> list[File]:
        """By kind and name."""
        return await asyncio.to_thread(_listed, self._place(session))

    def open(self, session: SessionId, name: str, kind: Kind | None) -> tuple[File, int]:
        """To read, with a descriptor that the caller closes; a download before an upload. Raises NOT_FOUND (404).

        Without a thread, whose result would be lost to a cancel: nothing that it opens makes it wait.
        """
        for one in Kind if kind is None else (kind,):
            try:
                entry, descriptor = shelf.open_file(self._place(session) / one.directory, name)
            except FileNotFoundError:
                continue
            return File(one, entry), descriptor
        raise _missing(name)

    async def rename(self, session: SessionId, name: str, to: str) -> File:
        """An upload gets another name, in place of one of that. Raises BAD_REQUEST, NOT_FOUND (404)."""
        if not shelf.is_name(to):
            raise _no_name()
        try:
            return File(Kind.UPLOAD, await asyncio.to_thread(shelf.rename, self._place(session) / UPLOADS, name, to))
        except FileNotFoundError:
            raise _missing(name) from None

    async def delete(self, session: SessionId, name: str, kind: Kind | None) -> None:
        """Raises NOT_FOUND (404)."""
        for one in Kind if kind is None else (kind,):
            try:
                await asyncio.to_thread(shelf.remove, self._place(session) / one.directory, name)
            except FileNotFoundError:
                continue
            return
        raise _missing(name)

    async def add(self, session: SessionId, name: str, chunks: AsyncIterator[bytes]) -> File:
        """An upload, in place of one of that name. Raises BAD_REQUEST, BODY_TOO_LARGE (413), SAVE_FAILED (503)."""
        if not shelf.is_name(name):
            raise _no_name()
        came, arriving = 0, Arriving(self._place(session) / UPLOADS, name)
        try:
            looked, there = self._arrived, sum(file.entry.size for file in await self.listed(session))
            await to_the_end(asyncio.to_thread(arriving.begin))
            async for batch in _batches(chunks):
                came += len(batch)
                self._arriving[session] += len(batch)
                while looked != self._arrived:  # what has arrived since is among the files, and maybe was not then
                    looked, there = self._arrived, sum(file.entry.size for file in await self.listed(session))
                if there + self._arriving[session] > self._limit:
                    raise GatewayError(
                        Code.BODY_TOO_LARGE, f"the files of a session hold at most {self._limit} bytes (files_max)"
                    )
                await to_the_end(asyncio.to_thread(arriving.write, batch))
            entry = await to_the_end(asyncio.to_thread(arriving.commit))
            self._arrived += 1
            return File(Kind.UPLOAD, entry)
        except OSError as error:
            raise GatewayError(Code.SAVE_FAILED, f"the file could not be kept: {error.strerror}") from error
        finally:
            self._arriving[session] -= came
            if not self._arriving[session]:
                del self._arriving[session]
            await to_the_end(asyncio.to_thread(arriving.close))

    async def erase(self, session: SessionId) -> None:
        """All that is kept of a session without a browser. Repeating it is harmless."""
        await to_the_end(asyncio.to_thread(shutil.rmtree, self._root / session, ignore_errors=True))

    async def sessions(self) -> list[SessionId]:
        """Those without a browser of which there are files."""
        return await asyncio.to_thread(_sessions, self._root)

    async def watch(self) -> None:
        """Hold downloads to the limit: what is being downloaded goes first, then what came last."""
        while True:
            await asyncio.sleep(PERIOD)
            for session, place in tuple(self._browsers.items()):
                if lost := await to_the_end(asyncio.to_thread(_trimmed, place, self._limit)):
                    log.warning("files_over_limit", session=session, removed=len(lost), limit=self._limit)

    def _place(self, session: SessionId) -> Path:
        return self._browsers.get(session, self._root / session)

    async def _move(self, session: SessionId, source: Path, target: Path) -> None:
        try:
            await to_the_end(asyncio.to_thread(_moved, source, target))
        except OSError as error:  # the session itself is worth more than its files
            log.warning("files_not_moved", session=session, error=str(error))


def places_of(directory: BrowserDirectory) -> Places:
    """The same directories for commands on their way to the browser."""
    return Places(str(directory.downloads), str(directory.uploads))


def _listed(place: Path) -> list[File]:
    return [File(kind, entry) for kind in Kind for entry in shelf.entries(place / kind.directory)]


def _moved(source: Path, target: Path) -> None:
    for kind in Kind:
        shelf.move(source / kind.directory, target / kind.directory)


def _sessions(root: Path) -> list[SessionId]:
    return [SessionId(path.name) for path in root.glob("*") if is_session_id(path.name)]


def _trimmed(place: Path, limit: int) -> list[str]:
    """Remove downloads until the rest is within `limit` bytes; their names."""
    files = _listed(place)
    over, lost = sum(file.entry.size for file in files) - limit, []
    downloads = [file.entry for file in files if file.kind is Kind.DOWNLOAD]
    for entry in sorted(downloads, key=lambda entry: (entry.complete, time.time() - entry.modified_at)):
        if over <= 0:
            break
        try:
            shelf.remove(place / DOWNLOADS, entry.name, emptied=True)
        except FileNotFoundError:  # its page was faster
            continue
        over -= entry.size
        lost.append(entry.name)
    return lost


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= BATCH:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _no_name() -> GatewayError:
    words = "name: one part of a path is wanted, at most 255 bytes long, visible and without a dot to begin with"
    return GatewayError(Code.BAD_REQUEST, words)


def _missing(name: str) -> GatewayError:
    return GatewayError(Code.NOT_FOUND, f"the session has no file {name[:80]!r}")
