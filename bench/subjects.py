"""Whom the relay bench measures: Chromium itself, the gateway, Node's http-proxy and nginx, all on one Chromium.

It is the browser that the gateway has launched for a session; the others are given its port.
"""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil

from bench.serving import end

BENCH = Path(__file__).parent
BIN = Path(sys.executable).parent
TOKEN = "bench-token"
PATH = f"{BIN}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
AN_HOUR = 3_600_000  # ms
PATIENCE = 30.0  # seconds for a process to start or to end

DIRECT, GATEWAY, HTTP_PROXY, NGINX = "direct", "gateway", "http-proxy", "nginx"
SUBJECTS = (DIRECT, GATEWAY, HTTP_PROXY, NGINX)

# A plain relay: nothing is logged or kept on disk, bytes go on as they come.
NGINX_CONFIG = """\
worker_processes 1;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{chromium};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host 127.0.0.1:{chromium};
            proxy_set_header Origin "";
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""


class Missing(RuntimeError):
    """The bench lacks a program; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Where to connect on 127.0.0.1: one client at `path`, many at `shared`. `pids` are the relay's processes."""

    name: str
    port: int
    path: str
    shared: str
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """All subjects, the id of the page that they share, and all processes that take part, Chromium's too."""

    subjects: tuple[Subject, ...]
    page: str
    pids: tuple[int, ...]


@asynccontextmanager
async def started() -> AsyncIterator[Field]:
    """All subjects, for this block. Raises Missing where bench/prepare has not been run."""
    allow_many_files()
    with TemporaryDirectory(prefix="cdp-bench-") as name:
        directory = Path(name)
        async with _gateway(directory) as (gateway, url):
            # The others reach its browser past the gateway, which would have it stand still.
            body = {"ttl": AN_HOUR, "processKeepAlive": AN_HOUR, "persist": False, "park": False}
            session = await _asked("POST", f"{url}/session", body)
            endpoint = next((directory / "data" / "browsers").glob("*/profile/DevToolsActivePort"))
            chromium, path = endpoint.read_text().split()
            listed = await _asked("GET", f"http://127.0.0.1:{chromium}/json/list")
            page = next(target["id"] for target in listed if target["type"] == "page")
            driver = f"/session/connect/{session['id']}?token={TOKEN}"
            observer = f"/session/{session['id']}{path}?token={TOKEN}"
            async with (
                _http_proxy(f"ws://127.0.0.1:{chromium}{path}") as (node, proxy),
                _nginx(directory, int(chromium)) as (worker, nginx),
            ):
                subjects = (
                    Subject(DIRECT, int(chromium), path, path, ()),
                    Subject(GATEWAY, int(url.rpartition(":")[2]), driver, observer, (gateway,)),
                    Subject(HTTP_PROXY, proxy, path, path, (node,)),
                    Subject(NGINX, nginx, path, path, (worker,)),
                )
                browser = [child.pid for child in psutil.Process(gateway).children(recursive=True)]
                yield Field(subjects, page, (gateway, *browser, node, worker))


def allow_many_files() -> None:
    """As many open files as this user may have, for what is started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def compiled(directory: Path) -> Path:
    """The load client, made in `directory`. Raises Missing."""
    binary = directory / "load"
    subprocess.run([_program("cc"), "-O2", "-o", binary, BENCH / "load.c"], check=True)
    return binary


@asynccontextmanager
async def _gateway(directory: Path) -> AsyncIterator[tuple[int, str]]:
    """Its process id and its URL. It starts no browser unasked."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    settings = ("--data-dir", str(directory / "data"), "--warm", "0", "--max-sessions", "1", "--log-level", "warning")
    argv = (str(BIN / "cdp-gateway"), "serve", "--port", "0", "--token", TOKEN, *settings)
    async with _running(argv, directory / "gateway.log", clean) as process:
        yield process.pid, (await _line(process)).removeprefix("listening on ")


@asynccontextmanager
async def _http_proxy(target: str) -> AsyncIterator[tuple[int, int]]:
    """Its process id and its port."""
    if not (BENCH / "node_modules" / "http-proxy").exists():
        raise Missing("http-proxy is not installed: run bench/prepare")
    argv = (_program("node"), str(BENCH / "proxy.mjs"), target)
    async with _running(argv, Path(os.devnull)) as process:
        yield process.pid, int(await _line(process))


@asynccontextmanager
async def _nginx(directory: Path, chromium: int) -> AsyncIterator[tuple[int, int]]:
    """Its worker's process id and its port."""
    port = _free_port()
    config = directory / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""  # else the worker cannot reach our directory
    config.write_text(user + NGINX_CONFIG.format(port=port, chromium=chromium))
    log = directory / "nginx.log"
    argv = (_program("nginx"), "-p", str(directory), "-e", "stderr", "-c", str(config), "-g", "daemon off;")
    async with _running(argv, log) as process:
        async with asyncio.timeout(PATIENCE):
            while not (workers := psutil.Process(process.pid).children()):
                if process.returncode is not None:
                    raise Missing(f"nginx did not start: {log.read_text()}")
                await asyncio.sleep(0.02)
        yield workers[0].pid, port


@asynccontextmanager
async def _running(
    argv: tuple[str, ...], log: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for this block, asked to end after it. Its stderr goes to the file `log`."""
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=errors, env=env)
    try:
        yield process
    finally:
        await end(process, PATIENCE)


async def _line(process: asyncio.subprocess.Process) -> str:
    """The first line that it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = (await process.stdout.readline()).decode().strip()
    if not line:
        raise Missing("a subject of the bench ended at once: run bench/prepare")
    return line


async def _asked(method: str, url: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as client, client.request(method, url, json=body, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.json(content_type=None)


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise Missing(f"there is no {name}: run bench/prepare")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
