from pathlib import Path

import pytest

from browser_pool import binary
from gateway.config import load
from gateway.doctor import certificate, examine, redis
from gateway.store.connection import open_redis
from tests.browser_pool.seen import program
from tests.redis_server import RedisServer, redis_server
from tests.web.certificates import make

Output = pytest.CaptureFixture[str]
LOOKED_AT = [
    "chromium",
    "headless shell",
    "confinement files",
    "confinement tcp",
    "confinement signals",
    "confinement sockets",
    "confinement own_user",
    "confinement chromium_sandbox",
    "confinement watchdog",
    "confinement cgroup",
    "confinement egress_worker",
    "shared memory",
    "fonts",
    "data directory",
    "memory",
    "redis",
]


async def found(capsys: Output, directory: Path, **settings: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and how each thing is with what is said of it."""
    code = await examine(load({"data_dir": str(directory), **settings}, {}, None))
    lines = [line.partition(": ") for line in capsys.readouterr().out.splitlines()]
    return code, {head[5:]: (head[:5].strip(), words) for head, _, words in lines}


async def test_a_machine_that_works(tmp_path: Path, capsys: Output) -> None:
    if binary.Binaries().full is None:
        pytest.skip("no Chromium here")
    code, findings = await found(capsys, tmp_path)
    assert code == 0
    assert list(findings) == LOOKED_AT
    how, words = findings["chromium"]
    assert how == "ok"
    assert "first page after" in words
    assert all(how in ("ok", "note") for how, _ in findings.values())


@pytest.mark.parametrize(
    ("days", "how", "says"), [(30, "ok", "good until"), (3, "note", "2 days"), (-1, "note", "expired on")]
)
def test_the_certificate(tmp_path: Path, days: int, how: str, says: str) -> None:
    crt, key = make(tmp_path, days=days)
    seen, what, words = certificate(load({"tls_cert": str(crt), "tls_key": str(key)}, {}, None))
    assert (seen, what) == (how, "certificate")
    assert says in words


def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    crt, _ = make(tmp_path)
    how, _, words = certificate(load({"tls_cert": str(crt), "tls_key": str(crt)}, {}, None))
    assert how == "bad"
    assert "tls_key: " in words


async def test_a_browser_that_does_not_run(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "SHELL", ("no-such-browser",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    broken = program(tmp_path / "broken", "echo cannot open shared object libnss3.so >&2; exit 127")
    code, findings = await found(capsys, tmp_path, browser=str(broken))
    assert code == 1
    assert findings["chromium"][0] == "BAD"
    assert "libnss3.so" in findings["chromium"][1]
    # The headless shell is optional.
    how, words = findings["headless shell"]
    assert how == "note"
    assert words.endswith("(optional)")


async def test_a_browser_that_is_not_there(tmp_path: Path, capsys: Output) -> None:
    code, findings = await found(capsys, tmp_path, browser=str(tmp_path / "none"))
    assert code == 1
    assert findings["chromium"] == (
        "BAD",
        f"Chromium at {tmp_path}/none is not a program that can be run: install one with"
        " `cdp-gateway install-browser`, or name it with --browser PATH",
    )


async def test_it_makes_no_data_directory(tmp_path: Path, capsys: Output) -> None:
    directory = tmp_path / "not" / "yet"
    _, findings = await found(capsys, directory, browser=str(tmp_path / "none"))
    assert findings["data directory"][0] == "ok"
    assert str(directory) in findings["data directory"][1]
    assert not directory.parent.exists()


async def test_redis(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "kept", keeps=True)
    await server.start()
    try:
        how, what, words = await redis(server.url)
        assert (how, what) == ("ok", "redis")
        assert "answers and keeps" in words
    finally:
        await server.end()
    assert (await redis(f"redis://:sesame@127.0.0.1:{server.port}"))[0] == "bad"
    assert "sesame" not in str(await redis(f"redis://:sesame@127.0.0.1:{server.port}"))
    async with redis_server(tmp_path / "lost") as forgetful:
        assert (await redis(forgetful.url))[0] == "note"
        async with open_redis(forgetful.url) as connection:
            await connection.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert (await redis(forgetful.url))[0] == "bad"
