"""browser-use's own session over the gateway: it comes, leaves, and finds everything again. `make browser-use` runs it.

It brings a hundred packages, which is why `make test` does not install it.
"""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.running import Gateway
from tests.site.app import Site

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "browser-use" / "bin" / "python"
PROGRAM = ROOT / "tests" / "clients" / "browser_use_client.py"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="browser-use is not installed: make browser-use")


async def visited(cdp_url: str, site: str, directory: Path) -> Any:
    """What the program found."""
    told = {"ANONYMIZED_TELEMETRY": "false", "BROWSER_USE_CONFIG_DIR": str(directory)}
    process = await asyncio.create_subprocess_exec(
        PYTHON, PROGRAM, cdp_url, site, env={**os.environ, **told}, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(120):
            said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()[-4000:]
    return json.loads(said.splitlines()[-1])


async def test_it_leaves_and_comes_back(gateway: Gateway, site: Site, tmp_path: Path) -> None:
    made = await gateway.create(processKeepAlive=60_000)
    page = f"{site.url}/page/1"
    first = await visited(made["connect"], page, tmp_path)
    assert first["found"][0] is None
    assert (first["url"], first["tabs"]) == (page, 1)
    assert first["screenshot"] > 1000
    assert first["text"].strip()
    again = await visited(made["connect"], page, tmp_path)
    assert (again["came_to"], again["found"]) == (page, [1, "a=1", "v"]), "the same page, with its JavaScript"
    # Stopped and restored: another browser, the same tab and storage.
    (await gateway.request("DELETE", f"/session/{made['id']}")).ok()
    restored = (await gateway.request("POST", f"/session/{made['id']}/restore")).ok(201)
    third = await visited(restored["connect"], page, tmp_path)
    assert (third["came_to"], third["found"]) == (page, [None, "a=1", "v"])
    (await gateway.request("DELETE", f"/session/{restored['id']}?purge=true")).ok()


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_browser_of_its_own(gateway: Gateway, site: Site, tmp_path: Path, scheme: str) -> None:
    url = f"{gateway.url.replace('http', scheme, 1)}?token={gateway.token}"
    found = await visited(url, f"{site.url}/page/2", tmp_path)
    assert found["came_to"] == "about:blank"
    assert found["url"] == f"{site.url}/page/2"
