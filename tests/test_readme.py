"""The README's first screen works when pasted."""

import asyncio
import re
from pathlib import Path

from tests.journeys.running import Gateway

ROOT = Path(__file__).parent.parent


def block(containing: str) -> str:
    """The README's shell block with that text in it."""
    found = [
        text
        for text in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if containing in text
    ]
    assert len(found) == 1
    return str(found[0])


async def pasted(text: str, gateway: Gateway, place: Path) -> list[str]:
    """Run a block as a person would, in a directory like the checkout; the lines that it printed."""
    (place / "data").mkdir(exist_ok=True)
    (place / "data" / "token").write_text(gateway.token + "\n")
    if not (place / "node_modules").exists():
        (place / "node_modules").symlink_to(ROOT / "tests" / "clients" / "node_modules")
    text = text.replace("npm install --silent puppeteer-core", "true")  # the clients of the tests have it
    script = "set -e\nexport TOKEN=$(cat data/token)\n" + text.replace("127.0.0.1:3000", gateway.url.partition("//")[2])
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=place, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(80):
        out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode().splitlines()


async def test_connect_and_reconnect(gateway: Gateway, tmp_path: Path) -> None:
    assert await pasted(block("Gateway.reconnect"), gateway, tmp_path) == ["Hello", "Hello again"]


async def test_save_and_restore(gateway: Gateway, tmp_path: Path) -> None:
    lines = await pasted(block("/restore"), gateway, tmp_path)
    assert (lines[0], lines[-1]) == ("stopped", "stopped")
    assert '"url": "https://example.com/"' in "".join(lines[1:-1])


def test_the_two_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("run", "test"):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
        assert f"make {command}" in (ROOT / "README.md").read_text()
