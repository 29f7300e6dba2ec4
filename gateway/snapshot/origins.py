"""Which origins a profile directory knows: those that are stored but not open in any page. Best effort, read only.

A browser that somebody drives wrote the profile, and writes on: nothing in it is taken for more than a name. No link
is followed, and what is no regular file is not waited for.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.snapshot.document import origin_of

# `https_example.com_0.indexeddb.leveldb`, where 0 stands for the scheme's own port; partitioned storage lies elsewhere.
_INDEXED_DB = re.compile(r"(https?)_(.+)_(\d+)\.indexeddb\.leveldb")
# Keys of the local storage database (components/services/storage/dom_storage): META:ORIGIN, METAACCESS:ORIGIN and
# _ORIGIN\0NAME. Blocks may be compressed, then some are not found; a caret marks partitioned storage.
_LOCAL_STORAGE = re.compile(
    rb"(?:META:|METAACCESS:|_)(https?://[A-Za-z0-9.\-_\[\]:]{1,260}?)/?(?=[\x00-\x20\x80-\xff]|\Z)"
)
MAX_SCAN = 64 << 20  # bytes of local storage looked through


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # a pipe would wait for its other end


def known_origins(profile: Path) -> list[str]:
    """The origins found, sorted. `profile` is the user-data-dir; a damaged or missing one has none."""
    found: set[str] = set()
    for above in (("Default",), ()):
        with _opened(profile, *above, "IndexedDB") as folder:
            found.update(_from_indexed_db(folder))
        with _opened(profile, *above, "Local Storage", "leveldb") as folder:
            found.update(_from_local_storage(folder))
    return sorted(found)


@contextmanager
def _opened(profile: Path, *names: str) -> Iterator[int | None]:
    """The directory of these names below `profile`, for *at calls; None where one of them is missing, or a link."""
    with ExitStack() as stack:
        place = None
        try:
            for name in (str(profile), *names):
                place = os.open(name, _FOLDER, dir_fd=place)
                stack.callback(os.close, place)
        except OSError:  # not there, no directory, or closed to us: then nothing is known of it
            place = None
        yield place


def _from_indexed_db(folder: int | None) -> Iterator[str]:
    for name in _listed(folder):
        if match := _INDEXED_DB.fullmatch(name):
            scheme, host, port = match.groups()
            origin = origin_of(f"{scheme}://{host}" + (f":{port}" if port != "0" else ""))
            if origin:
                yield origin


def _from_local_storage(folder: int | None) -> Iterator[str]:
    left = MAX_SCAN
    for name in _listed(folder):
        if not name.endswith((".log", ".ldb")) or left <= 0:
            continue
        data = _read(name, folder, left)
        left -= len(data)
        for match in _LOCAL_STORAGE.finditer(data):
            if origin := origin_of(match[1].decode("ascii")):
                yield origin


def _listed(folder: int | None) -> list[str]:
    return [] if folder is None else sorted(os.listdir(folder))


def _read(name: str, folder: int | None, limit: int) -> bytes:
    """Of a regular file, at most `limit` bytes; nothing of what is none."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:  # compacted away by the running browser, a link, a socket, or closed to us
        return b""
    with open(descriptor, "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
