"""Which origins a profile directory knows: those that are stored but not open in any page. Best effort, read only."""

import re
from collections.abc import Iterator
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


def known_origins(profile: Path) -> list[str]:
    """The origins found, sorted. `profile` is the user-data-dir; a damaged or missing one has none."""
    found: set[str] = set()
    for folder in (profile / "Default", profile):
        found.update(_from_indexed_db(folder / "IndexedDB"))
        found.update(_from_local_storage(folder / "Local Storage" / "leveldb"))
    return sorted(found)


def _from_indexed_db(folder: Path) -> Iterator[str]:
    for entry in folder.glob("*.indexeddb.leveldb"):
        if match := _INDEXED_DB.fullmatch(entry.name):
            scheme, host, port = match.groups()
            origin = origin_of(f"{scheme}://{host}" + (f":{port}" if port != "0" else ""))
            if origin:
                yield origin


def _from_local_storage(folder: Path) -> Iterator[str]:
    left = MAX_SCAN
    for entry in sorted(folder.glob("*")):
        if entry.suffix not in (".log", ".ldb") or left <= 0:
            continue
        try:
            with entry.open("rb") as file:
                data = file.read(left)
        except FileNotFoundError:  # compacted away by the running browser
            continue
        left -= len(data)
        for match in _LOCAL_STORAGE.finditer(data):
            if origin := origin_of(match[1].decode("ascii")):
                yield origin
