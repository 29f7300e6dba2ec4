"""The engine of a gateway: with the lists that it was given or that the system has, once."""

import asyncio
from pathlib import Path

import pytest

from gateway.adblock.filters import Filters
from gateway.adblock.lists import PACKAGE, PLACES
from gateway.errors import Code, GatewayError

ASKER = "https://www.example.com/"


async def test_all_who_ask_get_the_one_engine(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("||ads.example^$third-party\n/banner/$image\n")
    filters = Filters([file])
    first, second = await asyncio.gather(filters.engine(), filters.engine())
    assert first is second
    assert first.blocks("https://ads.example/x.js", ASKER, "script")
    assert not first.blocks("https://ads.example/x.js", "https://ads.example/", "script"), "its own site"
    assert first.blocks("https://a.example/banner/1", ASKER, "image")
    assert not first.blocks("https://a.example/banner/1", ASKER, "script")
    assert not first.blocks("no URL", "", "script")


@pytest.mark.skipif(not PLACES[0].is_dir(), reason=f"{PACKAGE} is not installed")
async def test_the_lists_of_the_system() -> None:
    engine = await Filters().engine()
    assert engine.blocks("https://securepubads.g.doubleclick.net/tag/js/gpt.js", ASKER, "script"), "EasyList"
    assert engine.blocks("https://www.google-analytics.com/analytics.js", ASKER, "script"), "EasyPrivacy"
    assert not engine.blocks("https://www.example.com/app.js", ASKER, "script")


async def test_a_failure_is_told_and_can_be_mended(tmp_path: Path) -> None:
    filters = Filters(places=[tmp_path])
    with pytest.raises(GatewayError) as refused:
        await filters.engine()
    assert refused.value.code is Code.UNSUPPORTED
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xff\xfe no UTF-8")
    filters = Filters([file])
    with pytest.raises(GatewayError, match="cannot be read") as failed:
        await filters.engine()
    assert failed.value.code is Code.INTERNAL
    file.write_text("||ads.example^")
    assert (await filters.engine()).blocks("https://ads.example/", ASKER, "image")
