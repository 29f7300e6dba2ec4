"""The gateway as a real process, and what the machine has of it: processes, directories, its log."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import psutil
from multidict import CIMultiDictProxy

from browser_pool import procfs
from tests.documented import documented

TOKEN = "journey-token-7f3a9c"
# All these only end a hang: a busy machine is ten times slower than an idle one.
START_SECONDS = 60
STOP_SECONDS = 45
PATIENCE = 30.0  # seconds for what is to come, in the end
COMMAND = Path(sys.executable).with_name("cdp-gateway")
# The test application is on this machine.
LOCAL = "127.0.0.0/8,::1"
# Many tests bring a bad credential to one gateway, all from one address.
SETTINGS = {
    "token": TOKEN,
    "warm": "0",
    "log_level": "debug",
    "log_format": "json",
    "auth_failures": "0",
    "egress_allow": LOCAL,
}

T = TypeVar("T")


async def eventually(what: str, look: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Wait until `look()`, at things outside this process (ps, files), gives something true; returns that.

    Fails naming `what` after `timeout` seconds, with what was seen last.
    """
    end = time.monotonic() + timeout
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {timeout:g} s: {what} (last seen: {seen!r})"
        await asyncio.sleep(0.02)
    return seen


async def eventually_asked(what: str, ask: Callable[[], Awaitable[T]], timeout: float = PATIENCE) -> T:
    """The same for something that has to be asked over the network."""
    end = time.monotonic() + timeout
    while not (seen := await ask()):
        assert time.monotonic() < end, f"not within {timeout:g} s: {what} (last seen: {seen!r})"
        await asyncio.sleep(0.02)
    return seen


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; `body` is the decoded JSON, or the text where it is no JSON."""

    status: int
    headers: CIMultiDictProxy[str]
    body: Any

    def ok(self, status: int = 200) -> Any:
        """The body; fails on any other status, showing the body."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body}"
        return self.body

    def refused(self, status: int) -> str:
        """The message of a refusal in the contract's shape; fails on any other status or shape."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body}"
        assert set(self.body) == {"error", "requestId"}, self.body
        assert set(self.body["error"]) == {"code", "message"}, self.body
        assert self.body["error"]["code"], self.body
        assert self.body["requestId"], self.body
        message = self.body["error"]["message"]
        assert isinstance(message, str), self.body
        assert message, self.body
        return message


@dataclass
class Gateway:
    """A running `cdp-gateway serve`."""

    data_dir: Path
    temporary: Path
    log: Path
    process: "subprocess.Popen[str]"
    url: str = ""
    token: str = TOKEN
    output: list[str] = field(default_factory=list)

    @property
    def ws(self) -> str:
        """ws(s)://HOST:PORT"""
        return self.url.replace("http", "ws", 1)

    def driver(self, path: str = "/", **query: str) -> str:
        """A websocket URL with the token in its query."""
        return f"{self.ws}{path}?{urlencode({**query, 'token': self.token})}"

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, auth: bool = True, **rest: Any
    ) -> Reply:
        """One HTTP request; `path` may be a whole URL. `auth` adds the token as a bearer.

        Fails when the reply is none that the API's document has.
        """
        sent = dict(headers or {})
        if auth:
            sent["Authorization"] = f"Bearer {self.token}"
        url = path if path.startswith("http") else self.url + path
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(2 * PATIENCE)) as client,
            client.request(method, url, headers=sent, allow_redirects=False, **rest) as response,
        ):
            is_json = response.content_type == "application/json"
            body = await (response.json() if is_json else response.text())
            if url.startswith(self.url):
                documented().check(method, url, response.status, response.content_type, body)
            return Reply(response.status, response.headers, body)

    async def create(self, **body: Any) -> Any:
        """POST /session; the record."""
        return (await self.request("POST", "/session", json=body)).ok(201)

    async def record(self, session: str) -> Any:
        """GET /session/ID."""
        return (await self.request("GET", f"/session/{session}")).ok()

    async def status(self, session: str, *wanted: str, timeout: float = PATIENCE) -> Any:
        """The record of `session` once its status is one of `wanted`."""
        last: Any = None

        async def reached() -> Any:
            nonlocal last
            last = await self.record(session)
            return last if last["status"] in wanted else None

        try:
            return await eventually_asked(" or ".join(wanted), reached, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    async def saved_twice(self, session: str) -> None:
        """Wait until a session that changes all the time was saved twice of itself.

        The first may have begun before this was called. The second has what was there then.
        """

        async def newest() -> int:
            listed = (await self.request("GET", f"/session/{session}/snapshots")).ok()["snapshots"]
            return max((int(one["version"]) for one in listed), default=0)

        before = await newest()

        async def twice() -> bool:
            return await newest() >= before + 2

        await eventually_asked("two checkpoints", twice)

    def processes(self) -> list[psutil.Process]:
        """Live processes with a path under this data directory's `browsers` on their command line."""
        marker = str(self.data_dir / "browsers")
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            if process.info["status"] != psutil.STATUS_ZOMBIE and marker in " ".join(process.info["cmdline"] or ()):
                found.append(process)
        return found

    def browsers(self) -> list[psutil.Process]:
        """The main process of each running browser: no child (--type=), no handler of crashes.

        Nor what one has just forked, which has its command line until it becomes another program: it leads no session,
        or is the child of one that does.
        """
        found = [one for one in self.processes() if is_main(command_line(one))]
        pids = {one.pid for one in found}
        seen = {one.pid: procfs.seen(one.pid) for one in found}
        return [one for one in found if (its := seen[one.pid]) and its.session == one.pid and its.parent not in pids]

    def directories(self) -> list[Path]:
        """What is in `browsers/`."""
        root = self.data_dir / "browsers"
        return sorted(root.iterdir()) if root.exists() else []

    def nothing_left(self) -> bool:
        """No browser process and no browser directory."""
        return not self.directories() and not self.processes()

    async def all_browsers_gone(self, timeout: float = PATIENCE) -> None:
        """Wait until no process and no directory of any browser is left."""
        try:
            await eventually("no browser and no directory left", self.nothing_left, timeout)
        except AssertionError as error:
            left = [(one.pid, command_line(one)[:2]) for one in self.processes()]
            raise AssertionError(f"{error}; processes {left}, directories {self.directories()}") from None

    def kill(self) -> None:
        """kill -9 of the gateway alone; what it ran stays."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._collect()

    def stop(self) -> None:
        """SIGTERM; asserts exit code 0 in time and a log without the token. Blocking; repeating it is harmless."""
        if self.process.returncode is not None:
            self._collect()
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            raise AssertionError(f"the gateway did not end within {STOP_SECONDS} s of SIGTERM") from None
        finally:
            self._collect()
        assert code == 0, f"the gateway ended with {code}"
        written = self.log.read_text() + "".join(self.output)
        assert self.token not in written, "the token is in the gateway's log or output"

    def _collect(self) -> None:
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self.output += self.process.stdout.readlines()
            self.process.stdout.close()


def is_main(argv: list[str]) -> bool:
    """Whether this is the command line of a browser's main process."""
    return any(word.startswith("--user-data-dir=") for word in argv) and not any(
        word.startswith("--type=") for word in argv
    )


def command_line(process: psutil.Process) -> list[str]:
    """The argv of a process, [] if it ended meanwhile."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def start(directory: Path, logs: Path, settings: Mapping[str, str]) -> Gateway:
    """Start a gateway with its data in DIRECTORY/data and its log in LOGS, and wait until it listens. Blocking.

    `settings` go into its environment as GATEWAY_X; SETTINGS hold unless they say otherwise. Its temporary
    files are in DIRECTORY/tmp, so that it can be seen whether it leaves any.
    """
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    log = logs / f"gateway-{len(list(logs.glob('gateway-*.log')))}.log"
    merged = {**SETTINGS, "data_dir": str(directory / "data"), **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environment |= {f"GATEWAY_{name.upper()}": value for name, value in merged.items()} | {"TMPDIR": str(temporary)}
    argv = [str(COMMAND), "serve", "--port", merged.get("port", "0")]
    with log.open("a") as errors:
        process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    gateway = Gateway(Path(merged["data_dir"]), temporary, log, process, token=merged["token"])
    assert process.stdout is not None
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            gateway.output.append(line)
            if line.startswith("listening on http"):
                gateway.url = line.removeprefix("listening on ").strip()
                return gateway
    finally:
        watchdog.cancel()
    gateway.kill()
    raise AssertionError(f"the gateway ended with {process.returncode} before it listened:\n{log.read_text()}")


class Starter:
    """`await start_gateway(setting="value")` starts a gateway of the test's own."""

    def __init__(self, directory: Path, logs: Path, stack: AsyncExitStack) -> None:
        self.directory = directory
        self.logs = logs
        self.started: list[Gateway] = []
        self._stack = stack

    async def __call__(self, **settings: str) -> Gateway:
        """Start one on the test's data directory, which a later one of the same test finds as it was left."""
        gateway = await asyncio.to_thread(start, self.directory, self.logs, settings)
        self.started.append(gateway)
        self._stack.push_async_callback(asyncio.to_thread, gateway.stop)
        return gateway
