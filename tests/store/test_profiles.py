"""Profiles' records, in every store there is."""

from dataclasses import replace

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import Upstream
from gateway.store.base import Store
from gateway.store.profiles import Profile, Stage
from tests.store.stores import Place

ONE = Profile("one", "a", Stage.AWAITED, 1.0, 1.0, 1.0)
FULL = Profile(
    "two",
    "a",
    Stage.READY,
    2.0,
    3.0,
    4.0,
    version=7,
    session="s",
    user_agent="agent",
    viewport=(800, 600),
    upstream=Upstream("http", "proxy.example", 3128, "user", "secret", ("*.local",)),
    project="p",
)


async def test_profiles(place: Place) -> None:
    async with place.open() as store:
        for profile in (ONE, FULL, replace(ONE, id="three", tenant="b", used_at=9.0)):
            await store.profiles.add(profile)
        assert await store.profiles.listed("a") == [FULL, ONE]
        changed = replace(ONE, stage=Stage.FAILED, used_at=5.0)
        assert await store.profiles.put(changed)
    async with place.open() as store:
        assert await store.profiles.get("one") == changed
        assert await store.profiles.get("two") == FULL
        assert [profile.id for profile in await store.profiles.unused(5.0)] == ["two"]
        assert await store.profiles.listed("a") == [FULL, changed]
        assert await store.profiles.drop("two")
        assert not await store.profiles.drop("two")
        assert not await store.profiles.put(FULL)
        assert await store.profiles.get("two") is None
        assert await store.profiles.listed("a") == [changed]
        assert await store.profiles.listed("c") == []
        assert await store.profiles.unused(5.0) == []


async def test_an_id_is_used_once(store: Store) -> None:
    await store.profiles.add(ONE)
    with pytest.raises(GatewayError) as refused:
        await store.profiles.add(replace(ONE, stage=Stage.READY))
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert await store.profiles.get("one") == ONE
