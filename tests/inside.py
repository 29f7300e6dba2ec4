"""A gateway inside the test's own process, for tests that look at its parts while it serves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from gateway.config import Config, load
from gateway.node import Secrets, prepare, started
from gateway.session.registry import Registry
from gateway.tenancy.access import TENANT, Access, Principal, Role
from tests.documented import documented

TOKEN = "inside-token"
ADMIN = Principal(TENANT, Role.ADMIN)


@dataclass(frozen=True)
class Inside:
    """`base` is `http://127.0.0.1:PORT`; `http` carries the token."""

    base: str
    registry: Registry
    access: Access
    config: Config
    http: aiohttp.ClientSession

    @property
    def ws(self) -> str:
        return self.base.replace("http", "ws", 1)

    def connect(self, path: str = "/", **query: str) -> connect:
        """A websocket to `path` with the token."""
        text = "&".join(f"{name}={value}" for name, value in {"token": TOKEN, **query}.items())
        return connect(f"{self.ws}{path}?{text}", max_size=None, compression=None, open_timeout=60)

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and decoded body. Fails when the reply is none that the API's document has."""
        async with self.http.request(method, path, **options) as answer:
            body = await answer.json(content_type=None)
            documented().check(method, path, answer.status, answer.content_type, body)
            return answer.status, body


@asynccontextmanager
async def inside(directory: Path, **settings: str) -> AsyncIterator[Inside]:
    """Serve in this process while the block lasts."""
    usual = {"data_dir": str(directory), "port": "0", "token": TOKEN, "warm": "0", "adopt_timeout": "0"}
    usual["egress_allow"] = "127.0.0.0/8,::1"  # the test application is on this machine
    config = load({**usual, **settings}, {}, None)
    known: Secrets = prepare(config)
    async with started(config, known) as (registry, port):
        base = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(base, headers=headers) as http:
            yield Inside(base, registry, Access(known.token, known.key), config, http)


async def ask(socket: ClientConnection, method: str, params: dict[str, Any] | None = None, **more: Any) -> Any:
    """Send one CDP command; its whole reply."""
    await socket.send(json.dumps({"id": 7, "method": method, "params": params or {}, **more}))
    while True:
        message = json.loads(await socket.recv())
        if message.get("id") == 7:
            return message


async def until(true: Callable[[], bool], timeout: float = 30) -> None:
    """Wait for what no event tells of; `timeout` in seconds."""
    async with asyncio.timeout(timeout):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
