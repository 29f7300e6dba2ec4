"""Download into a directory outside of the session's, and upload a file from there.

The gateway rewrites such commands, and refuses files that are not the session's. That is no boundary: the relay does
not know a method whose name is written with an escape. What holds then is the confinement of the browser.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.inside import ask, inside

DOWNLOAD = "Object.assign(document.createElement('a'), {href: 'data:a/b,planted', download: 'planted'}).click()"
INPUT = "document.body.innerHTML = '<input type=file>'; document.querySelector('input')"
READ = "document.querySelector('input').files[0].text().catch(error => error.name)"


async def attached(socket: ClientConnection) -> str:
    """A CDP session on the first page."""
    targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    return str((await ask(socket, "Target.attachToTarget", {"targetId": page, "flatten": True}))["result"]["sessionId"])


async def unseen(socket: ClientConnection, method: str, params: dict[str, Any], **more: Any) -> Any:
    """Send a command as `ask` does, its method's name with an escape, which the relay does not know."""
    text = json.dumps({"id": 8, "method": method, "params": params, **more})
    await socket.send(text.replace(method, method.replace("e", "\\u0065", 1)))
    while True:
        message = json.loads(await socket.recv())
        if message.get("id") == 8:
            return message


@pytest.mark.parametrize("confinement", ["off", "auto"])
async def test_download_into_a_directory_outside(tmp_path: Path, confinement: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    async with inside(tmp_path / "data", confinement=confinement) as gateway, gateway.connect() as socket:
        page = await attached(socket)
        params = {"behavior": "allow", "downloadPath": str(outside), "eventsEnabled": True}
        assert "result" in await unseen(socket, "Browser.setDownloadBehavior", params)
        await socket.send(
            json.dumps({"id": 9, "method": "Runtime.evaluate", "params": {"expression": DOWNLOAD}, "sessionId": page})
        )
        state = "inProgress"
        while state == "inProgress":
            message = json.loads(await socket.recv())
            if message.get("method") == "Browser.downloadProgress":
                state = message["params"]["state"]
    planted = [path.read_text() for path in outside.iterdir()]
    assert (state, planted) == (("completed", ["planted"]) if confinement == "off" else ("canceled", []))


@pytest.mark.parametrize("confinement", ["off", "auto"])
async def test_upload_a_file_from_outside(tmp_path: Path, confinement: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    secret.chmod(0o644)
    async with inside(tmp_path / "data", confinement=confinement) as gateway, gateway.connect() as socket:
        page = await attached(socket)
        made = await ask(socket, "Runtime.evaluate", {"expression": INPUT}, sessionId=page)
        params = {"files": [str(secret)], "objectId": made["result"]["result"]["objectId"]}
        plain = await ask(socket, "DOM.setFileInputFiles", params, sessionId=page)
        assert "is no file of this session" in plain["error"]["message"]
        assert "result" in await unseen(socket, "DOM.setFileInputFiles", params, sessionId=page)
        read = await ask(socket, "Runtime.evaluate", {"expression": READ, "awaitPromise": True}, sessionId=page)
        got = read["result"]["result"]["value"]
    assert got == ("a secret" if confinement == "off" else "NotReadableError")
