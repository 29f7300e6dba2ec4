"""A short run of what `make fuzz-api` does for longer, and that it would notice."""

import asyncio
from pathlib import Path

from tests.fuzz.api import FULL, run
from tests.journeys.running import Starter

QUICK = ["--phases", "fuzzing", "--max-examples", "3", "--generation-deterministic", "--no-shrink"]


async def test_nothing_but_what_is_in_the_document_is_answered(start_gateway: Starter, tmp_path: Path) -> None:
    gateway = await start_gateway(**FULL)
    session = (await gateway.create(ttl=600_000, processKeepAlive=600_000))["id"]
    told = await asyncio.to_thread(run, gateway, tmp_path, QUICK, session)
    assert "No issues found" in told
