"""What a save leaves when it is killed, or when the disk is full: the last good version, whole."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = "3f0e6c1e-0000-4000-8000-000000000001"
ROUNDS = 40

# A process that forks one that saves without end, kills it at a random moment, and looks at what is left; then again.
KILLING = """
import asyncio, json, os, random, select, signal, sys
from pathlib import Path
from gateway.snapshot.document import ContextDocument, OriginState
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault

place, session, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
profile = place / "profile"
(profile / "Default").mkdir(parents=True)
vault = lambda: Vault(place / "snapshots", Sealer((b"k" * 32,)))

def document(number):
    text = random.Random(number).randbytes(20_000).hex()
    return ContextDocument(origins=(OriginState("https://x.test", (("number", str(number)), ("text", text))),))

async def saving(number, told):
    one = vault()
    while True:
        number += 1
        with_profile = number % 3 == 0
        if with_profile:
            (profile / "Default" / "number").write_text(str(number))
            (profile / "Default" / "large").write_bytes(random.Random(number).randbytes(300_000))
        await one.save(session, document(number), profile=profile if with_profile else None, kind="chromium",
                       reason="r", checkpoint=not with_profile, fence=number)
        os.write(told, f"{number}\\n".encode())

async def look(told):
    one = vault()
    swept = one.sweep()
    infos = await one.list(session)
    newest = 0
    for info in infos:
        (origin,) = (await one.load_document(session, info.version)).origins
        number = int(dict(origin.local_storage)["number"])
        assert origin == document(number).origins[0]
        out = place / f"out-{info.version}"
        if await one.unpack_profile(session, info.version, out):
            assert (out / "Default" / "number").read_text() == str(number)
            assert (out / "Default" / "large").read_bytes() == random.Random(number).randbytes(300_000)
        newest = max(newest, number)
    if infos:
        usable, skipped = await one.usable(session)
        assert (usable, skipped) == (infos[-1], ()), (usable, skipped)
    # What was told to be saved is there, or something later.
    assert newest >= told, (newest, told)
    return newest, swept

saved, swept, lost = 0, 0, 0
for round in range(rounds):
    mine, its = os.pipe()
    child = os.fork()
    if child == 0:
        asyncio.run(saving(saved, its))
    os.close(its)
    left = random.uniform(0.001, 0.08)
    data = b""
    if round % 4 == 0:  # in the middle of the first save of a process, too
        select.select([mine], [], [], left)
    else:
        while data.count(b"\\n") < 1 + round % 3:
            data += os.read(mine, 4096)
        select.select([], [], [], left / 4)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(mine, 4096):
        data += more
    os.close(mine)
    told = int(data.split()[-1]) if data else saved
    saved, found = asyncio.run(look(told))
    swept += found
    lost += saved > told
print(json.dumps({"saved": saved, "swept": swept, "untold": lost}))
"""


async def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    def wait() -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=Path.cwd(), check=False)

    return await asyncio.to_thread(wait)


async def test_a_save_that_is_killed_at_any_moment_harms_no_version(tmp_path: Path) -> None:
    done = await run(sys.executable, "-c", KILLING, tmp_path, SESSION, str(ROUNDS))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["saved"] > ROUNDS
    assert result["swept"] > 0, "no save was ever killed in the middle"


FILLING = """
import asyncio, json, os, random, resource, sys
from pathlib import Path
from gateway.errors import GatewayError
from gateway.snapshot.document import ContextDocument, OriginState
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault

place, session, profile, limit = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
vault = Vault(place, Sealer((b"k" * 32,)))

async def main():
    first = ContextDocument(missing=("before",))
    before = await vault.save(session, first, profile=None, kind="k", reason="r", fence=1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    had = sorted(os.listdir(place / session))
    words = []
    for checkpoint in (False, True):
        big = ContextDocument(origins=(OriginState("https://x.test", (("k", random.randbytes(400_000).hex()),)),))
        for document, files in ((big, None), (ContextDocument(missing=("after",)), profile)):
            try:
                await vault.save(session, document, profile=files, kind="k", reason="r", checkpoint=checkpoint, fence=1)
            except GatewayError as error:
                words.append(f"{error.code.word}: {error.message}")
            assert sorted(os.listdir(place / session)) == had, os.listdir(place / session)
    assert await vault.usable(session) == (before, ())
    assert await vault.load_document(session) == first
    print(json.dumps(words))

asyncio.run(main())
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    folder = tmp_path / "profile"
    (folder / "Default").mkdir(parents=True)
    for name in ("Cookies", "History"):
        (folder / "Default" / name).write_bytes(os.urandom(1 << 20))
    return folder


@pytest.mark.parametrize("limit", [1, 100, 300, 3000, 100_000])
async def test_a_file_that_takes_no_more_leaves_the_version_before(tmp_path: Path, profile: Path, limit: int) -> None:
    place = tmp_path / "snapshots"
    done = await run(sys.executable, "-c", FILLING, place, SESSION, profile, str(limit))
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)
    assert len(words) == 4
    assert {word.startswith(f"save_failed: the snapshot of session {SESSION} cannot be saved: ") for word in words} == {
        True
    }
    assert all("File too large" in word for word in words)


async def test_a_disk_that_is_full_leaves_the_version_before(tmp_path: Path, profile: Path) -> None:
    unshare = shutil.which("unshare")
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=200k tmpfs '{small}'"
    if unshare is None or (await run(unshare, "--map-root-user", "--mount", "sh", "-c", mount)).returncode:
        pytest.skip("no small disk can be made here")
    command = f'{mount} && exec "$@"'
    argv = ("sh", "-c", command, "sh", sys.executable, "-c", FILLING, small / "snapshots", SESSION, profile, "0")
    done = await run(unshare, "--map-root-user", "--mount", *argv)
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)
    assert len(words) == 4
    assert all("No space left on device" in word for word in words)
