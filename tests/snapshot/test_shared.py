"""Nodes that share snapshots: each a directory of its own, one storage between them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import SessionId
from gateway.snapshot.blobs import DirectoryBlobs
from gateway.snapshot.cards import newest_shared
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import MANIFEST, SessionFolder
from gateway.snapshot.s3 import S3Blobs
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from gateway.snapshot.vault import Vault
from tests.snapshot.stepping import Stepping
from tests.snapshot.test_cards import RECORD
from tests.snapshot.test_vault import KEY, OTHER, SESSION, document, save
from tests.snapshot.test_vault import profile as profile  # a fixture

Node = Callable[..., SharedVault]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here loses its power, and waiting for a disk is what takes long."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Stepping:
    """A directory; an S3, too, for tests that are marked so."""
    both = "blobs" in request.fixturenames
    return Stepping(request.getfixturevalue("blobs") if both else DirectoryBlobs(tmp_path / "blobs"))


@pytest.fixture
async def node(tmp_path: Path, store: Stepping) -> AsyncIterator[Node]:
    """`node(name)`: a vault on a disk of its own; the same name again is the next process on it."""
    made: list[SharedVault] = []

    def make(name: str, sealer: Sealer | None = None, *, keep: int = 3, cache: int = 1 << 30) -> SharedVault:
        made.append(SharedVault(tmp_path / name, sealer or Sealer((KEY,)), store, keep=keep, cache=cache))
        return made[-1]

    yield make
    for vault in made:
        await asyncio.to_thread(vault.close)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def refused(work: object, code: Code) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        await work  # type: ignore[misc]
    assert error.value.code is code
    return error.value


def files(store: Stepping, what: str) -> list[str]:
    return [blob.name for blob in store.inner.list(f"{SESSION}/") if what in blob.name]


@pytest.mark.usefixtures("blobs")
async def test_what_one_node_saved_another_goes_on_from(node: Node, store: Stepping, profile: Path) -> None:
    one, two = node("one"), node("two")
    await one.claim(SESSION, 1)
    (profile / "Default" / "large").write_bytes(os.urandom(3 << 20))
    info = await save(one, "a", profile, fence=1)
    assert await two.usable(SESSION) == (info, ())
    assert await two.list(SESSION) == await one.list(SESSION)
    assert await two.load_document(SESSION) == document("a")
    assert await two.unpack_profile(SESSION, info.version, profile.parent / "out")
    assert tree(profile.parent / "out") == tree(profile)
    assert await two.size(SESSION) == sum(blob.size for blob in store.inner.list(f"{SESSION}/"))
    await two.claim(SESSION, 2)
    put = [call for call in store.calls if call.startswith("put") and "pack-" in call]
    (profile / "Default" / "Cookies").write_bytes(b"changed")
    await save(two, "b", profile, fence=2)
    # Only what changed is put there, from another node as well.
    packs = {blob.name: blob.size for blob in store.inner.list(f"{SESSION}/pack")}
    assert len(put) == 1
    assert len(packs) == 2
    assert min(packs.values()) < 10_000
    assert (await refused(save(one, "late", fence=1), Code.FENCED)).message.endswith(
        "incarnation 1 may not save it, 2 may"
    )
    assert await one.load_document(SESSION) == document("b")
    assert await one.unpack_profile(SESSION, 2, profile.parent / "back")
    assert tree(profile.parent / "back") == tree(profile)
    await one.erase(SESSION)
    assert files(store, "") == []
    await refused(two.load_document(SESSION), Code.NOTHING_SAVED)
    assert await two.list(SESSION) == ()


@pytest.mark.usefixtures("blobs")
async def test_retention_is_one_for_all(node: Node, store: Stepping) -> None:
    for fence, name in enumerate(("one", "two", "one", "three"), 1):
        vault = node(name)
        await vault.claim(SESSION, fence)
        await save(vault, f"{fence}", fence=fence)
        for word in "xyz":
            await save(vault, f"{fence}{word}", fence=fence, checkpoint=True)
    found = [(info.version, info.fence, info.checkpoint) for info in await node("four").list(SESSION)]
    assert found == [(5, 2, False), (9, 3, False), (13, 4, False), (16, 4, True)]
    await save(vault, "end", fence=4)
    assert len(files(store, MANIFEST)) == 3
    assert [name.partition("/")[2] for name in files(store, "claim") + files(store, "stop")] == ["4.claim"]
    folder = SessionFolder(next(iter((vault._directory).glob(SESSION))))
    needed = {pack for version in folder.versions() for pack in folder.header(version).packs}
    assert {name.partition("/")[2].partition(".")[0] for name in files(store, "pack-")} == needed


async def test_a_node_that_lost_its_disk_goes_on(node: Node, tmp_path: Path, profile: Path) -> None:
    one = node("one")
    await one.claim(SESSION, 1)
    await save(one, "a", profile, fence=1)
    (tmp_path / "one").rename(tmp_path / "lost")
    info = await save(one, "b", fence=1)
    assert info.version == 2
    assert [info.version for info in await node("two").list(SESSION)] == [1, 2]
    await asyncio.to_thread(one.close)
    (tmp_path / "one").rename(tmp_path / "lost again")
    again = node("one")
    assert again.sweep() == 0
    assert await again.load_document(SESSION) == document("b")
    assert await again.unpack_profile(SESSION, 1, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(profile)


async def test_profiles_are_whole_whoever_saves_them_last(node: Node) -> None:
    """No incarnation, so no fence: two nodes at once, and one after the other."""
    one, two, three = node("one"), node("two"), node("three")
    for number in range(4):
        await asyncio.gather(save(one, f"one{number}"), save(two, f"two{number}"))
        found = await three.load_document(SESSION)
        assert found in (document(f"one{number}"), document(f"two{number}"))
        assert await one.load_document(SESSION) == await two.load_document(SESSION) == found
    for number, vault in enumerate((one, two, one, three)):
        await save(vault, f"{number}")
        assert [await each.load_document(SESSION) for each in (one, two, three)] == [document(f"{number}")] * 3


@pytest.mark.usefixtures("blobs")
async def test_with_the_storage_away_the_node_keeps_it_and_brings_it_later(node: Node, store: Stepping) -> None:
    one, two = node("one"), node("two")
    await one.claim(SESSION, 1)
    await save(one, "a", fence=1)
    store.away = True
    error = await refused(save(one, "b", fence=1), Code.SAVE_FAILED)
    assert error.details == {"savedHere": 2}
    assert "on this node alone" in error.message
    await refused(save(one, "c", fence=1, checkpoint=True), Code.SAVE_FAILED)
    assert await one.load_document(SESSION) == document("c")  # whoever has the session knows it without asking
    assert (await refused(two.load_document(SESSION), Code.STORE_UNAVAILABLE)).retry_after
    await refused(two.list(SESSION), Code.STORE_UNAVAILABLE)
    await refused(two.claim(SESSION, 2), Code.SAVE_FAILED)
    await refused(save(two, "profile"), Code.SAVE_FAILED)
    await refused(one.erase(SESSION), Code.STORE_UNAVAILABLE)
    await refused(one.drop(SESSION, 1), Code.SAVE_FAILED)
    store.away = False
    await save(one, "d", fence=1)
    assert [info.version for info in await two.list(SESSION)] == [1, 2, 4]
    assert await two.load_document(SESSION) == document("d")


async def test_what_could_not_be_shared_is_shared_when_asked_again(node: Node, store: Stepping) -> None:
    one = node("one")
    assert await one.share() == 0
    for session in (SESSION, OTHER):
        await one.claim(session, 1)
    store.away = True
    for session in (SESSION, OTHER):
        work = one.save(session, document(session), profile=None, kind="k", reason="r", fence=1, checkpoint=True)
        await refused(work, Code.SAVE_FAILED)
    assert await one.share() == 2
    store.away = False
    assert await one.share() == 0
    for session in (SESSION, OTHER):
        assert await node("two").load_document(session) == document(session)


async def test_what_is_not_ours_in_a_directory_is_left_alone(node: Node, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "lost+found").mkdir(parents=True)
    (tmp_path / "blobs" / "lost+found" / "1.1.0123456789abcdef.manifest").touch()
    (tmp_path / "blobs" / "readme").touch()
    one = node("one")
    await save(one, "a")
    assert await one.expire(time.time() + 7200, 3600) == 0
    assert await one.sessions() == (SESSION,)
    await one.erase(SESSION)
    assert sorted(os.listdir(tmp_path / "blobs")) == [".rounds", "lost+found", "readme"]


async def test_what_a_killed_process_could_not_share_is_shared_by_the_next(node: Node, store: Stepping) -> None:
    one = node("one")
    await one.claim(SESSION, 1)
    await save(one, "a", fence=1)
    store.away = True
    await refused(save(one, "b", fence=1), Code.SAVE_FAILED)
    again = node("one")
    await asyncio.to_thread(again.sweep)
    store.away = False
    await asyncio.to_thread(again.sweep)
    assert await node("two").load_document(SESSION) == document("b")


async def test_what_was_saved_before_there_was_a_storage_is_shared(node: Node, tmp_path: Path) -> None:
    before = Vault(tmp_path / "one", Sealer((KEY,)))
    for fence in (1, 2):
        await save(before, f"{fence}", fence=fence)
    await before.save(OTHER, document("profile"), profile=None, kind="k", reason="r")
    one = node("one")
    await asyncio.to_thread(one.sweep)
    two = node("two")
    assert [info.fence for info in await two.list(SESSION)] == [1, 2]
    assert await two.load_document(SESSION) == document("2")
    assert await two.load_document(OTHER) == document("profile")
    await two.claim(SESSION, 3)
    await save(two, "3", fence=3)
    assert await one.load_document(SESSION) == document("3")


@pytest.mark.usefixtures("blobs")
@pytest.mark.parametrize("what", ["manifest", "pack"])
async def test_damage_is_told_by_name_and_the_version_before_is_used(
    node: Node, store: Stepping, what: str, tmp_path: Path
) -> None:
    one = node("one")
    await one.claim(SESSION, 1)
    good = await save(one, "good", fence=1)
    before = set(files(store, what))
    await one.save(SESSION, ContextDocument(missing=("x",)), profile=None, kind="chromium", reason="r", fence=1)
    (name,) = set(files(store, what)) - before
    if isinstance(store.inner, S3Blobs):
        place = f"{store.inner._prefix}{name}"
        about = {"Bucket": store.inner._bucket, "Key": place}
        metadata = store.inner._client.head_object(**about)["Metadata"]
        store.inner._client.put_object(**about, Body=b"nonsense", Metadata=metadata)
    else:
        (tmp_path / "blobs" / name).write_bytes(b"nonsense")
    two = node("two")
    info, skipped = await two.usable(SESSION)
    assert info == good
    assert len(skipped) == 1
    assert f"snapshot {SESSION}/2 cannot be read" in skipped[0]
    await refused(two.load_document(SESSION, 2), Code.SNAPSHOT_UNREADABLE)
    await two.claim(SESSION, 2)
    await save(two, "next", fence=2)
    assert await node("three").load_document(SESSION) == document("next")


async def test_keys_are_not_the_storages(node: Node, store: Stepping) -> None:
    one, keyless = node("one"), node("two", Sealer())
    await save(one, "hush")
    for name in files(store, ""):
        into = BytesIO()
        store.inner.get(name, into)
        assert b"hush" not in into.getvalue()
    (skipped,) = (await refused(keyless.load_document(SESSION), Code.SNAPSHOT_UNREADABLE)).message.splitlines()
    assert "key" in skipped
    rotated = node("three", Sealer((b"n" * 32, KEY)))
    assert await rotated.load_document(SESSION) == document("hush")
    await save(rotated, "new")
    assert await node("four", Sealer((b"n" * 32,))).load_document(SESSION) == document("new")


async def test_versions_are_dropped_and_expire_for_all(node: Node, store: Stepping) -> None:
    one, two = node("one"), node("two")
    for word in "abc":
        await save(one, word)
    assert not await two.drop(SESSION, 3)
    assert await two.drop(SESSION, 1)
    assert [info.version for info in await one.list(SESSION)] == [2, 3]
    await one.save(OTHER, document("x"), profile=None, kind="k", reason="r")
    assert await two.sessions() == ()
    assert await two.expire(time.time() + 7200, 3600) == 1
    assert await two.sessions() == tuple(sorted((OTHER, SESSION)))
    assert await one.expire(time.time() + 7200, 3600) == 0  # the other has done it
    assert await one.sessions() == ()
    assert [info.version for info in await one.list(SESSION)] == [3]
    assert len(files(store, MANIFEST)) == 1
    needed = SessionFolder(one._directory / SESSION).header(3).packs
    assert {name.partition("/")[2].partition(".")[0] for name in files(store, "pack-")} == set(needed)


async def test_what_the_session_was_is_taken_along_from_before_there_was_a_storage(
    node: Node, store: Stepping, tmp_path: Path
) -> None:
    before = Vault(tmp_path / "one", Sealer((KEY,)))
    await save(before, "a")
    record = replace(RECORD, id=SessionId(SESSION))
    await before.remember(record)
    one = node("one")
    one.sweep()
    assert newest_shared(store.inner, SESSION, Sealer((KEY,))) == record
    assert not (tmp_path / "one" / SESSION / "card").exists()
