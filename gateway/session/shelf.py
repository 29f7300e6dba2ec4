"""One directory of files that a browser may have filled: nothing in it is trusted. Blocking; callers use a thread.

Whoever drives the browser may have put links, pipes and devices in it, or another thing in its place. So no link is
ever followed, not even the directory itself, everything is done relative to it once it is open (openat(2)), and only
regular files with a single name (st_nlink) count: a second name could be that of a file outside.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAME_LIMIT = 255  # bytes: what file systems take
MOST = 1000  # entries that are looked at: a browser can make any number of them
PARTIAL = ".crdownload"  # what Chromium calls a download until it is complete
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would wait for its other end


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: `size` in bytes, `modified_at` an instant."""

    name: str
    size: int
    modified_at: float

    @property
    def complete(self) -> bool:
        """Whether it is no download under way."""
        return not self.name.endswith(PARTIAL)


def is_name(text: str) -> bool:
    """Whether a file of a session can have this name: one part of a path, visible, and text that can be told."""
    if not text or text.startswith(".") or "/" in text or "\\" in text or not text.isprintable():
        return False
    try:
        return len(text.encode()) <= NAME_LIMIT
    except UnicodeEncodeError:  # what is no UTF-8 on disk has lone surrogates here
        return False


def entries(directory: Path) -> list[Entry]:
    """Its files by name, MOST at the most; none if it is not there."""
    found = []
    with suppress(FileNotFoundError), _opened(directory) as inside, os.scandir(inside) as listed:
        for number, item in enumerate(listed):
            if number >= MOST:
                break
            with suppress(OSError):  # it has just gone
                status = item.stat(follow_symlinks=False)
                if is_name(item.name) and _is_plain(status):
                    found.append(Entry(item.name, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.name)


def open_file(directory: Path, name: str) -> tuple[Entry, int]:
    """A file to read, as a descriptor that the caller closes. Raises FileNotFoundError for all that is none."""
    with _opened(directory) as inside:
        descriptor = _open(name, os.O_RDONLY, inside)
    status = os.fstat(descriptor)
    if not _is_plain(status):
        os.close(descriptor)
        raise FileNotFoundError(name)
    return Entry(name, status.st_size, status.st_mtime), descriptor


def remove(directory: Path, name: str, *, emptied: bool = False) -> None:
    """Remove a file, or a link of that name itself. Raises FileNotFoundError.

    `emptied`: of its contents first, for who still writes to it takes room until it is closed.
    """
    if not is_name(name):
        raise FileNotFoundError(name)
    with _opened(directory) as inside:
        if emptied:
            with suppress(OSError):  # a link, or gone: there is nothing to empty
                descriptor = _open(name, os.O_WRONLY, inside)
                try:
                    if _is_plain(os.fstat(descriptor)):
                        os.ftruncate(descriptor, 0)
                finally:
                    os.close(descriptor)
        try:
            os.unlink(name, dir_fd=inside)
        except IsADirectoryError:
            raise FileNotFoundError(name) from None


def rename(directory: Path, name: str, to: str) -> Entry:
    """Let a file have another name, in place of what had that. Raises FileNotFoundError."""
    with _opened(directory) as inside:
        descriptor = _open(name, os.O_RDONLY, inside)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not _is_plain(status):
            raise FileNotFoundError(name)
        os.rename(name, to, src_dir_fd=inside, dst_dir_fd=inside)
    return Entry(to, status.st_size, status.st_mtime)


class Arriving:
    """A file on its way into `directory`: whole under its name at the end, or not there at all."""

    def __init__(self, directory: Path, name: str) -> None:
        self._place = directory
        self._name = name
        self._hidden = f".arriving-{secrets.token_hex(8)}"
        self._directory = self._file = -1

    def begin(self) -> None:
        """Make it, and the directory if there is none. Raises OSError."""
        _make(self._place)
        with _opened(self._place) as inside:
            self._directory = os.dup(inside)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
            self._file = os.open(self._hidden, flags, 0o600, dir_fd=inside)

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def commit(self) -> Entry:
        """Let it stand under its name, in place of what had that. Raises OSError."""
        os.fchmod(self._file, 0o644)  # the browser may have another user than we
        status = os.fstat(self._file)
        os.rename(self._hidden, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        return Entry(self._name, status.st_size, status.st_mtime)

    def close(self) -> None:
        """At the end, whether begun, committed or not."""
        if self._file >= 0:
            with suppress(OSError):  # it stands under its name now, or went with the directory
                os.unlink(self._hidden, dir_fd=self._directory)
            os.close(self._file)
        if self._directory >= 0:
            os.close(self._directory)


def move(source: Path, target: Path) -> int:
    """Move the whole files of `source` to `target`, on the same file system; how many. Raises OSError.

    One of them must be out of the browser's reach: what was moved is looked at there.
    """
    found = [entry for entry in entries(source) if entry.complete]
    if not found:
        return 0
    _make(target)
    moved = 0
    with _opened(source) as here, _opened(target) as there:
        for entry in found:
            with suppress(FileNotFoundError):  # it has gone, or was no file
                os.rename(entry.name, entry.name, src_dir_fd=here, dst_dir_fd=there)
                moved += _shown(entry.name, there)
    return moved


def _shown(name: str, directory: int) -> bool:
    """Let every browser that can see the directory read the file; removes what is none (False)."""
    try:
        descriptor = _open(name, os.O_RDONLY, directory)
    except OSError:
        os.unlink(name, dir_fd=directory)
        return False
    try:
        if not _is_plain(os.fstat(descriptor)):
            os.unlink(name, dir_fd=directory)
            return False
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, 0)
        os.fchmod(descriptor, 0o644)
    finally:
        os.close(descriptor)
    return True


def _open(name: str, flags: int, directory: int) -> int:
    if not is_name(name):
        raise FileNotFoundError(name)
    try:
        return os.open(name, flags | _OPEN, dir_fd=directory)
    except OSError as error:  # a link (ELOOP), a socket or pipe (ENXIO)
        raise FileNotFoundError(name) from error


def _make(directory: Path) -> None:
    """With what leads to it, for nobody else to look into: `Path.mkdir` gives parents the usual mode."""
    if not directory.parent.exists():
        _make(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """The directory itself, for *at calls. Raises FileNotFoundError also for what is none."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:  # or a link to one
        raise FileNotFoundError(str(directory)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
