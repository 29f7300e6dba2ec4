"""Find Chromium, or install it with what the machine has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from browser_pool.binary import Binaries

FONTS = ("fonts-liberation", "fonts-noto-color-emoji")
FILTERS = "webext-ublock-origin-chromium"  # has the lists that blockAds filters by


def install() -> int:
    """Say where Chromium is; if it is nowhere, install it. The exit code."""
    if (found := Binaries().full) is not None:
        print(f"Chromium is at {found}")
        return 0
    for name, commands, extra in _ways():
        print(f"installing Chromium with {name}…", flush=True)
        if all(subprocess.run(command, check=False).returncode == 0 for command in commands):
            for command in extra:  # what can be done without: a failure is no failure
                subprocess.run(command, check=False)
            if (found := Binaries().full) is not None:
                print(f"Chromium is at {found}")
                return 0
            print(f"{name} succeeded, but no Chromium is to be found afterwards")
    print(
        "Chromium could not be installed here. Install one by hand (Debian: apt-get install chromium; elsewhere"
        " Google Chrome, or `playwright install chromium`), or name it with --browser PATH.",
        file=sys.stderr,
    )
    return 1


def _ways() -> list[tuple[str, list[list[str]], list[list[str]]]]:
    """Ways to install, best first: a name, the commands of each, and those of what can be done without."""
    ways: list[tuple[str, list[list[str]], list[list[str]]]] = []
    # Ubuntu's chromium package is a snap, which cannot be started the way a server does it.
    if shutil.which("apt-get") and _distribution() != "ubuntu" and (rights := _rights()) is not None:
        get = [*rights, "apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        commands = [[*rights, "apt-get", "update", "-qq"], [*get, "chromium", *FONTS]]
        ways.append(("apt-get", commands, [[*get, "chromium-headless-shell"], [*get, FILTERS]]))
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() == 0:
        playwright.insert(4, "--with-deps")
    package = [sys.executable, "-m", "pip", "install", "--quiet", "playwright"]
    ways.append(("Playwright's download", [package, playwright], []))
    return ways


def _distribution() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:].strip('"') for line in lines if line.startswith("ID=")), "")


def _rights() -> list[str] | None:
    """What to put before a command that needs root: nothing, sudo if it asks for no password, or None."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None
