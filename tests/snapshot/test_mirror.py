"""One session's directory and its blobs: what is brought, put and removed, and that no removal hits what is needed."""

from pathlib import Path

import pytest

from gateway.snapshot.blobs import BlobsAway, DirectoryBlobs
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import GONE, SessionFolder
from gateway.snapshot.mirror import Mirror, Overtaken
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from tests.snapshot.stepping import Stepping
from tests.snapshot.test_vault import SESSION, document, pack_of, save


@pytest.fixture
def store(tmp_path: Path) -> Stepping:
    return Stepping(DirectoryBlobs(tmp_path / "store"))


def node(tmp_path: Path, store: Stepping, name: str, sent: dict[str, tuple[str, float]] | None = None) -> Mirror:
    (tmp_path / name).mkdir(exist_ok=True)
    return Mirror(SessionFolder(tmp_path / name / SESSION), store, tmp_path / name, {} if sent is None else sent)


async def saved(tmp_path: Path, name: str, word: str, fence: int = 1, *, checkpoint: bool = False) -> int:
    vault = Vault(tmp_path / name, Sealer(), keep=2)
    return (await save(vault, word, fence=fence, checkpoint=checkpoint)).version


def names(store: Stepping) -> list[str]:
    return sorted(blob.name.removeprefix(f"{SESSION}/") for blob in store.inner.list(f"{SESSION}/"))


def there(store: Stepping) -> set[str]:
    return {name.partition(".")[0] for name in names(store) if name.startswith("pack")}


def packs(directory: Path) -> set[str]:
    folder = SessionFolder(directory / SESSION)
    return {pack for version in folder.versions() for pack in folder.header(version).packs}


async def test_what_one_node_saved_another_has(tmp_path: Path, store: Stepping) -> None:
    one, two = node(tmp_path, store, "one"), node(tmp_path, store, "two")
    assert one.refresh(claimed=False)[1] == ()
    assert not (tmp_path / "one" / SESSION).exists()
    version = await saved(tmp_path, "one", "a")
    assert not one.settled()
    one.push(1)
    assert one.settled()
    assert one.shared(version)
    calls = len(store.calls)
    one.push(1)
    assert len(store.calls) == calls  # nothing to do
    _, valid = two.refresh(claimed=False)
    assert [copy.version for copy in valid] == [1]
    assert two.fetched == {1}
    assert two.bring(1)
    assert not two.bring(1)
    assert await Vault(tmp_path / "two", Sealer()).load_document(SESSION) == document("a")
    assert two.size == sum(blob.size for blob in store.inner.list(""))
    assert not list((tmp_path / "two").glob(f"{GONE}*"))
    two.forget(1)
    assert not two.shared(1)
    two.refresh(claimed=True)
    assert two.shared(1)
    one.erase()
    assert names(store) == []
    two.refresh(claimed=False)
    assert SessionFolder(tmp_path / "two" / SESSION).versions() == []


async def test_what_was_removed_here_is_removed_there(tmp_path: Path, store: Stepping) -> None:
    one = node(tmp_path, store, "one")
    one.claim(1)
    for word in "abcd":
        await saved(tmp_path, "one", word)
        one.push(1)
    # Keeps two; packs go once a listing has shown that nobody names them, so with the next save,
    assert [name.split(".")[1] for name in names(store) if name.endswith("manifest")] == ["3", "4"]
    assert there(store) > packs(tmp_path / "one")
    await saved(tmp_path, "one", "e")
    one.push(1, thorough=True)  # or at once.
    assert [name.split(".")[1] for name in names(store) if name.endswith("manifest")] == ["4", "5"]
    assert there(store) == packs(tmp_path / "one")


async def test_a_claim_stops_those_before_it(tmp_path: Path, store: Stepping) -> None:
    one, two = node(tmp_path, store, "one"), node(tmp_path, store, "two")
    one.claim(1)
    await saved(tmp_path, "one", "a")
    one.push(1)
    assert not [name for name in names(store) if name.endswith(("claim", "stop"))]
    two.claim(2)
    assert {name for name in names(store) if name.endswith(("claim", "stop"))} == {"2.claim", "2.stop"}
    await saved(tmp_path, "one", "late")
    with pytest.raises(Overtaken) as overtaken:
        one.push(1)
    assert overtaken.value.fence == 2
    with pytest.raises(Overtaken):
        node(tmp_path, store, "third").claim(1)
    two.claim(2)  # again, as after a restart
    await saved(tmp_path, "two", "b", 2)
    two.push(2, thorough=True)
    found = names(store)
    assert [name.split(".")[0] for name in found if name.endswith("manifest")] == ["1", "2"]  # the late one is gone
    assert [name for name in found if name.endswith(("claim", "stop"))] == ["2.claim"]
    one.refresh(claimed=False)
    vault = Vault(tmp_path / "one", Sealer())
    assert one.bring(2)
    assert await vault.load_document(SESSION) == document("b")


async def test_what_was_not_shared_is_taken_along_by_a_claim(tmp_path: Path, store: Stepping) -> None:
    one = node(tmp_path, store, "one")
    await saved(tmp_path, "one", "a")
    one.push(1)
    await saved(tmp_path, "one", "b")
    one.claim(2)
    two = node(tmp_path, store, "two")
    assert [copy.version for copy in two.refresh(claimed=False)[1]] == [1, 2]


async def test_a_pack_that_somebody_may_be_removing_is_put_again(tmp_path: Path, store: Stepping) -> None:
    """Another node removes a version, and is slow to remove what only that needed; meanwhile a new version needs it."""
    one, two = node(tmp_path, store, "one"), node(tmp_path, store, "two")
    await saved(tmp_path, "one", "a")
    one.push(1)
    (first,) = (blob.name for blob in store.inner.list(f"{SESSION}/pack"))
    other = ContextDocument(missing=("nothing", "in", "common"))
    await Vault(tmp_path / "one", Sealer()).save(SESSION, other, profile=None, kind="chromium", reason="r", fence=1)
    one.push(1)
    two.refresh(claimed=False)
    (old,) = (name for name in names(store) if name.startswith("1.1."))
    store.inner.delete([f"{SESSION}/{old}"])
    pack = pack_of(tmp_path / "one" / SESSION, 1).name
    await saved(tmp_path, "one", "a")  # as version 1 was: its pack is all that it needs
    one.push(1)
    copies = [name for name in names(store) if name.startswith(pack)]
    assert len(copies) == 2
    store.inner.delete([first])  # now it comes
    two.refresh(claimed=False)
    assert two.bring(3)
    assert await Vault(tmp_path / "two", Sealer()).load_document(SESSION, 3) == document("a")


async def test_a_pack_put_before_the_storage_went_away_is_not_put_again(tmp_path: Path, store: Stepping) -> None:
    sent: dict[str, tuple[str, float]] = {}
    await saved(tmp_path, "one", "a")

    def fails(number: int, name: str) -> None:
        if name.endswith("manifest"):
            raise BlobsAway("gone")

    store.before = fails
    with pytest.raises(BlobsAway):
        node(tmp_path, store, "one", sent).push(1)
    assert list(sent) == [pack_of(tmp_path / "one" / SESSION, 1).name]
    store.before = lambda number, name: None
    node(tmp_path, store, "one", sent).push(1)
    assert len([name for name in names(store) if name.startswith("pack")]) == 1
    assert sent == {}
