"""The composition root: what a gateway makes for itself, and that nothing is left of it."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from browser_pool import landlock
from browser_pool.confinement import NotConfined
from gateway.config import load
from gateway.node import CannotListen, DataDirectoryInUse, prepare, started
from tests.inside import ask, inside


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    config = load({"data_dir": str(tmp_path / "data")}, {}, None)
    first, second = prepare(config), prepare(config)
    assert first == second
    assert first.made
    assert first.token is not None
    assert len(first.token) >= 32
    for name in ("token", "capability.key"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_given_token_is_not_written_down(tmp_path: Path) -> None:
    known = prepare(load({"data_dir": str(tmp_path), "token": "given"}, {}, None))
    assert (known.token, known.made) == ("given", False)
    assert not (tmp_path / "token").exists()


async def test_one_gateway_a_data_directory(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        with pytest.raises(DataDirectoryInUse, match="--data-dir"):
            async with started(gateway.config, prepare(gateway.config)):
                pass
    async with inside(tmp_path):
        pass  # it is free again


async def test_a_port_in_use_leaves_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path / "one") as gateway:
        port = gateway.base.rpartition(":")[2]
        config = load({"data_dir": str(tmp_path / "two"), "port": port, "token": "x"}, {}, None)
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
            async with started(config, prepare(config)):
                pass


async def test_clients_are_told_when_the_gateway_stops(tmp_path: Path) -> None:
    async with asyncio.timeout(80):
        async with inside(tmp_path) as gateway:
            _, session = await gateway.call("POST", "/session", json={})
            api = await gateway.connect(f"/session/connect/{session['id']}").__aenter__()
            standard = await gateway.connect().__aenter__()
            for socket in (api, standard):
                assert "result" in await ask(socket, "Browser.getVersion")
        for socket in (api, standard):
            await socket.wait_closed()
            assert socket.close_code == 1001
    assert list((tmp_path / "browsers").iterdir()) == []
    async with inside(tmp_path) as gateway:
        _, listed = await gateway.call("GET", "/sessions")
        assert [(one["id"], one["status"]) for one in listed["sessions"]] == [(session["id"], "suspended")]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's browsers run as that one")
async def test_as_root_others_may_pass_the_data_directory_and_see_nothing_of_it(tmp_path: Path) -> None:
    async with inside(tmp_path / "data", audit_log="none"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o701
        modes.pop("browsers")  # 0711 only where browsers have users of their own
        assert {mode & 0o007 for mode in modes.values()} == {0}, modes


async def test_required_confinement_that_cannot_be_had_is_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 3)
    with pytest.raises(NotConfined, match=r"tcp: this kernel's Landlock \(ABI 3\)"):
        async with inside(tmp_path, confinement="required"):
            pass
