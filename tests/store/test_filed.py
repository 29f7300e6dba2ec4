"""Documents and their sets in a real Redis: what is kept of them, and in how many steps many are found."""

import json
import secrets
from collections.abc import Iterable

import pytest

from gateway.store import filed
from gateway.store.connection import Connection
from gateway.store.filed import Filed, Put, Sheet
from gateway.store.places import line, sets
from tests.store.stores import keys


def sheet(number: str, where: Iterable[str] = (), incarnation: int = 0, **scores: float) -> Sheet:
    found = (*((one, None) for one in where), *scores.items())
    return Sheet(number, line("t", found), json.dumps({"id": number}).encode(), incarnation)


@pytest.fixture
def files(connection: Connection) -> Filed:
    return Filed(connection, "sort")


async def members(connection: Connection, where: str) -> dict[str, float]:
    flat = await connection.call("ZRANGE", f"cdpg:{where}", 0, -1, "WITHSCORES")
    return {name.decode(): float(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}


async def test_numbers_rise(connection: Connection, files: Filed) -> None:
    for name, least in (("a", 100), ("b", 100), ("c", 50), ("d", 1763740000123456), ("e", 1)):
        assert await files.add(sheet(name, ["all"]), least)
    last = 1763740000123456
    assert await members(connection, "all") == {"a": 100, "b": 101, "c": 102, "d": last, "e": last + 1}
    assert await connection.call("GET", "cdpg:number") == str(last + 1).encode()


async def test_one_that_is_put_back_is_where_it_was(connection: Connection, files: Filed) -> None:
    await files.add(sheet("new", ["all"]), 1000)
    for name in ("a", "b", "c"):
        assert await files.add(sheet(name, ["all", "other"]), 500, ("all", "other"))
    assert await members(connection, "all") == {"new": 1000, "a": 500, "b": 501, "c": 502}
    assert await files.add(sheet("last", ["all"]), 2000, ("all",))
    assert await files.add(sheet("next", ["all"]), 1)
    assert (await members(connection, "all"))["next"] == 2001


async def test_an_id_is_filed_once(connection: Connection, files: Filed) -> None:
    assert await files.add(sheet("a", ["one"]), 1)
    assert not await files.add(sheet("a", ["two"]), 1)
    assert not await files.add(sheet("a", ["two"]), 1, ("two",))
    assert await members(connection, "two") == {}
    assert await connection.call("GET", "cdpg:number") == b"1"


async def test_an_addition_that_is_sent_twice_is_one(
    connection: Connection, files: Filed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "same")
    assert await files.add(sheet("a", ["one"]), 1)
    assert await files.add(sheet("a", ["one"]), 1)
    assert await members(connection, "one") == {"a": 1}
    assert await files.put(sheet("a", ["one"])) is Put.DONE
    assert not await files.add(sheet("a", ["one"]), 1)


async def test_it_is_in_the_sets_that_it_says_and_in_no_other(connection: Connection, files: Filed) -> None:
    await files.add(sheet("a", ["one", "two"], due=1.5), 7)
    await files.put(sheet("a", ["two", "three"], due=0.1 + 0.2, used=3.0))
    for where, there in (("one", {}), ("two", {"a": 7}), ("three", {"a": 7}), ("due", {"a": 0.1 + 0.2})):
        assert await members(connection, where) == there
    await files.put(sheet("a", [], used=3.0))
    assert await keys(connection) == {"cdpg:number", "cdpg:sort:a", "cdpg:used"}
    assert await files.drop("a")
    assert not await files.drop("a")
    assert await keys(connection) == {"cdpg:number"}
    assert await files.get("a") is None


async def test_incarnations_fence(files: Filed) -> None:
    assert await files.put(sheet("a", [], 1)) is Put.LATE
    await files.add(sheet("a", [], 9), 1)
    assert await files.put(sheet("a", [], 8)) is Put.LATE
    assert await files.put(sheet("a", [], 9)) is Put.DONE
    assert await files.put(sheet("a", [], 10)) is Put.DONE
    assert await files.put(sheet("a", [], 9)) is Put.LATE


@pytest.mark.parametrize(
    ("lease", "node", "put"),
    [
        (None, "http://a:1", Put.DONE),
        ("http://a:1|3|nonce|t", "http://a:1", Put.DONE),
        ("http://a:10|3|nonce|t", "http://a:1", Put.FOREIGN),
        ("http://a|3|nonce|t", "http://a:1", Put.FOREIGN),
        ("http://b:1|3|nonce|t", "http://a:1", Put.FOREIGN),
        ("http://b:1|3|nonce|t", "", Put.DONE),
        ("garbage", "http://a:1", Put.FOREIGN),
    ],
)
async def test_leases_fence(connection: Connection, files: Filed, lease: str | None, node: str, put: Put) -> None:
    await files.add(sheet("a", ["one"]), 1)
    if lease is not None:
        await connection.call("SET", "cdpg:lease:a", lease)
    assert await files.put(sheet("a", ["two"]), node) is put
    assert await members(connection, "two") == ({"a": 1} if put is Put.DONE else {})


async def test_a_text_of_any_kind_comes_back(files: Filed) -> None:
    for text in (b"{}", b'{"a":"\\u0000 \\n"}', "ü 😀".encode(), b"line\nline"):
        await files.add(Sheet("a", line("t", ()), text), 1)
        assert await files.get("a") == text
        await files.drop("a")


async def test_more_than_one_step_looks_at(
    connection: Connection, files: Filed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filed, "STEP", 4)
    monkeypatch.setattr(filed, "BATCH", 4)
    ids = [f"{number:02}" for number in range(40)]
    for number, name in enumerate(ids):
        where = ["all", f"half{number % 2}", *(["tenth"] if number % 10 == 0 else [])]
        await files.add(sheet(name, where), number + 1)

    async def page(every: list[str], some: list[str], limit: int = 100, cursor: str | None = None) -> list[str]:
        found = await files.page("t", cursor, limit, sets(every, some))
        assert found is not None
        return [json.loads(text)["id"] for text in found]

    assert await page(["all"], []) == ids[::-1]
    assert await page(["all"], [], 7) == ids[:-8:-1]
    assert await page(["all"], [], 7, "20") == ids[19:12:-1]
    assert await page(["all", "half0"], []) == ids[38::-2]
    assert await page(["half0", "half1"], []) == []
    assert await page(["tenth", "half0"], []) == ids[30::-10]
    assert await page([], ["half0", "half1"]) == ids[::-1]
    assert await page([], ["half0", "half1"], 9, "20") == ids[19:10:-1]
    assert await page(["tenth"], ["half0", "half1"]) == ids[30::-10]
    assert await page(["all"], ["tenth"]) == ids[30::-10]
    assert await page(["all", "none"], ["tenth"]) == []
    assert [json.loads(text)["id"] async for text in files.every("all")] == ids
    assert [json.loads(text)["id"] async for text in files.every("all", highest=True)] == ids[::-1]
    # The set with the fewest members is walked through, however many the others have.
    before = connection.sent
    await page(["all", "tenth"], [])
    assert connection.sent - before == 2


async def test_a_cursor_is_one_of_the_tenants(files: Filed) -> None:
    await files.add(sheet("a", ["all"]), 1)
    assert await files.page("t", "none", 5, sets(["all"], [])) is None
    assert await files.page("u", "a", 5, sets(["all"], [])) is None
    assert await files.page("t", "a", 5, sets(["all"], [])) == []


async def test_what_somebody_else_has_deleted_is_passed_over(connection: Connection, files: Filed) -> None:
    for name in ("a", "b"):
        await files.add(sheet(name, ["all"]), 1)
    await connection.call("DEL", "cdpg:sort:a")
    assert len(await files.page("t", None, 5, sets(["all"], [])) or ()) == 1
    assert len(await files.range("all", "-inf", "+inf")) == 1
    assert await members(connection, "all") == {"b": 2}
