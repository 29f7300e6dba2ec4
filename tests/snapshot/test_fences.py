"""Two can never write one saved context: the earlier incarnation is told, and nothing changes."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from tests.snapshot.test_vault import KEY, SESSION, document, save


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "snapshots", Sealer((KEY,)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots" / SESSION


async def test_who_was_taken_over_saves_no_more(vault: Vault, folder: Path) -> None:
    await save(vault, "one", fence=1)
    await vault.claim(SESSION, 2)
    before = sorted(os.listdir(folder))
    for late in (save(vault, "late", fence=1), save(vault, "one", fence=1, checkpoint=True), vault.claim(SESSION, 1)):
        with pytest.raises(GatewayError) as refused:
            await late
        assert refused.value.code is Code.FENCED
        assert SESSION in refused.value.message
    assert sorted(os.listdir(folder)) == before
    assert await vault.load_document(SESSION) == document("one")
    await vault.claim(SESSION, 2)
    info = await save(vault, "two", fence=2)
    assert info.fence == 2
    # After a restart, and in another process, it holds as well.
    with pytest.raises(GatewayError):
        await save(Vault(folder.parent, Sealer((KEY,))), "late", fence=1)


async def test_saving_is_a_claim(vault: Vault) -> None:
    await save(vault, "one", fence=1)
    await save(vault, "three", fence=3)
    with pytest.raises(GatewayError) as refused:
        await save(vault, "two", fence=2)
    assert refused.value.code is Code.FENCED
    assert (await save(vault, "anyone")).fence is None


async def test_of_two_that_write_at_once_the_later_incarnation_wins(folder: Path) -> None:
    async def writing(fence: int) -> int:
        vault = Vault(folder.parent, Sealer())
        for number in range(15):
            try:
                await save(vault, f"{fence}", fence=fence, checkpoint=number % 2 == 0)
            except GatewayError as error:
                codes.add(error.code)
                return number
        return 15

    codes: set[Code] = set()

    counts = await asyncio.gather(*(writing(fence) for fence in (1, 2, 3)))
    assert counts[2] == 15
    assert codes <= {Code.FENCED}
    vault = Vault(folder.parent, Sealer())
    assert await vault.load_document(SESSION) == document("3")
    fences = [info.fence or 0 for info in await vault.list(SESSION)]
    assert fences == sorted(fences)
