"""The directory of one session's snapshots: its versions, its lock, and who may write. Blocking: use a thread.

    SESSION/VERSION.manifest   a version (`manifest.py`); earlier gateways wrote SESSION/VERSION/ (`legacy.py`)
    SESSION/pack-NAME          what versions are made of (`packs.py`)
    SESSION/card               what the session was (`cards.py`)
    SESSION/fence              the number of the newest incarnation that claimed or saved
    SESSION/lock               held (flock) by whoever writes; readers need none

A file is written beside, flushed to the disk and renamed, and a manifest comes last and goes first. So a full disk or
a killed process at any moment leaves every version as it was, and at most some files that nobody names; these are
removed by the next writer, or by the sweep at the start. Directories have mode 0700, files 0600.
"""

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.snapshot.legacy import old_info
from gateway.snapshot.manifest import Header, Manifest, SnapshotInfo, read_header, read_manifest
from gateway.snapshot.packs import PREFIX, Damaged
from gateway.snapshot.seal import Sealer

MANIFEST = ".manifest"
FENCE = "fence"
LOCK = "lock"
NEW = ".new-"  # being written
GONE = ".gone-"  # being removed
MAX_LINE = 1 << 20  # bytes of a manifest's first line
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def is_session(name: str) -> bool:
    """Whether it can be a session's id: others name files of ours, or of somebody else."""
    return _SESSION.fullmatch(name) is not None


def instant(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC, ms: as text in the order of time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Busy(Exception):
    """Somebody else is writing."""


class SessionFolder:
    """`path` is named by the session's id; it need not be there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def session_id(self) -> str:
        return self.path.name

    def name(self, version: int) -> str:
        """How errors and seals call a version."""
        return f"{self.session_id}/{version}"

    def versions(self) -> list[int]:
        """All of them, oldest first, whether or not they can be read."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(text) for name in names if (text := name.removesuffix(MANIFEST)).isdecimal())

    def is_old(self, version: int) -> bool:
        """Whether an earlier gateway wrote it (`legacy.py`)."""
        return (self.path / str(version)).is_dir()

    def has(self, version: int) -> bool:
        return (self.path / f"{version}{MANIFEST}").exists() or self.is_old(version)

    def header(self, version: int) -> Header:
        """Raises Damaged."""
        if self.is_old(version):
            return Header(old_info(self.path, version), {})
        try:
            with (self.path / f"{version}{MANIFEST}").open("rb") as file:
                line = file.readline(MAX_LINE)
        except OSError as error:
            raise Damaged(f"its manifest cannot be read: {error.strerror}") from error
        return read_header(line.rstrip(b"\n"), self.session_id, version)

    def manifest(self, version: int, sealer: Sealer) -> Manifest:
        """Raises Damaged, GatewayError(SNAPSHOT_UNREADABLE)."""
        try:
            data = (self.path / f"{version}{MANIFEST}").read_bytes()
        except OSError as error:
            raise Damaged(f"its manifest cannot be read: {error.strerror}") from error
        return read_manifest(data, self.session_id, version, sealer, self.name(version))

    def infos(self) -> tuple[SnapshotInfo, ...]:
        """All versions, oldest first; one that cannot be read has the reason `unreadable`."""
        found = []
        for version in self.versions():
            try:
                found.append(self.header(version).info)
            except Damaged:
                if self.has(version):
                    at = self._written_at(version)
                    found.append(SnapshotInfo(self.session_id, version, at, 0, "unreadable", "", False))
        return tuple(found)

    def _written_at(self, version: int) -> str:
        """As the file system knows."""
        old = self.path / str(version)
        with suppress(FileNotFoundError):
            return instant((old if old.is_dir() else self.path / f"{version}{MANIFEST}").stat().st_mtime)
        return instant(0)

    def pack_size(self, pack: str) -> int:
        """In bytes; 0 when it is not there."""
        try:
            return (self.path / pack).stat().st_size
        except OSError:
            return 0

    def size(self) -> int:
        """Bytes on disk."""
        total = 0
        for path in self.path.rglob("*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                status = path.lstat()
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
        return total

    # --- writing: with the lock held ---

    @contextmanager
    def locked(self, *, make: bool = False, wait: bool = True) -> Iterator[bool]:
        """Alone in the directory for this block, on this machine; False where there is none and `make` is not set.

        Raises OSError, and Busy if it would have to `wait` and must not.
        """
        file = self._lock(make, wait)
        try:
            yield file is not None
        finally:
            if file is not None:
                os.close(file)

    def _lock(self, make: bool, wait: bool) -> int | None:
        while True:
            if make:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.mkdir(self.path, 0o700)
                    flush_directory(self.path.parent)
            try:
                file = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                if make:
                    continue  # it has just been erased
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if os.path.samestat(os.fstat(file), os.stat(self.path / LOCK)):
                    return file
            except BlockingIOError as error:
                os.close(file)
                raise Busy from error
            except FileNotFoundError:
                pass  # erased while we waited: once more
            except OSError:
                os.close(file)
                raise
            os.close(file)

    def fence(self) -> int | None:
        """The newest incarnation that may write; None if none has claimed to. Raises OSError."""
        try:
            return int((self.path / FENCE).read_text())
        except (FileNotFoundError, ValueError):  # of a damaged file the versions still know
            return max((fence for fence in map(self._fence_of, self.versions()) if fence is not None), default=None)

    def _fence_of(self, version: int) -> int | None:
        with suppress(Damaged):
            return self.header(version).info.fence
        return None

    def set_fence(self, fence: int) -> None:
        """Raises OSError."""
        self.replace(FENCE, str(fence).encode())

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, wholly or not at all; on the disk when this returns. Raises OSError."""
        new = self.path / f"{NEW}{secrets.token_hex(6)}"
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
                os.fsync(file)
            finally:
                os.close(file)
            new.rename(self.path / name)
        except OSError:
            with suppress(OSError):  # swept later
                new.unlink(missing_ok=True)
            raise
        flush_directory(self.path)

    def add(self, version: int, manifest: bytes) -> None:
        """A version is there, and on the disk. Raises OSError; then it is not there."""
        try:
            self.replace(f"{version}{MANIFEST}", manifest)
        except OSError:
            with suppress(OSError):
                self.drop(version)
            raise

    def drop(self, version: int) -> None:
        """Remove a version; its packs go with `tidy`. Raises OSError."""
        if self.is_old(version):
            remove(self.path / str(version), self.path)
        else:
            (self.path / f"{version}{MANIFEST}").unlink(missing_ok=True)

    def tidy(self) -> int:
        """Remove what no version names and what was left half written; returns how much. Raises OSError."""
        live: set[str] | None
        try:
            live = {pack for version in self.versions() for pack in self.header(version).packs}
        except Damaged:
            live = None  # nobody knows what that version needs: nothing goes before it does
        done = 0
        for name in os.listdir(self.path):
            if name.startswith((NEW, GONE)) or (live is not None and name.startswith(PREFIX) and name not in live):
                done += 1
                if (self.path / name).is_dir():
                    shutil.rmtree(self.path / name)
                else:
                    (self.path / name).unlink(missing_ok=True)
        return done


def flush_directory(path: Path) -> None:
    """A rename is on the disk once its directory is (fsync(2))."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove(path: Path, parent: Path) -> None:
    """Out of the way first, in one step: nothing is ever half there. Raises OSError; nothing there is none."""
    gone = parent / f"{GONE}{secrets.token_hex(6)}"
    try:
        path.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)
