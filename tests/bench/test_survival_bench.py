"""The table of what survives what: the row of which everything is known in advance."""

from bench.survival import ENDS, End, outcome
from bench.traces import COLUMNS


async def unknown(stay: object) -> str:
    return "ws://127.0.0.1:1/session/connect/nobody"


async def test_all_is_there_when_only_the_client_went() -> None:
    assert await outcome(ENDS[0]) == dict.fromkeys(COLUMNS, True)


async def test_nothing_is_where_nobody_answers() -> None:
    assert await outcome(End("gone", unknown)) == dict.fromkeys(COLUMNS, False)
