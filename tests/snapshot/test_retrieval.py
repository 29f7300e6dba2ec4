"""What is read of versions: damage told by name and got round, and what is removed meanwhile was not there."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from tests.snapshot.test_vault import KEY, SESSION, document, flip, pack_of, save
from tests.snapshot.test_vault import folder as folder  # fixtures
from tests.snapshot.test_vault import profile as profile
from tests.snapshot.test_vault import vault as vault


@pytest.mark.parametrize("sealer", [Sealer(), Sealer((KEY,))], ids=["plain", "sealed"])
@pytest.mark.parametrize("what", ["manifest", "context", "profile"])
async def test_damage_is_told_by_name_and_the_version_before_is_usable(
    sealer: Sealer, what: str, profile: Path, folder: Path, tmp_path: Path
) -> None:
    vault = Vault(folder.parent, sealer)
    good = await save(vault, "good", profile)
    (profile / "Default" / "Cookies").write_bytes(os.urandom(5000))  # nothing is shared with the first
    await vault.save(SESSION, ContextDocument(missing=("x",)), profile=profile, kind="chromium", reason="r")
    file = folder / "2.manifest" if what == "manifest" else pack_of(folder, 2)
    whole = file.read_bytes()
    # The document is put first, into the beginning of the pack, and the profile last.
    place = {"manifest": None, "context": 70, "profile": len(whole) - 100}[what]
    for damage in ("flip", "cut", "empty", "remove"):
        if damage == "flip":
            flip(file, place)
        elif damage == "remove":
            file.unlink()
        else:
            file.write_bytes(whole[:-20] if damage == "cut" and what != "context" else b"")
        for fresh in (vault, Vault(folder.parent, sealer)):
            out = tmp_path / "out"
            reading = fresh.unpack_profile(SESSION, 2, out) if what == "profile" else fresh.load_document(SESSION, 2)
            with pytest.raises(GatewayError) as refused:
                await reading
            if what == "manifest" and damage == "remove":
                assert refused.value.code is Code.NOTHING_SAVED
                continue
            assert refused.value.code is Code.SNAPSHOT_UNREADABLE
            assert f"snapshot {SESSION}/2 cannot be read: " in refused.value.message
            info, skipped = await fresh.usable(SESSION)
            assert info == good
            assert [words.startswith(f"snapshot {SESSION}/2 cannot be read") for words in skipped] == [True]
            assert await fresh.load_document(SESSION, 1) == document("good")
            assert await fresh.unpack_profile(SESSION, 1, tmp_path / damage)
    file.write_bytes(whole)
    assert (await save(Vault(folder.parent, sealer), "next")).version == 3


async def test_damage_to_what_is_shared_harms_only_those_that_share_it(vault: Vault, folder: Path) -> None:
    await save(vault, "a")
    await vault.save(SESSION, ContextDocument(stale=True), profile=None, kind="k", reason="r")  # shares no more than []
    await save(vault, "a", checkpoint=True)
    flip(pack_of(folder, 1), 60)
    info, skipped = await vault.usable(SESSION)
    assert info.version == 2
    assert len(skipped) == 1
    # What was found damaged is not built upon again.
    fresh = await save(vault, "a")
    assert fresh.added > 0
    assert await vault.load_document(SESSION) == document("a")
    assert await vault.usable(SESSION) == (fresh, ())


async def test_with_nothing_readable_all_are_named(vault: Vault, folder: Path) -> None:
    await save(vault, "a")
    await save(vault, "b")
    for version in (1, 2):
        flip(folder / f"{version}.manifest", 5)
    with pytest.raises(GatewayError) as refused:
        await vault.usable(SESSION)
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE
    assert f"{SESSION}/1" in refused.value.message
    assert f"{SESSION}/2" in refused.value.message
    assert [info.reason for info in await vault.list(SESSION)] == ["unreadable", "unreadable"]
    assert (await save(vault, "c")).version == 3


async def test_the_newest_can_be_read_while_checkpoints_replace_it(vault: Vault) -> None:
    await save(vault, "0", checkpoint=True)
    done = asyncio.Event()

    async def writing() -> None:
        number = 1
        while number < 40 or len(set(seen)) <= 5:
            number += 1
            await save(vault, str(number), checkpoint=True)
        done.set()

    await save(vault, "1")
    seen: list[int] = []
    versions: list[int] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(writing())
        while not done.is_set():
            seen.append(int((await vault.load_document(SESSION)).cookies[0].value))
            info, skipped = await vault.usable(SESSION)
            assert skipped == ()
            versions.append(info.version)
    assert seen == sorted(seen)
    assert versions == sorted(versions)


async def test_what_was_damaged_is_forgotten_with_what_is_erased(vault: Vault, folder: Path) -> None:
    await save(vault, "a")
    flip(folder / "1.manifest", 5)
    with pytest.raises(GatewayError):
        await vault.usable(SESSION)
    assert vault._damaged
    await vault.erase(SESSION)
    assert not vault._damaged
    assert vault._doubts(SESSION) == frozenset()
    info = await save(vault, "b")
    assert await vault.usable(SESSION) == (info, ())
