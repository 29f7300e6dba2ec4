"""Find Chromium on this machine, and ask for its version."""

import asyncio
import os
import re
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from browser_pool.errors import BrowserMissing
from browser_pool.spec import Mode

# Debian's /usr/bin/chromium is a shell script that adds flags of its own: the binary behind it comes first.
FULL = (
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
)
SHELL = (
    "/usr/lib/chromium/chromium-headless-shell",
    "chromium-headless-shell",
    "chrome-headless-shell",
    "headless_shell",
)
PLAYWRIGHT = {
    Mode.HEADLESS: ("chromium-*/chrome-linux*/chrome",),
    Mode.SHELL: ("chromium_headless_shell-*/chrome-*/headless_shell", "chromium_headless_shell-*/*/chrome-*-shell"),
}
VERSION_TIMEOUT = 10.0  # seconds
ADVICE = "install one with `cdp-gateway install-browser`, or name it with --browser PATH"
SHELL_ADVICE = "it is Debian's package chromium-headless-shell, or comes with `playwright install chromium`"


def _first(names: tuple[str, ...], patterns: tuple[str, ...]) -> Path | None:
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "~/.cache/ms-playwright")).expanduser()
    for pattern in patterns:
        if hits := sorted(cache.glob(pattern)):
            return hits[-1]
    return None


@dataclass(frozen=True)
class Binaries:
    """Which program runs a mode. `configured` is the operator's choice for full Chromium, if any."""

    configured: Path | None = None
    _versions: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def full(self) -> Path | None:
        """Full Chromium, or None."""
        return self.configured or _first(FULL, PLAYWRIGHT[Mode.HEADLESS])

    @property
    def shell(self) -> Path | None:
        """The headless shell, or None."""
        return _first(SHELL, PLAYWRIGHT[Mode.SHELL])

    def path(self, mode: Mode) -> Path:
        """The program for `mode`; raises BrowserMissing with what to do."""
        found = self.shell if mode is Mode.SHELL else self.full
        what = "Chromium's headless shell" if mode is Mode.SHELL else "Chromium"
        if found is None:
            raise BrowserMissing(f"no {what} was found: {SHELL_ADVICE if mode is Mode.SHELL else ADVICE}")
        if not os.access(found, os.X_OK) or found.is_dir():
            raise BrowserMissing(f"{what} at {found} is not a program that can be run: {ADVICE}")
        return found

    async def version(self, path: Path) -> str:
        """The full version number, as `156.0.8078.79`; asked once. Raises BrowserMissing if there is none."""
        if path not in self._versions:
            self._versions[path] = await read_version(path)
        return self._versions[path]


async def read_version(path: Path) -> str:
    """What `PATH --version` prints, the number only. Raises BrowserMissing."""
    try:
        process = await asyncio.create_subprocess_exec(
            str(path),
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # nothing of the gateway's own
        )
    except OSError as error:
        raise BrowserMissing(f"{path} cannot be run: {error.strerror}: {ADVICE}") from error
    try:
        async with asyncio.timeout(VERSION_TIMEOUT):
            output, _ = await process.communicate()
    except BaseException as error:
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)  # it may be a script: what it started goes with it
        await process.wait()
        if isinstance(error, TimeoutError):
            raise BrowserMissing(f"{path} --version did not answer within {VERSION_TIMEOUT:g} s") from None
        raise
    match = re.search(rb"\d+\.\d+\.\d+\.\d+", output)
    if match is None:
        raise BrowserMissing(f"{path} --version gave no version: {output.decode(errors='replace').strip()[:400]}")
    return match[0].decode()
