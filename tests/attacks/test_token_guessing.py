"""Somebody tries one token after the other, on as many connections as they like."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.inside import TOKEN, Inside, inside

TRIES = 400
AT_ONCE = 40
FREE = 10  # a minute; see `auth_failures`


async def guesses(gateway: Inside) -> bool:
    """Whether the right one was found among wrong ones; it comes as number TRIES."""
    tokens = iter([*(f"guess-{number}" for number in range(TRIES)), TOKEN])
    found = False

    async def one() -> None:
        nonlocal found
        for token in tokens:
            async with gateway.http.get("/sessions", headers={"Authorization": f"Bearer {token}"}) as answer:
                found = found or answer.status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one())
    return found


def looked_at(directory: Path) -> int:
    """How many of them were compared with anything."""
    lines = (directory / "audit.log").read_text().splitlines()
    return sum(json.loads(line)["action"] == "credential.failed" for line in lines)


@pytest.mark.parametrize("throttled", [False, True], ids=["open", "refused"])
async def test_guessing_from_one_address(tmp_path: Path, throttled: bool) -> None:
    async with inside(tmp_path, auth_failures=str(FREE) if throttled else "0") as gateway:
        began = time.monotonic()
        found = await guesses(gateway)
        took = time.monotonic() - began
    assert found is not throttled
    if throttled:
        # Eight at a time, each held back for half a second at least.
        assert looked_at(tmp_path) <= FREE + 8 + 16 * took
    else:
        assert looked_at(tmp_path) == TRIES
