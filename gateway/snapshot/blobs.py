"""Where nodes share snapshots: named blobs, each whole under its name or not there. A directory, or S3 (`s3.py`).

In a directory a blob is a file: its content, then 8 bytes that say what it is, then the SHA-256 of the content. It is
written beside, flushed and renamed, and checked whenever it is read. Over NFS the directory must be mounted so that a
listing shows at once what another machine has written (`noac` or `actimeo=0`). Blocking: use a thread, any number.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import parse_qsl, urlsplit

from gateway.snapshot.folder import flush_directory

PART = 1 << 20  # bytes that are in memory at once
TAIL = b"CDPBLOB\x01"
TAIL_SIZE = len(TAIL) + hashlib.sha256().digest_size
NEW = ".new-"  # being written
LEFT = 86400.0  # seconds after which what was left half written is nobody's any more
USAGE = "wanted is file:DIR or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]"


class BlobMissing(Exception):
    """There is none of that name."""


class BlobDamaged(Exception):
    """It is not as it was written; the message says what, in words."""


class BlobsAway(Exception):
    """The storage cannot be reached, or does not do what it should; the message says why, without any secret."""


@dataclass(frozen=True, slots=True)
class Blob:
    """`size` in bytes, of the content; `modified` in seconds since 1970, by the storage's clock."""

    name: str
    size: int
    modified: float


class Blobs(Protocol):
    """Names have parts between slashes. Every call may raise BlobsAway, within about a minute of no answer."""

    def check(self) -> None:
        """At the start: whether it can be written, read and listed."""

    def list(self, prefix: str) -> Iterator[Blob]:
        """All whose names begin so, in the order of their names up to the last slash; what is whole only."""

    def get(self, name: str, into: IO[bytes]) -> None:
        """Copy the content to a seekable file that is empty, checked. Raises BlobMissing, BlobDamaged."""

    def put(self, name: str, source: IO[bytes]) -> None:
        """Take the content from a seekable file, all of it. It is there for good when this returns."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove these, in this order; what is not there is no error."""

    def sweep(self) -> int:
        """Remove what killed processes left half written more than a day ago; returns how much."""

    def close(self) -> None:
        """Give up connections."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where blobs are: a directory, or a bucket with what all names in it begin with."""

    directory: Path | None = None
    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        return f"file:{self.directory}" if self.directory else f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def snapshot_store(text: str) -> Place:
    """What a setting says, without looking whether it is there. Raises ValueError in words."""
    scheme, colon, rest = text.partition(":")
    if scheme == "file" and colon:
        path = Path(rest.removeprefix("//")).expanduser()
        if not path.is_absolute():
            raise ValueError(f"{text!r}: the directory must be absolute, like file:/srv/snapshots")
        return Place(directory=path)
    if scheme != "s3" or not rest.startswith("//"):
        raise ValueError(f"{text!r}: {USAGE}")
    parts = urlsplit(text)
    if not parts.netloc or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"a bucket is named like s3://BUCKET, credentials come from AWS's usual places: {USAGE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - {"endpoint", "region"}):
        raise ValueError(f"unknown option {unknown[0]!r} of s3://{parts.netloc}: {USAGE}")
    endpoint = options.get("endpoint")
    if endpoint is not None:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise ValueError(f"the endpoint of s3://{parts.netloc} must be a URL, https://HOST[:PORT], and no more")
    prefix = parts.path.strip("/")
    return Place(None, parts.netloc, f"{prefix}/" if prefix else "", endpoint, options.get("region"))


def open_blobs(place: Place) -> Blobs:
    """What a setting names; nothing is looked for yet. `close` it."""
    if place.directory is not None:
        return DirectoryBlobs(place.directory)
    from gateway.snapshot.s3 import S3Blobs  # it takes half a second and many megabytes

    return S3Blobs(place)


class DirectoryBlobs:
    """Blobs below a directory, which several machines may have mounted."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        name = f"{NEW}check-{secrets.token_hex(6)}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._directory / name).touch(0o600)
            if name not in os.listdir(self._directory):
                raise BlobsAway(f"{self._directory} does not show what was just written")
            (self._directory / name).unlink()
        except OSError as error:
            raise _away(self._directory, error) from error

    def list(self, prefix: str) -> Iterator[Blob]:
        try:
            yield from self._listed(prefix)
        except OSError as error:
            raise _away(self._directory, error) from error

    def _listed(self, prefix: str) -> Iterator[Blob]:
        folder, _, beginning = prefix.rpartition("/")
        try:
            entries = sorted(os.listdir(self._directory / folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            path = self._directory / folder / entry
            if not entry.startswith(beginning) or entry.startswith(NEW):
                continue
            name = f"{folder}/{entry}" if folder else entry
            if path.is_dir():
                yield from self._listed(f"{name}/")
                continue
            with suppress(FileNotFoundError):  # removed meanwhile
                status = path.stat()
                yield Blob(name, max(0, status.st_size - TAIL_SIZE), status.st_mtime)

    def get(self, name: str, into: IO[bytes]) -> None:
        path = self._directory / name
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size - TAIL_SIZE
                while left > 0 and (part := file.read(min(PART, left))):
                    digest.update(part)
                    into.write(part)
                    left -= len(part)
                if left != 0 or file.read() != TAIL + digest.digest():
                    raise BlobDamaged("it is damaged in the shared storage")
        except FileNotFoundError as error:
            raise BlobMissing(name) from error
        except OSError as error:
            raise _away(self._directory, error) from error

    def put(self, name: str, source: IO[bytes]) -> None:
        path = self._directory / name
        new = path.parent / f"{NEW}{secrets.token_hex(8)}"
        try:
            file = self._created(new)
            try:
                with file:
                    digest = hashlib.sha256()
                    while part := source.read(PART):
                        digest.update(part)
                        file.write(part)
                    file.write(TAIL + digest.digest())
                    file.flush()
                    os.fsync(file.fileno())
                new.rename(path)
            except OSError:
                with suppress(OSError):  # swept later
                    new.unlink(missing_ok=True)
                raise
            flush_directory(path.parent)
        except OSError as error:
            raise _away(self._directory, error) from error

    def _created(self, path: Path) -> IO[bytes]:
        while True:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # emptied and removed in this moment
                number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                return os.fdopen(number, "wb")

    def delete(self, names: Iterable[str]) -> None:
        try:
            for name in names:
                path = self._directory / name
                path.unlink(missing_ok=True)
                if path.parent != self._directory:
                    with suppress(OSError):  # there are others in it, or it is gone
                        path.parent.rmdir()
        except OSError as error:
            raise _away(self._directory, error) from error

    def sweep(self) -> int:
        done = 0
        try:
            for path in self._directory.rglob(f"{NEW}*"):
                with suppress(FileNotFoundError):  # it was being written, or another node sweeps
                    if path.stat().st_mtime < time.time() - LEFT:
                        path.unlink()
                        done += 1
        except OSError as error:
            raise _away(self._directory, error) from error
        return done

    def close(self) -> None:
        pass


def _away(directory: Path, error: OSError) -> BlobsAway:
    return BlobsAway(f"the directory {directory}: {error.strerror or error}")
