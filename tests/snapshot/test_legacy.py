"""Snapshots that earlier gateways wrote are read as they were."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, Tab
from gateway.snapshot.legacy import CONTEXT, MANIFEST, PROFILE, old_document, old_info, old_profile, unpack
from gateway.snapshot.packs import Damaged
from gateway.snapshot.seal import Sealer

KEY = b"k" * 32
SESSION = "3f0e6c1e-0000-4000-8000-000000000001"
DOCUMENT = ContextDocument(
    cookies=(Cookie("id", "old", "x.test", http_only=True),), tabs=(Tab("https://x.test/", True, {}),)
)


def write_old(folder: Path, version: int, sealer: Sealer, document: ContextDocument, *, profile: bool = True) -> None:
    """As the gateway wrote it: `folder` is the session's; the profile has one file, `Default/Cookies`."""
    place = folder / str(version)
    place.mkdir(parents=True)
    contents = {CONTEXT: zstandard.compress(json.dumps(document.to_json()).encode("ascii"))}
    if profile:
        contents[PROFILE] = tar_of(member("Default", tarfile.DIRTYPE), member("Default/Cookies", size=1000)).getvalue()
    digests = {}
    for name, content in contents.items():
        with (place / name).open("w+b") as file:
            with sealer.writing(file, f"{folder.name}/{version}/{name}") as stream:
                stream.write(content)
            file.seek(0)
            digests[name] = hashlib.sha256(file.read()).hexdigest()
    fields = {
        "version": version,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "bytes": sum((place / name).stat().st_size for name in contents),
        "reason": "stopped",
        "browser": "chromium",
        "sealed": sealer.seals,
        "sha256": digests,
    }
    (place / MANIFEST).write_text(json.dumps(fields))


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mtime = kind, size, target, 1_700_000_000
    return info


def tar_of(*members: tarfile.TarInfo) -> io.BytesIO:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(b"x" * one.size))
    return io.BytesIO(zstandard.compress(plain.getvalue()))


@pytest.mark.parametrize("sealer", [Sealer(), Sealer((KEY,))], ids=["plain", "sealed"])
def test_an_old_snapshot_is_read(tmp_path: Path, sealer: Sealer) -> None:
    folder = tmp_path / SESSION
    write_old(folder, 4, sealer, DOCUMENT)
    write_old(folder, 5, sealer, DOCUMENT, profile=False)
    info = old_info(folder, 4)
    assert (info.session_id, info.version, info.reason, info.kind) == (SESSION, 4, "stopped", "chromium")
    assert (info.created_at, info.sealed, info.has_profile) == ("2026-01-02T03:04:05.678Z", sealer.seals, True)
    assert (info.checkpoint, info.fence) == (False, None)
    assert old_document(folder, 4, sealer) == DOCUMENT
    assert old_profile(folder, 4, sealer, tmp_path / "out")
    cookies = tmp_path / "out" / "Default" / "Cookies"
    assert (cookies.read_bytes(), cookies.stat().st_mtime) == (b"x" * 1000, 1_700_000_000)
    assert not old_info(folder, 5).has_profile
    assert not old_profile(folder, 5, sealer, tmp_path / "none")


@pytest.mark.parametrize("name", [CONTEXT, PROFILE, MANIFEST])
@pytest.mark.parametrize("sealer", [Sealer(), Sealer((KEY,))], ids=["plain", "sealed"])
def test_damage_is_told(tmp_path: Path, sealer: Sealer, name: str) -> None:
    folder = tmp_path / SESSION
    write_old(folder, 1, sealer, DOCUMENT)
    file = folder / "1" / name
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    for damage in (bytes(flipped), whole[:-20], b"", None):
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        with pytest.raises(Damaged, match=r"damaged|missing"):
            _ = old_profile(folder, 1, sealer, tmp_path) if name == PROFILE else old_document(folder, 1, sealer)


def test_a_key_that_is_missing_is_told_by_name(tmp_path: Path) -> None:
    write_old(tmp_path / SESSION, 1, Sealer((KEY,)), DOCUMENT)
    with pytest.raises(GatewayError, match=f"{SESSION}/1.*key") as refused:
        old_document(tmp_path / SESSION, 1, Sealer((b"z" * 32,)))
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside"),
        member("/outside"),
        member("a//outside"),
        member("a/../../outside"),
        member("link", tarfile.SYMTYPE, target="/etc"),
        member("hard", tarfile.LNKTYPE, target="../outside"),
        member("device", tarfile.CHRTYPE),
        member("large", size=2 << 20),
    ],
    ids=lambda info: info.name,
)
def test_harmful_archives_are_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    with pytest.raises(Damaged):
        unpack(tar_of(hostile), tmp_path / "p", limit=1 << 20)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("data", [b"", b"not zstd", b"\x28\xb5\x2f\xfd" + bytes(20)])
def test_rubbish_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Damaged):
        unpack(io.BytesIO(data), tmp_path / "p")
