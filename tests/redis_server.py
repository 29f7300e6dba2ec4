"""A real Redis for a test, from the system's package: started, killed, stopped for a while, started again."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.ports import free_port

PROGRAM = shutil.which("redis-server") or "/usr/bin/redis-server"


class RedisServer:
    """One server on a loopback port of its own. What it has is in memory; with `keeps` also in its `directory`."""

    def __init__(self, directory: Path, *, keeps: bool = False, options: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = ("--appendonly", "yes" if keeps else "no", "--appendfsync", "always", *options)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return once it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""),
            *self._options,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            while not await self._answers():
                assert self._process.returncode is None, f"Redis ended on port {self.port}"
                await asyncio.sleep(0.02)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL for a crash. What it does not keep is gone."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(how)
            await process.wait()

    async def ask(self, *words: str) -> str:
        """The answer to a command, as it comes: an error, or a text of any length."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(" ".join(words).encode() + b"\r\n")
            line = (await reader.readline()).decode()
            return (await reader.readexactly(int(line[1:]))).decode() if line.startswith("$") else line
        finally:
            writer.close()

    def freeze(self) -> None:
        """It takes connections, or rather its machine does, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            writer.close()


@asynccontextmanager
async def redis_server(directory: Path, *, keeps: bool = False) -> AsyncIterator[RedisServer]:
    """A server for this block."""
    server = RedisServer(directory, keeps=keeps)
    try:
        await server.start()
        yield server
    finally:
        await server.end()
