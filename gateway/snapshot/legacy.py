"""Reads snapshots as the gateway saved them before packs; data directories in the field have them. Blocking.

    SESSION/VERSION/manifest.json     what it is, with the SHA-256 of the others; no secrets
    SESSION/VERSION/context.zst       the context document
    SESSION/VERSION/profile.tar.zst   the profile (tar in zstd), if there was one

Nothing is written in this form any more.
"""

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO

import zstandard

from gateway.errors import GatewayError
from gateway.snapshot.archive import MAX_BYTES, MAX_FILES, check_path
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.packs import Damaged
from gateway.snapshot.parsing import parse
from gateway.snapshot.seal import Sealer

CONTEXT = "context.zst"
PROFILE = "profile.tar.zst"
MANIFEST = "manifest.json"


def old_info(folder: Path, version: int) -> SnapshotInfo:
    """`folder` is the session's. Raises Damaged."""
    try:
        fields = json.loads((folder / str(version) / MANIFEST).read_bytes())
        return SnapshotInfo(
            session_id=folder.name,
            version=version,
            created_at=str(fields["createdAt"]),
            bytes=int(fields["bytes"]),
            reason=str(fields["reason"]),
            kind=str(fields["browser"]),
            sealed=bool(fields["sealed"]),
            has_profile=PROFILE in fields["sha256"],
            added=int(fields["bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged("its manifest is damaged") from error


def old_document(folder: Path, version: int, sealer: Sealer) -> ContextDocument:
    """Raises Damaged, GatewayError(SNAPSHOT_UNREADABLE), OSError."""
    try:
        with _open(folder, version, CONTEXT, sealer) as file:
            return parse(json.loads(zstandard.ZstdDecompressor().stream_reader(file).read()))
    except Damaged:
        raise
    except (zstandard.ZstdError, ValueError, RecursionError) as error:
        raise Damaged("its context is no context document") from error


def old_profile(folder: Path, version: int, sealer: Sealer, into: Path) -> bool:
    """Put the profile into the directory `into`; False when that version has none. Raises as `old_document`."""
    if not old_info(folder, version).has_profile:
        return False
    with _open(folder, version, PROFILE, sealer) as file:
        unpack(file, into)
    return True


def _open(folder: Path, version: int, name: str, sealer: Sealer) -> IO[bytes]:
    """The file, checked against the manifest and opened by the sealer."""
    try:
        wanted = json.loads((folder / str(version) / MANIFEST).read_bytes())["sha256"][name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged("its manifest is damaged") from error
    try:
        file = (folder / str(version) / name).open("rb")
    except FileNotFoundError as error:
        raise Damaged(f"{name} is missing") from error
    try:
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
            raise Damaged(f"{name} is damaged")
        file.seek(0)
        return sealer.reading(file, f"{folder.name}/{version}/{name}")
    except (Damaged, GatewayError):
        file.close()
        raise


def unpack(source: IO[bytes], profile: Path, *, limit: int = MAX_BYTES) -> None:
    """Read a tar in zstd into the directory `profile`, made if it is not there; `limit` in bytes, unpacked.

    Raises Damaged; then a part may have been written. OSError as the file system does.
    """
    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    left, files = limit, MAX_FILES
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            for member in tar:
                left, files = left - member.size, files - 1
                if left < 0 or files < 0:
                    raise Damaged("the profile is larger than allowed")
                if not (member.isfile() or member.isdir()):
                    raise Damaged("the profile has something that is neither file nor directory")
                _extract(tar, member, profile)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise Damaged(f"the profile cannot be unpacked: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, profile: Path) -> None:
    """One file or directory below `profile`. By hand: tarfile's own filters are not in every Python 3.11."""
    check_path(member.name)
    place = profile.joinpath(*member.name.split("/"))
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if member.isdir():
        place.mkdir(mode=0o700, exist_ok=True)
        return
    content = tar.extractfile(member)
    assert content is not None  # a regular file always has one
    with open(place, "wb", opener=_private) as file:
        shutil.copyfileobj(content, file)
    os.utime(place, (member.mtime, member.mtime))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
