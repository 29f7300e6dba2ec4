"""What is saved, as whoever looks for lost records finds it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.snapshot.blobs import Blobs, open_blobs, snapshot_store
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.finds import NO_CARD, Finds, LocalFinds, SharedFinds
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from gateway.snapshot.vault import Vault
from tests.snapshot.test_cards import OTHER, PLAIN, RECORD, SEALED, SESSION
from tests.snapshot.test_legacy import write_old


@dataclass
class Place:
    """`remove(what)` takes things away whose name has that in it."""

    vault: Vault
    finds: Callable[[Sealer], Finds]
    remove: Callable[[str], None]


def local(tmp_path: Path) -> Place:
    directory = tmp_path / "snapshots"

    def remove(what: str) -> None:
        for path in directory.glob(f"*/*{what}*"):
            path.unlink()

    return Place(Vault(directory, SEALED), lambda sealer: LocalFinds(directory, sealer), remove)


def shared(tmp_path: Path, blobs: Blobs) -> Place:
    aside = tmp_path / "aside"
    aside.mkdir()

    def remove(what: str) -> None:
        blobs.delete([blob.name for blob in blobs.list("") if what in blob.name])

    return Place(
        SharedVault(tmp_path / "node", SEALED, blobs), lambda sealer: SharedFinds(blobs, sealer, aside), remove
    )


@pytest.fixture(params=["local", "directory", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "local":
        yield local(tmp_path)
        return
    url = f"file:{tmp_path / 'blobs'}"
    if request.param == "s3":
        url = request.getfixturevalue("s3").url(tmp_path.name)
    blobs = open_blobs(snapshot_store(url))
    made = shared(tmp_path, blobs)
    yield made
    assert isinstance(made.vault, SharedVault)
    await asyncio.to_thread(made.vault.close)
    assert not list((tmp_path / "aside").iterdir())


async def save(vault: Vault, session: str, word: str, fence: int) -> None:
    await vault.save(session, ContextDocument(missing=(word,)), profile=None, kind="k", reason="r", fence=fence)


async def test_what_is_whole_is_found_with_what_the_session_was(place: Place) -> None:
    finds = place.finds(SEALED)
    assert list(finds.sessions()) == []
    await place.vault.claim(SESSION, 1)
    await save(place.vault, SESSION, "a", 1)
    await place.vault.claim(SESSION, 5)
    await save(place.vault, SESSION, "b", 5)
    await save(place.vault, OTHER, "c", 1)
    await place.vault.remember(RECORD)
    assert list(finds.sessions()) == [SESSION, OTHER]
    found = finds.look(SESSION)
    assert (found.session, found.versions, found.fence, found.record, found.why) == (SESSION, 2, 5, RECORD, "")
    assert found.info is not None
    assert found.info.version == 2
    older = finds.look(OTHER)
    assert (older.record, older.why, older.versions) == (None, NO_CARD, 1)
    assert older.info is not None
    keyless = place.finds(PLAIN).look(SESSION)
    assert keyless.record is None
    assert "a key that the gateway does not have" in keyless.why
    await place.vault.erase(SESSION)
    assert list(finds.sessions()) == [OTHER]
    assert finds.look(SESSION).versions == 0


async def test_what_is_not_whole_gives_way_to_the_version_before(place: Place) -> None:
    await save(place.vault, SESSION, "a", 1)
    await place.vault.remember(RECORD)
    place.remove("pack-")
    found = place.finds(SEALED).look(SESSION)
    assert (found.versions, found.info, found.record) == (1, None, RECORD)
    place.remove("manifest")
    found = place.finds(SEALED).look(SESSION)
    assert (found.versions, found.info) == (0, None)


async def test_of_an_older_gateway_the_versions_are_found(tmp_path: Path) -> None:
    place = local(tmp_path)
    write_old(tmp_path / "snapshots" / SESSION, 1, SEALED, ContextDocument())
    found = place.finds(SEALED).look(SESSION)
    assert (found.versions, found.record, found.why) == (1, None, NO_CARD)
    assert found.info is not None
