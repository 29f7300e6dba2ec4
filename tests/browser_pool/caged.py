"""Programs that stand where Chromium would: started by confine.py, held by words of the test's."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from browser_pool import confine

PACKAGES = str(Path(confine.__file__).parent.parent)
PREFIX = (sys.executable, "-I", "-S", "-c", confine.STARTER, PACKAGES)
PROGRAMS = ("run=/usr", "run=/lib", "run=/lib64", "run=/bin", "read=/etc/ld.so.cache")


def confined(
    *argv: str, words: tuple[str, ...] = (), parent: int | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """What became of `argv`."""
    line = (*PREFIX, str(parent or os.getpid()), *words, "--", *argv)
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, env=env)


def scripted(script: str, *arguments: str, words: tuple[str, ...]) -> str:
    """What a Python script says, the system's own Python; its last line of complaint where it fails."""
    done = confined("/usr/bin/python3", "-I", "-c", script, *arguments, words=words)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]
