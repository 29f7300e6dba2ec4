import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import client
from gateway.records import new_session_id
from tests.inside import TOKEN, Inside, inside
from tests.session.test_registry import API

Output = pytest.CaptureFixture[str]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Inside]:
    with structlog.testing.capture_logs():  # they go to stdout where nobody has set them up
        async with inside(tmp_path) as gateway:
            yield gateway


async def run(gateway: Inside, action: str, session: str | None = None, token: str | None = TOKEN) -> int:
    return await client.run(gateway.base, token, action, session)


async def test_the_life_of_a_session(gateway: Inside, capsys: Output) -> None:
    assert await run(gateway, "list") == 0
    assert capsys.readouterr().out == ""
    assert await run(gateway, "create") == 0
    created = json.loads(capsys.readouterr().out)
    assert created["status"] == "detached"
    assert await run(gateway, "list") == 0
    assert capsys.readouterr().out.split()[:2] == [created["id"], "detached"]
    assert await run(gateway, "context", created["id"]) == 0
    assert "cookies" in json.loads(capsys.readouterr().out)
    assert await run(gateway, "stop", created["id"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "stopped"
    assert await run(gateway, "show", created["id"]) == 0
    assert json.loads(capsys.readouterr().out)["snapshot"]["version"] == 1
    assert await run(gateway, "restore", created["id"]) == 0
    assert json.loads(capsys.readouterr().out)["restoredFrom"] == {"session": created["id"], "snapshot": 1}


async def test_refusals_are_told_in_their_words(gateway: Inside, capsys: Output) -> None:
    missing = new_session_id()
    assert await run(gateway, "show", missing) == 1
    assert capsys.readouterr().err == f"cdp-gateway: there is no session {missing} (session_not_found)\n"
    for action in ("list", "create"):
        assert await run(gateway, action, token="wrong") == 1
        assert await run(gateway, action, token=None) == 1
        printed = capsys.readouterr()
        assert printed.err.count("(unauthorized)") == 2
        assert printed.out == ""


async def test_a_list_of_many_pages(gateway: Inside, capsys: Output) -> None:
    # More than one page holds (100), without as many browsers: remembered ones only.
    store = gateway.registry._store
    session = (await gateway.registry.created(API)).record
    await gateway.call("DELETE", f"/session/{session.id}")
    record = await store.get(session.id)
    assert record is not None
    ids = [session.id]
    for _ in range(230):
        ids.append(new_session_id())
        await store.insert(replace(record, id=ids[-1]))
    assert await run(gateway, "list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ids[::-1]


async def test_nobody_at_that_address(capsys: Output) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert await client.run(base, None, "list", None) == 1
    assert f"no gateway answers at {base}" in capsys.readouterr().err


async def test_somebody_else_at_that_address(capsys: Output) -> None:
    async with TestServer(web.Application()) as other:
        for action in ("list", "create"):
            assert await client.run(str(other.make_url("")).rstrip("/"), "x", action, None) == 1
    assert capsys.readouterr().err.count("is no gateway") == 2
