"""Versions on disk: whole or not there, found again, damage told by name and got round."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab
from gateway.snapshot.folder import GONE, NEW, instant
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import SnapshotInfo, Vault
from tests.snapshot.test_legacy import write_old

KEY = b"k" * 32
SESSION = "3f0e6c1e-0000-4000-8000-000000000001"
OTHER = "3f0e6c1e-0000-4000-8000-000000000002"


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots" / SESSION


async def save(
    vault: Vault, word: str, profile: Path | None = None, *, checkpoint: bool = False, fence: int | None = None
) -> SnapshotInfo:
    return await vault.save(
        SESSION,
        document(word),
        profile=profile,
        kind="chromium",
        reason="checkpoint" if checkpoint else "stopped",
        checkpoint=checkpoint,
        fence=fence,
    )


def flip(file: Path, place: int | None = None) -> None:
    """Damage one byte, that in the middle if no other."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 0xFF
    file.write_bytes(data)


def modes(folder: Path) -> dict[str, int]:
    """Of the directory and all that is in it."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def pack_of(folder: Path, version: int) -> Path:
    """The only pack that a version needs."""
    (name,) = json.loads((folder / f"{version}.manifest").read_bytes().partition(b"\n")[0])["packs"]
    return folder / str(name)


async def test_versions_are_kept_in_order_and_in_number(vault: Vault, folder: Path) -> None:
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
    assert await vault.usable(SESSION) == (info, ())
    with pytest.raises(ValueError, match="at least one"):
        Vault(folder, Sealer(), keep=0)


async def test_files_are_private_sealed_and_described(vault: Vault, profile: Path, folder: Path) -> None:
    info = await save(vault, "hush", profile)
    pack = pack_of(folder, 1)
    assert modes(folder) == {".": 0o700, "1.manifest": 0o600, "lock": 0o600, pack.name: 0o600}
    assert info.added == pack.stat().st_size
    assert info.bytes < info.added < await vault.size(SESSION)
    line = json.loads((folder / "1.manifest").read_bytes().partition(b"\n")[0])
    assert line.items() > info.to_json().items()
    assert (line["browser"], line["reason"], line["sealed"], line["profile"]) == ("chromium", "stopped", True, True)
    secrets = (b"hush", b"x.test", b"Cookies")
    stored = pack.read_bytes() + (folder / "1.manifest").read_bytes()
    assert not [secret for secret in secrets if secret in stored]


async def test_a_profile_comes_back_where_there_was_one(vault: Vault, profile: Path, tmp_path: Path) -> None:
    await save(vault, "a", profile)
    await save(vault, "b")
    assert await vault.unpack_profile(SESSION, 1, tmp_path / "out")
    assert (tmp_path / "out" / "Default" / "Cookies").read_bytes() == b"secret cookies" * 100
    assert not await vault.unpack_profile(SESSION, 2, tmp_path / "none")
    assert [info.has_profile for info in await vault.list(SESSION)] == [True, False]
    light = await vault.load_document(SESSION, 1, storage=False)
    assert light.origins == (OriginState("https://x.test"),)
    assert light.cookies == document("a").cookies


async def test_a_checkpoint_takes_the_place_of_the_last(vault: Vault) -> None:
    for word in "abc":
        await save(vault, word)
    for word in "def":
        info = await save(vault, word, checkpoint=True)
        assert await vault.load_document(SESSION) == document(word)
    found = await vault.list(SESSION)
    assert [(one.version, one.reason, one.checkpoint) for one in found] == [
        (1, "stopped", False),
        (2, "stopped", False),
        (3, "stopped", False),
        (6, "checkpoint", True),
    ]
    assert await save(vault, "f", checkpoint=True) == info
    await save(vault, "g")
    assert [one.version for one in await vault.list(SESSION)] == [2, 3, 7]


async def test_keys_change(vault: Vault, folder: Path) -> None:
    await save(vault, "old")
    other, both = Sealer((b"z" * 32,)), Sealer((b"z" * 32, KEY))
    lost = Vault(folder.parent, other)
    with pytest.raises(GatewayError, match=f"{SESSION}/1 .*a key that the gateway does not have") as refused:
        await lost.load_document(SESSION)
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE
    assert [info.reason for info in await lost.list(SESSION)] == ["stopped"]
    rotated = Vault(folder.parent, both)
    assert await rotated.load_document(SESSION) == document("old")
    await save(rotated, "old")
    assert await Vault(folder.parent, other).load_document(SESSION) == document("old")
    # Back to the first key alone: what it cannot read is left out.
    info, skipped = await Vault(folder.parent, Sealer((KEY,))).usable(SESSION)
    assert info.version == 1
    assert len(skipped) == 1


async def test_a_key_can_be_set_later(folder: Path) -> None:
    plain = await save(Vault(folder.parent, Sealer()), "a")
    sealed = Vault(folder.parent, Sealer((KEY,)))
    assert await sealed.load_document(SESSION) == document("a")
    assert (await save(sealed, "a")).added > plain.added
    with pytest.raises(GatewayError, match=f"{SESSION}/2"):
        await Vault(folder.parent, Sealer()).load_document(SESSION)


async def test_nothing_saved_and_erased(vault: Vault, folder: Path) -> None:
    assert await vault.list(SESSION) == ()
    assert await vault.sessions() == ()
    assert await vault.size(SESSION) == 0
    await vault.erase(SESSION)
    await save(vault, "a", fence=3)
    assert await vault.sessions() == (SESSION,)
    await vault.erase(SESSION)
    assert list(folder.parent.iterdir()) == []
    for reading in (vault.load_document(SESSION), vault.usable(SESSION), vault.load_document(SESSION, 1)):
        with pytest.raises(GatewayError) as refused:
            await reading
        assert refused.value.code is Code.NOTHING_SAVED


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "a/b", "a\0", ".new-1", "-x", "x" * 200, "a\n"])
async def test_odd_session_ids_never_touch_a_path(vault: Vault, bad: str) -> None:
    for doing in (vault.erase(bad), vault.claim(bad, 1), vault.list(bad), vault.load_document(bad)):
        with pytest.raises(GatewayError) as refused:
            await doing
        assert refused.value.code is Code.BAD_REQUEST


async def test_saves_of_one_session_at_once_get_versions_of_their_own(vault: Vault, folder: Path) -> None:
    vaults = [vault, vault, Vault(folder.parent, Sealer((KEY,)))]  # another process, as far as the disk can tell
    infos = await asyncio.gather(*(save(one, word) for one, word in zip(vaults, "abc", strict=True)))
    assert sorted(info.version for info in infos) == [1, 2, 3]


async def test_old_versions_expire_but_the_newest_of_a_session(vault: Vault, folder: Path) -> None:
    for word in "abc":
        await save(vault, word)
    await vault.save(OTHER, document("x"), profile=None, kind="k", reason="r")
    now = time.time()
    assert await vault.expire(now, 3600) == 0
    assert await vault.expire(now + 7200, 3600) == 2
    assert [info.version for info in await vault.list(SESSION)] == [3]
    assert len(await vault.list(OTHER)) == 1
    # That of the second version is gone; the first one's has what all of them share.
    assert len([name for name in os.listdir(folder) if name.startswith("pack-")]) == 2
    assert await vault.load_document(SESSION) == document("c")


async def test_saving_drops_what_is_too_old(folder: Path) -> None:
    vault = Vault(folder.parent, Sealer(), keep=9, max_age=3600)
    write_old(folder, 1, Sealer(), document("old"))
    assert (await vault.list(SESSION))[0].created_at < instant(time.time() - 3600)
    await save(vault, "a")
    await save(vault, "b")
    assert [info.version for info in await vault.list(SESSION)] == [2, 3]


async def test_half_written_things_are_swept(vault: Vault, folder: Path) -> None:
    await save(vault, "a")
    whole = sorted(os.listdir(folder))
    for path in (folder / f"{GONE}2", folder.parent / f"{GONE}3"):
        path.mkdir()
        (path / "context.zst").write_bytes(b"half")
    for name in (f"{NEW}1", "pack-half"):
        (folder / name).write_bytes(b"half")
    assert await asyncio.to_thread(vault.sweep) == 4
    assert await vault.load_document(SESSION) == document("a")
    assert sorted(os.listdir(folder)) == whole
    assert os.listdir(folder.parent) == [SESSION]


async def test_what_an_earlier_gateway_wrote_is_carried_on(vault: Vault, folder: Path, tmp_path: Path) -> None:
    for version in (1, 2):
        write_old(folder, version, Sealer((KEY,)), document(str(version)))
    assert [info.version for info in await vault.list(SESSION)] == [1, 2]
    info, skipped = await vault.usable(SESSION)
    assert (info.version, skipped) == (2, ())
    assert await vault.load_document(SESSION) == document("2")
    assert await vault.unpack_profile(SESSION, 2, tmp_path / "out")
    assert (tmp_path / "out" / "Default" / "Cookies").read_bytes() == b"x" * 1000
    assert (await save(vault, "3", tmp_path / "out")).version == 3
    assert await vault.load_document(SESSION, 1) == document("1")
    flip(folder / "2" / "context.zst")
    (folder / "3.manifest").write_bytes(b"")
    info, skipped = await vault.usable(SESSION)
    assert (info.version, len(skipped)) == (1, 2)
    await save(vault, "4")
    assert [info.version for info in await vault.list(SESSION)] == [2, 3, 4]
    assert not (folder / "1").exists()


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    vault = Vault(tmp_path / "file", Sealer())
    for failing in (save(vault, "a"), vault.claim(SESSION, 1)):
        with pytest.raises(GatewayError) as refused:
            await failing
        assert refused.value.code is Code.SAVE_FAILED
        assert SESSION in refused.value.message
