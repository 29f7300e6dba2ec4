"""Somebody has taken over the process of the roads, which parses what pages and servers send: what is within reach.

The program that is run in its place is held and started as that process is, by the same words.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from browser_pool.confinement import Wish
from gateway.egress import cell
from gateway.egress.process import EgressProcess
from gateway.egress.terms import Terms
from tests.egress.rig import LOCAL, get, origin, told

SECRET = "the-secret-of-the-gateway"
PROBE = """
import encodings.idna, json, os, socket, ssl, sys, threading
from gateway.egress import cell
end = sys.argv.index("--")
cell.held(sys.argv[1:end])
place, expressions = sys.argv[end + 1], sys.argv[end + 2:]
for expression in expressions:
    try:
        print(json.dumps(["did", str(eval(expression))]), flush=True)
    except OSError as error:
        print(json.dumps(["refused", str(error)]), flush=True)
os._exit(0)
"""
# What is tried by one that was taken over; `place` is a directory with secrets. The last one does not come back.
ATTEMPTS = {
    "the token": "open(f'{place}/token').read()",
    "a snapshot": "open(f'{place}/snapshots/a/context.json').read()",
    "accounts": "open('/etc/passwd').read()",
    "a home": "os.listdir(place)",
    "all there is": "os.listdir('/')",
    "itself": "open('/proc/self/maps').read()",
    "the environment of its parent": "open(f'/proc/{os.getppid()}/environ').read()",
    "a new file": "open(f'{place}/new', 'x').name",
    "a file of the gateway's": "open(f'{place}/token', 'a').name",
    "another process": "os.waitpid(os.fork() or os._exit(0), 0)",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
    "another program": """os.execv('/bin/echo', ['echo', '["did", "become another"]'])""",
}
NEEDS = {
    "names": "socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM)[0][4][0]",
    "how names are resolved": "open('/etc/hosts').read() and open(cell.__file__).read()",
    "threads": "threading.Thread(target=int).start()",
    "authorities": "len(ssl.create_default_context().get_ca_certs()) >= 0",
    "sockets": "socket.create_server(('127.0.0.1', 0)).getsockname() and socket.socketpair() and 1",
    "its environment": "dict(os.environ)",
}


async def taken_over(confined: bool, tried: dict[str, str], place: Path) -> dict[str, tuple[str, str]]:
    """What comes of each, in the place of that process: `did` or `refused`, and what it says."""
    hold = cell.examine(Wish.REQUIRED if confined else Wish.OFF)
    words = hold.words(None if hold.user else cell.unused())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROBE, *words, "--", str(place), *tried.values()),
        stdout=asyncio.subprocess.PIPE,
        env=cell.environment(os.environ),
        start_new_session=True,
    )
    said, _ = await process.communicate()
    lines = [tuple(json.loads(line)) for line in said.decode().splitlines()]
    return dict(zip(tried, lines, strict=True))


async def test_what_is_within_its_reach(tmp_path: Path, confined: bool) -> None:
    for name in ("token", "snapshots/a/context.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET)
    found = await taken_over(confined, ATTEMPTS, tmp_path)
    assert {name: how for name, (how, _) in found.items()} == dict.fromkeys(ATTEMPTS, "refused" if confined else "did")
    assert (SECRET in found["the token"][1]) is not confined
    assert (SECRET in found["a snapshot"][1]) is not confined
    assert (tmp_path / "new").exists() is not confined


async def test_what_it_is_there_for_goes_on(confined: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its gateway's environment, confined or not."""
    monkeypatch.setenv("GATEWAY_TOKEN", SECRET)
    found = await taken_over(confined, NEEDS, tmp_path)
    assert {name: how for name, (how, _) in found.items()} == dict.fromkeys(NEEDS, "did")
    assert found["names"][1] in ("127.0.0.1", "::1")
    assert SECRET not in found["its environment"][1]


@pytest.fixture
async def worker(confined: bool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EgressProcess]:
    """The real one."""
    monkeypatch.setenv("GATEWAY_TOKEN", SECRET)
    async with EgressProcess(LOCAL, confinement=Wish.REQUIRED if confined else Wish.OFF) as egress:
        yield egress


async def test_the_process_itself(worker: EgressProcess, confined: bool) -> None:
    assert worker.measure.holds is confined
    async with origin() as server, worker.open() as road:
        await worker.assign(road.port, Terms())
        assert b" 200 " in await told(road.port, get(server.url))
        assert b" 200 " in await told(road.port, get(f"http://localhost:{server.port}/"))
        process = Path(f"/proc/{worker.pid}")
        assert SECRET.encode() not in (process / "environ").read_bytes()
        status = (process / "status").read_text()
        for thread in (process / "task").iterdir():
            held = (thread / "status").read_text()
            assert ("NoNewPrivs:\t1\n" in held and "Seccomp:\t2\n" in held) is confined
        if os.geteuid() == 0:
            user = int(status.partition("Uid:\t")[2].split("\t")[0])
            assert (user in range(cell.FIRST_USER, cell.LAST_USER + 1)) is confined


async def test_another_browsers_port_is_told_by_the_gateway(worker: EgressProcess) -> None:
    """It cannot see by itself who listens: its rule holds all the same, and nobody else is taken for a browser."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    argv = [sys.executable, "-c", code, "--remote-debugging-port=0"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as browser:  # noqa: ASYNC220
        assert browser.stdout is not None
        port = int(browser.stdout.readline())
        async with worker.open() as road:
            await worker.assign(road.port, Terms())
            said = await told(road.port, get(f"127.0.0.1:{port}", method="CONNECT"))
            assert b"X-Egress-Rule: browser-endpoint" in said
            with socket.create_server(("127.0.0.1", 0)) as other:
                place = f"127.0.0.1:{other.getsockname()[1]}"
                reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
                writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                writer.close()
        browser.communicate(b"\n")
