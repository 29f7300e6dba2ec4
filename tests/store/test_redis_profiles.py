"""Profiles in Redis; what every store does with them is in `test_profiles.py`."""

from dataclasses import replace

import pytest

from gateway.store import filed
from gateway.store.codec import Codec
from gateway.store.connection import Connection
from gateway.store.profiles import Profile, Stage
from gateway.store.redis_profiles import RedisProfiles
from tests.store.stores import keys

ONE = Profile("one", "a:b", Stage.AWAITED, 1.0, 1.0, 1.0)


async def test_nothing_is_left_of_one_that_is_dropped(connection: Connection) -> None:
    profiles = RedisProfiles(connection, Codec())
    await profiles.add(ONE)
    assert await keys(connection) == {"cdpg:profile:one", "cdpg:profiles:of:a%3Ab", "cdpg:profiles:used", "cdpg:number"}
    await profiles.put(replace(ONE, used_at=7.0))
    await profiles.drop("one")
    assert await keys(connection) == {"cdpg:number"}


async def test_more_than_one_command_brings(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filed, "BATCH", 3)
    profiles = RedisProfiles(connection, Codec())
    every = [replace(ONE, id=f"p{number}") for number in range(10)]
    for one in every:
        await profiles.add(one)
    assert await profiles.listed("a:b") == every[::-1]
    assert len(await profiles.unused(2.0)) == 10
