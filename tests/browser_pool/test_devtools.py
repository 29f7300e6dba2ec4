import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from browser_pool.devtools import DevToolsError, DevToolsGone, Params, open_devtools
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec


@asynccontextmanager
async def endpoint(behave: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """An endpoint that behaves as badly as it is told to."""
    async with serve(behave, "127.0.0.1", 0, max_size=None, close_timeout=0.5) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/devtools/browser/x"


async def refusing(socket: ServerConnection) -> None:
    async for raw in socket:
        message = json.loads(raw)
        error = {"code": -32601, "message": f"'{message['method']}' wasn't found"}
        await socket.send(json.dumps({"id": message["id"], "error": error}))


async def silent(socket: ServerConnection) -> None:
    await socket.wait_closed()


async def leaving(socket: ServerConnection) -> None:
    await socket.recv()


async def vanishing(socket: ServerConnection) -> None:
    await socket.recv()
    socket.transport.abort()


async def test_an_error_reply() -> None:
    async with endpoint(refusing) as url, open_devtools(url) as devtools:
        with pytest.raises(DevToolsError, match=r"No\.such: 'No\.such' wasn't found") as refused:
            await devtools.send("No.such")
    assert (refused.value.method, refused.value.code) == ("No.such", -32601)
    assert refused.value.message == "'No.such' wasn't found"


async def test_no_answer_in_time() -> None:
    async with endpoint(silent) as url, open_devtools(url) as devtools:
        with pytest.raises(DevToolsGone, match=r"A\.slow: no answer within 0\.1 s"):
            await devtools.send("A.slow", timeout=0.1)
        assert not devtools.closed.is_set()


@pytest.mark.parametrize("behave", [leaving, vanishing])
async def test_a_socket_that_closes_ends_every_wait(behave: Callable[[ServerConnection], Awaitable[None]]) -> None:
    async with endpoint(behave) as url, open_devtools(url) as devtools:
        replies = await asyncio.gather(devtools.send("A.one"), devtools.send("A.two"), return_exceptions=True)
        assert [type(reply) for reply in replies] == [DevToolsGone, DevToolsGone]
        await asyncio.wait_for(devtools.closed.wait(), 30)
        with pytest.raises(DevToolsGone, match=r"A\.late.*closed"):
            await devtools.send("A.late")


async def test_answers_find_their_questions_and_late_ones_nobody() -> None:
    async def backwards(socket: ServerConnection) -> None:
        asked = [json.loads(await socket.recv()) for _ in range(3)]
        for message in reversed(asked):
            await socket.send(json.dumps({"id": message["id"], "result": {"method": message["method"]}}))
        await socket.send(json.dumps({"id": 999, "result": {}}))
        await refusing(socket)

    async with endpoint(backwards) as url, open_devtools(url) as devtools:
        replies = await asyncio.gather(*(devtools.send(f"A.{number}") for number in range(3)))
        assert [reply["method"] for reply in replies] == ["A.0", "A.1", "A.2"]
        with pytest.raises(DevToolsError):
            await devtools.send("A.after")


async def test_events_reach_whoever_listens() -> None:
    async def speaking(socket: ServerConnection) -> None:
        async for raw in socket:
            message = json.loads(raw)
            assert message["sessionId"] == "S"
            await socket.send(json.dumps({"method": "A.event", "params": {"n": 1}, "sessionId": "S"}))
            await socket.send(json.dumps({"method": "A.bare"}))
            await socket.send(json.dumps({"id": message["id"], "result": {}, "sessionId": "S"}))

    heard: list[tuple[str, Params, str | None]] = []
    async with endpoint(speaking) as url, open_devtools(url) as devtools:
        with devtools.listening(lambda *event: heard.append(event)):
            await devtools.send("A.command", session="S")
        await devtools.send("A.command", session="S")
    assert heard == [("A.event", {"n": 1}, "S"), ("A.bare", {}, None)]


async def test_nobody_there() -> None:
    with socket.socket() as taken:  # bound and not listening: no one else can answer at this port
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DevToolsGone, match="cannot connect"):
            async with open_devtools(f"ws://127.0.0.1:{taken.getsockname()[1]}/"):
                pass


async def test_somebody_who_never_answers_the_upgrade() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(DevToolsGone, match="cannot connect"):
            async with open_devtools(f"ws://127.0.0.1:{deaf.getsockname()[1]}/", timeout=0.2):
                pass


async def test_a_real_browser(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec) as browser:
        devtools = browser.devtools
        with pytest.raises(DevToolsError) as refused:
            await devtools.send("Gateway.noSuchMethod")
        assert refused.value.code == -32601
        page = next(target["targetId"] for target in await browser.targets() if target["type"] == "page")
        detached = asyncio.Event()

        def look(method: str, params: Params, session: str | None) -> None:
            if method == "Target.detachedFromTarget" and params["targetId"] == page:
                detached.set()

        with devtools.listening(look):
            async with devtools.attached(page) as session:
                expression = {"expression": "'x'.repeat(5e6)", "returnByValue": True}
                reply = await devtools.send("Runtime.evaluate", expression, session=session)
                assert len(reply["result"]["value"]) == 5_000_000
            await asyncio.wait_for(detached.wait(), 30)
        with pytest.raises(DevToolsError):
            await devtools.send("Runtime.evaluate", {"expression": "1"}, session=session)
        async with devtools.attached(page):
            await devtools.send("Target.closeTarget", {"targetId": page})  # leaving it is no failure
