"""Browsers and programs in bubblewrap, as where the kernel has no Landlock. Where there is no bubblewrap, a skip."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.bubblewrap import NAME
from browser_pool.confinement import Confinement, Held
from browser_pool.examine import examine
from tests.browser_pool.caged import PREFIX

Look = Callable[[Confinement, Path, Binaries], Held]
PROGRAMS = ("run=/usr", "run=/lib", "run=/lib64", "run=/bin", "read=/etc/ld.so.cache", "proc=/proc", "device=/dev/null")


@pytest.fixture
def look(root: Path, binaries: Binaries) -> Look:
    """How a pool is to look at this machine so that it finds no Landlock, and bubblewrap in its place."""
    found = partial(examine, abi=0)
    if why := found(Confinement(), root, binaries).bubblewrap:
        pytest.skip(why)
    return found


def wrapped(*argv: str, words: tuple[str, ...] = (), user: int | None = None) -> "subprocess.CompletedProcess[str]":
    """What became of `argv` in bubblewrap, as `user`."""
    given = [*([] if user is None else [f"user={user}"]), f"bubblewrap={shutil.which(NAME)}", *PROGRAMS, *words]
    line = [*PREFIX, str(os.getpid()), *given, "--", *argv]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        said, errors = run.communicate(timeout=30)
    reap(run.pid)
    return subprocess.CompletedProcess(argv, run.returncode, said, errors)


def reap(group: int) -> None:
    """The first process of a namespace, which may have become our child. Blocking."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
