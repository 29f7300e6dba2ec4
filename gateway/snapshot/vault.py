"""Snapshots on disk: versions per session, complete or not there at all.

    DIRECTORY/SESSION/VERSION/manifest.json     what it is; no secrets
    DIRECTORY/SESSION/VERSION/context.zst       the context document
    DIRECTORY/SESSION/VERSION/profile.tar.zst   the profile, if the browser had one that can be kept

A version is written beside, flushed to the disk, and renamed: a full disk or a killed process leaves the versions
before it as they were. Directories have mode 0700, files 0600. All blocking work is done in threads.
"""

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from weakref import WeakValueDictionary

import zstandard

from gateway.errors import Code, GatewayError
from gateway.snapshot.archive import LEVEL, DamagedArchive, Writable, pack, unpack
from gateway.snapshot.document import ContextDocument, parse
from gateway.snapshot.seal import Sealer, unreadable

CONTEXT = "context.zst"
PROFILE = "profile.tar.zst"
MANIFEST = "manifest.json"
NEW = ".new-"  # being written
GONE = ".gone-"  # being removed

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True)
class SnapshotInfo:
    """A saved version: `bytes` on disk, `kind` of the browser (`chromium`, `headless-shell`), SHA-256 by file name."""

    session_id: str
    version: int
    created_at: str  # ISO 8601, UTC, ms
    bytes: int
    reason: str
    kind: str
    sealed: bool
    sha256: dict[str, str]

    @property
    def has_profile(self) -> bool:
        return PROFILE in self.sha256

    def to_json(self) -> dict[str, Any]:
        """The manifest."""
        return {
            "version": self.version,
            "createdAt": self.created_at,
            "bytes": self.bytes,
            "reason": self.reason,
            "browser": self.kind,
            "sealed": self.sealed,
            "sha256": self.sha256,
        }


