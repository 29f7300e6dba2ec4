"""A user-data-dir that somebody sends as a zip, to a profile that a browser of ours can begin with. Blocking.

Nothing in it is trusted: not its sizes, its names, its kinds of files. Of what it has only that is taken which pages
or their user would miss (KEPT), and of the preferences only what sites are allowed; extensions, settings and whatever
else could lead the browser elsewhere are left out.
"""

import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gateway.errors import Code, GatewayError

LARGEST = 1 << 30  # bytes, unpacked
MOST = 20_000  # files
INDEX = 4 << 20  # bytes of the zip's own list of them
DEEPEST = 32  # directories
LONGEST = 1024  # characters of a path
PREFERENCES = 8 << 20  # bytes
BATCH = 1 << 20
# In the profile proper, which Chromium calls `Default`. Databases have their journals beside them.
KEPT = frozenset(
    (
        "Cookies", "Network", "Local Storage", "Session Storage", "IndexedDB", "Service Worker", "File System",
        "WebStorage", "databases", "History", "Bookmarks", "Web Data", "Visited Links", "TransportSecurity",
        "Trust Tokens", "SharedStorage", "Preferences",
    )
)  # fmt: skip
JOURNALS = ("-journal", "-wal", "-shm")
SIGNS = ("Preferences", "Cookies", "Network", "Local Storage", "IndexedDB")  # of the profile proper
_END = struct.Struct("<4s4H2LH")  # the zip's end record (APPNOTE 4.3.16)
_LOCATOR = b"PK\x06\x07"  # before it, in a zip of more than 4 GiB or 65535 files (4.3.15)


def unpacked(archive: IO[bytes], into: Path) -> int:
    """Put what is kept of the zip into the empty directory `into`, as a user-data-dir; how many bytes that are.

    Raises GatewayError: UNSUPPORTED (422) for what is no such zip, BODY_TOO_LARGE (413); OSError.
    """
    try:
        _check_index(archive)
        with zipfile.ZipFile(archive) as zipped:
            members = _members(zipped.infolist())
            return _laid_out(zipped, members, into)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        # RuntimeError is zipfile's word for an encrypted one.
        raise _refused(f"it cannot be read: {str(error)[:200]}") from None


def _check_index(archive: IO[bytes]) -> None:
    """Before zipfile reads the whole list of files into memory."""
    size = archive.seek(0, 2)
    start = max(0, size - _END.size - 0xFFFF)
    archive.seek(start)
    tail = archive.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        raise _refused("it is no zip")
    _, _, _, _, count, length, _, _ = _END.unpack_from(tail, place)
    if tail[max(0, place - 20) : place].startswith(_LOCATOR) or count > MOST or length > INDEX:
        raise GatewayError(Code.BODY_TOO_LARGE, f"userDataDir: at most {MOST} files are taken")
    archive.seek(0)


def _members(infos: Iterable[zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """What is kept, by its path in the user-data-dir."""
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in infos:
        path = _path(info)
        if info.is_dir():
            continue
        if path in files:
            raise _refused(f"it has {info.filename[:100]!r} twice")
        files[path] = info
    root = _root(files)
    found: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for path, info in files.items():
        if path.is_relative_to(root) and _is_kept((inside := path.relative_to(root)).parts[0]):
            found[PurePosixPath("Default") / inside] = info
    if not found:
        raise _refused("there is nothing in its profile")
    return found


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(f"{name[:100]!r} is a link or no file")
    parts = name.rstrip("/").split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or len(name) > LONGEST
        or len(parts) > DEEPEST
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    ):
        raise _refused(f"it has a name that no file of a profile has: {name[:100]!r}")
    return PurePosixPath(*parts)


def _root(files: Iterable[PurePosixPath]) -> PurePosixPath:
    """Where the profile proper is: in `Default`, below at most one directory, or it is what was zipped."""
    paths = list(files)
    tops = [PurePosixPath(), *sorted({PurePosixPath(path.parts[0]) for path in paths if len(path.parts) > 1})]
    for top in tops:
        if any(path.is_relative_to(top / "Default") for path in paths):
            return top / "Default"
    for top in tops:
        if any(path.is_relative_to(top / sign) for sign in SIGNS for path in paths):
            return top
    raise _refused("there is no Default in it: a user-data-dir of Chromium is wanted, or its directory Default")


def _is_kept(name: str) -> bool:
    for ending in JOURNALS:
        name = name.removesuffix(ending)
    return name in KEPT


def _laid_out(zipped: zipfile.ZipFile, members: dict[PurePosixPath, zipfile.ZipInfo], into: Path) -> int:
    left = LARGEST
    for path, info in members.items():
        target = into / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with zipped.open(info) as source:
            if path.name == "Preferences" and len(path.parts) == 2:
                target.write_text(json.dumps(_allowed(source.read(PREFERENCES + 1))))
                continue
            with target.open("xb") as file:
                target.chmod(0o600)
                while batch := source.read(BATCH):  # whatever its header says
                    if (left := left - len(batch)) < 0:
                        raise GatewayError(Code.BODY_TOO_LARGE, f"userDataDir: more than {LARGEST} bytes are in it")
                    file.write(batch)
    return LARGEST - left


def _allowed(preferences: bytes) -> dict[str, Any]:
    """What sites are allowed, and nothing else."""
    if len(preferences) > PREFERENCES:
        raise _refused("its Preferences are too large")
    try:
        profile = json.loads(preferences)["profile"]["content_settings"]["exceptions"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return {}
    return {"profile": {"content_settings": {"exceptions": profile}}} if isinstance(profile, dict) else {}


def _refused(why: str) -> GatewayError:
    return GatewayError(Code.UNSUPPORTED, f"userDataDir: no zip of a user-data-dir: {why}")
