"""Versions on disk: whole or not there, kept in number, damage told by name."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import CONTEXT, GONE, MANIFEST, NEW, PROFILE, SnapshotInfo, Vault

KEY = b"k" * 32
SESSION = "3f0e6c1e-0000-4000-8000-000000000001"


def document(word: str) -> ContextDocument:
    return ContextDocument(
        cookies=(Cookie("id", word, "x.test", http_only=True),),
        origins=(OriginState("https://x.test", (("lone", "\ud800"),)),),
        tabs=(Tab("https://x.test/", True, {"https://x.test": {"a": word}}),),
    )


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    folder = tmp_path / "profile"
    (folder / "Default").mkdir(parents=True)
    (folder / "Default" / "Cookies").write_bytes(b"secret cookies" * 100)
    return folder


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "snapshots", Sealer((KEY,)))


async def save(vault: Vault, word: str, profile: Path | None = None) -> SnapshotInfo:
    return await vault.save(SESSION, document(word), profile=profile, kind="chromium", reason="stopped")


async def test_versions_are_kept_in_order_and_in_number(vault: Vault, tmp_path: Path) -> None:
    for word in "abcde":
        info = await save(vault, word)
    assert info.version == 5
    assert [one.version for one in await vault.list(SESSION)] == [3, 4, 5]
    assert await vault.load_document(SESSION) == document("e")
    assert await vault.load_document(SESSION, 3) == document("c")
    with pytest.raises(GatewayError) as refused:
        await vault.load_document(SESSION, 2)
    assert refused.value.code is Code.NOTHING_SAVED
    assert (await vault.list(SESSION))[-1] == info
    assert info.created_at.endswith("Z")
    assert sorted(path.name for path in (tmp_path / "snapshots" / SESSION).iterdir()) == ["3", "4", "5"]


async def test_files_are_private_sealed_and_described(vault: Vault, profile: Path, tmp_path: Path) -> None:
    info = await save(vault, "hush", profile)
    folder = tmp_path / "snapshots" / SESSION / "1"
    assert {path.name for path in folder.iterdir()} == {CONTEXT, PROFILE, MANIFEST}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert info.bytes == sum((folder / name).stat().st_size for name in (CONTEXT, PROFILE))
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest == info.to_json()
    assert (manifest["browser"], manifest["reason"], manifest["sealed"]) == ("chromium", "stopped", True)
    assert not [path for path in folder.iterdir() if b"hush" in path.read_bytes()]


async def test_a_profile_comes_back_where_there_was_one(vault: Vault, profile: Path, tmp_path: Path) -> None:
    await save(vault, "a", profile)
    await save(vault, "b")
    assert await vault.unpack_profile(SESSION, 1, tmp_path / "out")
    assert (tmp_path / "out" / "Default" / "Cookies").read_bytes() == b"secret cookies" * 100
    assert not await vault.unpack_profile(SESSION, 2, tmp_path / "none")


@pytest.mark.parametrize("sealer", [Sealer(), Sealer((KEY,))], ids=["plain", "sealed"])
@pytest.mark.parametrize("name", [CONTEXT, PROFILE, MANIFEST])
async def test_damage_is_told_by_name_and_costs_that_version_only(
    sealer: Sealer, name: str, profile: Path, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "snapshots", sealer)
    await save(vault, "good", profile)
    await save(vault, "bad", profile)
    file = tmp_path / "snapshots" / SESSION / "2" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    for damage in (bytes(data), bytes(data[:-20]), b"", None):
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        reading = (
            vault.unpack_profile(SESSION, 2, tmp_path / "out") if name == PROFILE else vault.load_document(SESSION)
        )
        with pytest.raises(GatewayError) as refused:
            await reading
        assert refused.value.code is Code.SNAPSHOT_UNREADABLE
        assert f"{SESSION}/2" in refused.value.message
    assert await vault.load_document(SESSION, 1) == document("good")
    assert await vault.unpack_profile(SESSION, 1, tmp_path / "fine")
    assert [info.version for info in await vault.list(SESSION)] == [1, 2]
    assert (await save(vault, "next")).version == 3


async def test_another_key_is_told(vault: Vault, tmp_path: Path) -> None:
    await save(vault, "a")
    with pytest.raises(GatewayError, match="key") as refused:
        await Vault(tmp_path / "snapshots", Sealer((b"z" * 32,))).load_document(SESSION)
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE


async def test_nothing_saved_and_erased(vault: Vault, tmp_path: Path) -> None:
    assert await vault.list(SESSION) == ()
    await vault.erase(SESSION)
    await save(vault, "a")
    await vault.erase(SESSION)
    assert list((tmp_path / "snapshots").iterdir()) == []
    with pytest.raises(GatewayError) as refused:
        await vault.load_document(SESSION)
    assert refused.value.code is Code.NOTHING_SAVED


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "a/b", "a\0", ".new-1", "-x", "x" * 200, "a\n"])
async def test_odd_session_ids_never_touch_a_path(vault: Vault, bad: str) -> None:
    with pytest.raises(GatewayError) as refused:
        await vault.erase(bad)
    assert refused.value.code is Code.BAD_REQUEST


async def test_saves_of_one_session_at_once_get_versions_of_their_own(vault: Vault) -> None:
    infos = await asyncio.gather(*(save(vault, word) for word in "abc"))
    assert sorted(info.version for info in infos) == [1, 2, 3]


async def test_half_written_versions_are_swept(vault: Vault, tmp_path: Path) -> None:
    await save(vault, "a")
    folder = tmp_path / "snapshots" / SESSION
    for path in (folder / f"{NEW}1", folder / f"{GONE}2", tmp_path / "snapshots" / f"{GONE}3"):
        path.mkdir()
        (path / CONTEXT).write_bytes(b"half")
    assert await asyncio.to_thread(vault.sweep) == 3
    assert await vault.load_document(SESSION) == document("a")
    assert [path.name for path in folder.iterdir()] == ["1"]


SAVE = """
import asyncio, resource, signal, sys
from pathlib import Path
from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault

vault = Vault(Path(sys.argv[1]), Sealer((b"k" * 32,)))
limit = int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    asyncio.run(
        vault.save(sys.argv[2], ContextDocument(), profile=Path(sys.argv[3]), kind="chromium", reason="checkpoint")
    )
except GatewayError as error:
    sys.exit(f"{error.code.word}: {error.message}")
"""


async def test_a_disk_that_takes_no_more_leaves_the_version_before(vault: Vault, profile: Path, tmp_path: Path) -> None:
    (profile / "Default" / "History").write_bytes(bytes(range(256)) * 4096)
    with (profile / "Default" / "Favicons").open("wb") as file:
        for number in range(4000):
            file.write(hash((number, "x")).to_bytes(8, "big", signed=True) * 8)
    await save(vault, "before", profile)
    place = tmp_path / "snapshots"
    for limit in (1, 100, 1000, 20_000):
        argv = [sys.executable, "-c", SAVE, str(place), SESSION, str(profile), str(limit)]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=30, cwd=Path.cwd())
        assert done.returncode == 1
        assert done.stderr.startswith("save_failed: "), done.stderr
        assert "File too large" in done.stderr
        assert [path.name for path in (place / SESSION).iterdir()] == ["1"]
    assert await vault.load_document(SESSION) == document("before")
    assert (await save(vault, "after")).version == 2


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GatewayError) as refused:
        await save(Vault(tmp_path / "file", Sealer()), "a")
    assert refused.value.code is Code.SAVE_FAILED
    assert SESSION in refused.value.message