class Vault:
    """The snapshots of all sessions below `directory`; of each the newest `keep` versions."""

    def __init__(self, directory: Path, sealer: Sealer, *, keep: int = 3) -> None:
        self._directory = directory
        self._sealer = sealer
        self._keep = keep
        self._saving: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def save(
        self, session_id: str, document: ContextDocument, *, profile: Path | None, kind: str, reason: str
    ) -> SnapshotInfo:
        """A new version; older ones than the newest `keep` are removed. `profile`: of a browser that has exited.

        Raises GatewayError(SAVE_FAILED) when the disk does not take it; then all is as before.
        """
        folder = self._folder(session_id)
        draft = SnapshotInfo(session_id, 0, _now(), 0, reason, kind, self._sealer.seals, {})
        async with self._saving.setdefault(session_id, asyncio.Lock()):
            return await asyncio.to_thread(self._save, folder, draft, document, profile)

    async def load_document(self, session_id: str, version: int | None = None) -> ContextDocument:
        """The context of one version, the newest if none is named.

        Raises GatewayError: NOTHING_SAVED, SNAPSHOT_UNREADABLE naming the snapshot.
        """
        return await asyncio.to_thread(self._load, self._folder(session_id), version)

    async def unpack_profile(self, session_id: str, version: int, into: Path) -> bool:
        """Put the profile into the directory `into`; False when that version has none. Raises as `load_document`."""
        return await asyncio.to_thread(self._unpack, self._folder(session_id), version, into)

    async def list(self, session_id: str) -> tuple[SnapshotInfo, ...]:
        """All versions, oldest first; one whose manifest is damaged has the reason `unreadable`."""
        return await asyncio.to_thread(self._list, self._folder(session_id))

    async def erase(self, session_id: str) -> None:
        """Remove all that was saved of a session; nothing saved is no error."""
        await asyncio.to_thread(_remove, self._folder(session_id), self._directory)

    def sweep(self) -> int:
        """At the start: remove what a killed process left half written or half removed. How many directories."""
        left = [path for pattern in (f"{GONE}*", f"*/{NEW}*", f"*/{GONE}*") for path in self._directory.glob(pattern)]
        for path in left:
            shutil.rmtree(path)
        return len(left)

    def _folder(self, session_id: str) -> Path:
        if not _SESSION.fullmatch(session_id):
            raise GatewayError(Code.BAD_REQUEST, "a session id has letters, digits, - and _ only")
        return self._directory / session_id

    def _save(self, folder: Path, draft: SnapshotInfo, document: ContextDocument, profile: Path | None) -> SnapshotInfo:
        new = folder / f"{NEW}{secrets.token_hex(6)}"
        try:
            new.mkdir(mode=0o700, parents=True)
            folder.chmod(0o700)  # mkdir gives parents the mode of the umask
            versions = _versions(folder)
            info = replace(draft, version=versions[-1] + 1 if versions else 1)
            writers: dict[str, Callable[[Writable], object]] = {CONTEXT: lambda file: _write(document, file)}
            if profile is not None:
                writers[PROFILE] = lambda file: pack(profile, file)
            for name, write in writers.items():
                size, digest = self._write_file(new / name, _name(folder, info.version), write)
                info = replace(info, bytes=info.bytes + size, sha256={**info.sha256, name: digest})
            with open(new / MANIFEST, "xb", opener=_private) as file:
                file.write(json.dumps(info.to_json()).encode())
                _flush(file)
            _flush_directory(new)
            new.rename(folder / str(info.version))
            _flush_directory(folder)
            _flush_directory(self._directory)
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)  # what is left is swept at the next start
            why = f"the snapshot of session {draft.session_id} cannot be saved: {error.strerror or error}"
            raise GatewayError(Code.SAVE_FAILED, why) from error
        for version in _versions(folder)[: -self._keep]:
            _remove(folder / str(version), folder)
        return info

    def _write_file(self, path: Path, name: str, write: Callable[[Writable], object]) -> tuple[int, str]:
        with open(path, "x+b", opener=_private) as file:
            with self._sealer.writing(file, f"{name}/{path.name}") as sealed:
                write(sealed)
            _flush(file)
            file.seek(0)
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()

    def _load(self, folder: Path, version: int | None) -> ContextDocument:
        if version is None:
            version = next(reversed(_versions(folder)), None)
        if version is None:
            raise GatewayError(Code.NOTHING_SAVED, f"nothing is saved of session {folder.name}")
        name = _name(folder, version)
        try:
            with self._open(folder, self._info(folder, version), CONTEXT) as file:
                data = zstandard.ZstdDecompressor().stream_reader(file).read()
            return parse(json.loads(data))
        except (zstandard.ZstdError, ValueError, RecursionError) as error:
            raise unreadable(name, "its context is no context document") from error
        except GatewayError as error:
            if error.code is Code.BAD_REQUEST:
                raise unreadable(name, error.message) from error
            raise

    def _unpack(self, folder: Path, version: int, into: Path) -> bool:
        info = self._info(folder, version)
        if not info.has_profile:
            return False
        try:
            with self._open(folder, info, PROFILE) as file:
                unpack(file, into)
        except DamagedArchive as error:
            raise unreadable(_name(folder, version), str(error)) from error
        return True

    def _open(self, folder: Path, info: SnapshotInfo, file_name: str) -> IO[bytes]:
        """The file, checked against the manifest and opened by the sealer."""
        name = _name(folder, info.version)
        try:
            file = (folder / str(info.version) / file_name).open("rb")
        except FileNotFoundError as error:
            raise unreadable(name, f"{file_name} is missing") from error
        try:
            if hashlib.file_digest(file, "sha256").hexdigest() != info.sha256.get(file_name):
                raise unreadable(name, f"{file_name} is damaged")
            file.seek(0)
            return self._sealer.reading(file, f"{name}/{file_name}")
        except GatewayError:
            file.close()
            raise

    def _list(self, folder: Path) -> tuple[SnapshotInfo, ...]:
        found = []
        for version in _versions(folder):
            try:
                found.append(self._info(folder, version))
            except GatewayError:  # told by its reason, and by `load_document` in words
                found.append(SnapshotInfo(folder.name, version, _now(), 0, "unreadable", "", False, {}))
        return tuple(found)

    def _info(self, folder: Path, version: int) -> SnapshotInfo:
        path = folder / str(version)
        if not path.is_dir():
            raise GatewayError(Code.NOTHING_SAVED, f"session {folder.name} has no snapshot {version}")
        try:
            fields = json.loads((path / MANIFEST).read_bytes())
            return SnapshotInfo(
                session_id=folder.name,
                version=version,
                created_at=str(fields["createdAt"]),
                bytes=int(fields["bytes"]),
                reason=str(fields["reason"]),
                kind=str(fields["browser"]),
                sealed=bool(fields["sealed"]),
                sha256=dict(fields["sha256"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(_name(folder, version), "its manifest is damaged") from error


def _name(folder: Path, version: int) -> str:
    return f"{folder.name}/{version}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _versions(folder: Path) -> list[int]:
    try:
        return sorted(int(entry) for entry in os.listdir(folder) if entry.isdecimal())
    except FileNotFoundError:
        return []


def _write(document: ContextDocument, file: Writable) -> None:
    data = json.dumps(document.to_json(), separators=(",", ":")).encode("ascii")
    file.write(zstandard.ZstdCompressor(level=LEVEL).compress(data))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    """A rename is on the disk once its directory is (fsync(2))."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _remove(path: Path, parent: Path) -> None:
    """Out of the way first, in one step: a version is never half there."""
    gone = parent / f"{GONE}{secrets.token_hex(6)}"
    try:
        path.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)
