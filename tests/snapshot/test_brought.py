"""What others have saved is brought over by whoever asks for it, and a node's disk is no more than a cache of it."""

import asyncio
import os
from pathlib import Path

from gateway.errors import Code
from gateway.snapshot.document import ContextDocument, Cookie
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from tests.snapshot.stepping import Stepping
from tests.snapshot.test_shared import Node, refused, tree
from tests.snapshot.test_shared import node as node  # fixtures
from tests.snapshot.test_shared import quick as quick
from tests.snapshot.test_shared import store as store
from tests.snapshot.test_vault import KEY, OTHER, SESSION, document, save
from tests.snapshot.test_vault import profile as profile


async def test_what_is_damaged_on_the_own_disk_is_brought_again(node: Node, tmp_path: Path, profile: Path) -> None:
    one = node("one")
    await save(one, "a", profile)
    for path in (tmp_path / "one" / SESSION).glob("pack-*"):
        path.write_bytes(b"nonsense")
    assert await one.load_document(SESSION) == document("a")
    assert await one.usable(SESSION) == ((await one.list(SESSION))[-1], ())


async def test_the_disk_of_a_node_is_a_cache(node: Node, tmp_path: Path, profile: Path) -> None:
    (profile / "Default" / "large").write_bytes(os.urandom(100_000))
    one = node("one", cache=150_000)
    for session in (SESSION, OTHER):
        await one.save(session, document(session), profile=profile, kind="k", reason="r")
    local_only = Vault(tmp_path / "one", Sealer((KEY,)))
    await local_only.save("unshared", document("u"), profile=profile, kind="k", reason="r")
    assert one._cache.trim(one._folders()) == 2
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["unshared"]
    assert await one.load_document(SESSION) == document(SESSION)
    assert await one.unpack_profile(OTHER, 1, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(profile)


async def test_what_others_remove_while_it_is_brought_was_not_there(node: Node, store: Stepping) -> None:
    one, two = node("one", keep=1), node("two", keep=1)
    left = 3

    def other(number: int) -> ContextDocument:
        """That has nothing in common with another."""
        return ContextDocument(cookies=(Cookie("id", f"{number}", "x.test"),), missing=(f"{number}",))

    def meanwhile(number: int, name: str) -> None:
        nonlocal left
        if name.startswith("get") and "pack-" in name and left:
            left -= 1
            asyncio.run(one.save(SESSION, other(left), profile=None, kind="k", reason="r"))

    await one.save(SESSION, other(left), profile=None, kind="k", reason="r")
    store.before = meanwhile
    assert await two.load_document(SESSION) == other(0)
    assert left == 0
    assert (await two.usable(SESSION))[1] == ()


async def test_of_a_storage_that_is_away_only_what_is_here_can_be_had(node: Node, store: Stepping) -> None:
    one, two = node("one"), node("two")
    await one.claim(SESSION, 1)
    await save(one, "a", fence=1)
    size = await one.size(SESSION)
    store.away = True
    assert await one.load_document(SESSION) == document("a"), "what it claimed itself came from here"
    assert await one.size(SESSION) == size
    await refused(two.load_document(SESSION), Code.STORE_UNAVAILABLE)
    await refused(two.list(SESSION), Code.STORE_UNAVAILABLE)
