"""A session's files over HTTP, with a browser that downloads and uploads them."""

import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import async_playwright
from websockets.asyncio.client import ClientConnection, connect

from tests.inside import ADMIN, Inside, ask, inside, until

DOWNLOAD = """{
    const link = document.createElement("a");
    link.href = "data:application/x-thing,%s";
    link.download = "%s";
    link.click();}
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path, files_max="100KiB", max_body="10KiB") as running:
        yield running


async def made(gateway: Inside, **body: Any) -> dict[str, Any]:
    status, session = await gateway.call("POST", "/session", json={"processKeepAlive": 60_000, **body})
    assert status == 201, session
    return dict(session)


async def attached(socket: ClientConnection) -> str:
    """A CDP session on the first page."""
    targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    return str((await ask(socket, "Target.attachToTarget", {"targetId": page, "flatten": True}))["result"]["sessionId"])


async def listed(gateway: Inside, session: dict[str, Any]) -> dict[str, dict[str, Any]]:
    status, body = await gateway.call("GET", f"/session/{session['id']}/files")
    assert status == 200
    return {file["name"]: file for file in body["files"]}


async def there(gateway: Inside, session: dict[str, Any], name: str) -> dict[str, Any]:
    """The file, once it is complete: no event tells of it unless the client asked for them."""
    place = gateway.registry.means.pool.root
    await until(lambda: any(place.glob(f"*/downloads/{name}")))
    return (await listed(gateway, session))[name]


async def downloaded(socket: ClientConnection, name: str, text: str) -> None:
    page = await attached(socket)
    reply = await ask(socket, "Runtime.evaluate", {"expression": DOWNLOAD % (text, name)}, sessionId=page)
    assert "exceptionDetails" not in reply["result"]


@pytest.mark.parametrize("headless", [True, "shell"])
async def test_a_download_is_listed_fetched_and_outlives_its_browser(
    gateway: Inside, headless: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = await made(gateway, headless=headless)
    path = f"/session/{session['id']}/files"
    async with connect(session["connect"]) as socket:
        await downloaded(socket, "report.txt", "hello")
        found = await there(gateway, session, "report.txt")
    assert (found["kind"], found["size"], found["complete"]) == ("download", 5, True)
    status, _ = await gateway.call("DELETE", f"/session/{session['id']}")
    assert status == 200
    async with gateway.http.get(f"{path}/report.txt") as answer:
        assert (answer.status, await answer.read()) == (200, b"hello")
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''report.txt"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox"
    async with gateway.http.get(f"{path}/report.txt", headers={"Range": "bytes=1-3"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"ell")
    async with gateway.http.head(f"{path}/report.txt") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "5")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    await gateway.call("DELETE", f"/session/{session['id']}?purge=true")
    assert await listed(gateway, session) == {}
    assert not list((gateway.config.data_dir / "downloads").iterdir())


async def test_files_go_with_the_session_from_one_browser_to_the_next(gateway: Inside) -> None:
    session = await made(gateway, processKeepAlive=0)
    async with connect(session["connect"]) as socket:
        await downloaded(socket, "one.txt", "1")
        await there(gateway, session, "one.txt")
        first = gateway.registry.running(ADMIN)[0].browser
        assert first is not None
    await first.gone.wait()
    await until(lambda: gateway.registry.count == 0)
    assert (await listed(gateway, session))["one.txt"]["size"] == 1
    status, _ = await gateway.call("POST", f"/session/{session['id']}/files?name=two.txt", data=b"22")
    assert status == 201
    async with connect(session["connect"]) as socket:
        assert sorted(await listed(gateway, session)) == ["one.txt", "two.txt"]
        assert await chosen(socket, ["two.txt", "/session/files/downloads/one.txt"]) == [["two.txt", 2], ["one.txt", 1]]


async def chosen(socket: ClientConnection, files: list[str]) -> Any:
    """Names and sizes of what a page's file input has, once it was given `files`."""
    page = await attached(socket)
    make = "document.body.innerHTML = '<input type=file multiple>'; document.querySelector('input')"
    node = (await ask(socket, "Runtime.evaluate", {"expression": make}, sessionId=page))["result"]["result"]["objectId"]
    reply = await ask(socket, "DOM.setFileInputFiles", {"files": files, "objectId": node}, sessionId=page)
    if "error" in reply:
        return reply["error"]["message"]
    read = (
        "Promise.all([...document.querySelector('input').files].map(async f => [f.name, (await f.arrayBuffer())"
        ".byteLength])).then(JSON.stringify)"
    )
    params = {"expression": read, "awaitPromise": True}
    return json.loads((await ask(socket, "Runtime.evaluate", params, sessionId=page))["result"]["result"]["value"])


async def test_an_upload_is_given_to_a_page_by_its_name_or_path(gateway: Inside) -> None:
    session = await made(gateway)
    form = aiohttp.FormData(quote_fields=False)  # as web browsers write names
    form.add_field("file", b"x" * 50_000, filename="cat.png")  # more than max_body, which is for what is held whole
    form.add_field("other", b"", filename="ü space.txt")
    status, body = await gateway.call("POST", f"/session/{session['id']}/files", data=form)
    assert status == 201, body
    assert [(file["name"], file["kind"], file["size"]) for file in body["files"]] == [
        ("cat.png", "upload", 50_000),
        ("ü space.txt", "upload", 0),
    ]
    async with connect(session["connect"]) as socket:
        for name in ("cat.png", "uploads/cat.png", body["files"][0]["path"]):
            assert await chosen(socket, [name]) == [["cat.png", 50_000]]
        assert await chosen(socket, [body["files"][1]["path"]]) == [["ü space.txt", 0]]
        refusal = await chosen(socket, ["/etc/hostname"])
        assert "is no file of this session" in refusal
        # What the browser is told later says no other place either.
        assert "is no file of this session" in await chosen(socket, ["cat.png", "../profile/Local State"])


async def test_a_clients_download_path_is_the_sessions(gateway: Inside, tmp_path: Path) -> None:
    """Whoever asks, and for the whole browser or a page of it."""
    session = await made(gateway)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _, facts = await gateway.call("GET", f"/session/{session['id']}/json/version")
    for who, url in (("driver", session["connect"]), ("debugger", facts["webSocketDebuggerUrl"])):
        for method in ("Browser.setDownloadBehavior", "Page.setDownloadBehavior"):
            async with connect(url) as socket:
                page = await attached(socket)
                more = {"sessionId": page} if method.startswith("Page.") else {}
                params = {"behavior": "allow", "downloadPath": str(elsewhere)}
                assert (await ask(socket, method, params, **more))["result"] == {}
                await downloaded(socket, f"{who}-{method}", "123")
                assert (await there(gateway, session, f"{who}-{method}"))["size"] == 3
    assert not list(elsewhere.iterdir())
    assert len(await listed(gateway, session)) == 4


async def test_what_is_wrong_is_refused(gateway: Inside) -> None:
    session, other = await made(gateway), await made(gateway)
    path = f"/session/{session['id']}/files"

    async def code(method: str, path: str, **more: Any) -> tuple[int, str]:
        status, body = await gateway.call(method, path, **more)
        return status, body["error"]["code"]

    assert await code("POST", path, data=b"x") == (400, "bad_request")
    for name in ("../x", "a/b", "..", ".hidden", "a%00b", "a%0ab", "x" * 300, ""):
        assert await code("POST", f"{path}?name={name}", data=b"x") == (400, "bad_request"), name
    assert await code("POST", path, data=b"{}", headers={"Content-Type": "multipart/form-data"}) == (400, "bad_request")
    status, _ = await gateway.call("POST", f"{path}?name=mine", data=b"x" * 60_000)
    assert status == 201
    assert await code("POST", f"{path}?name=more", data=b"x" * 60_000) == (413, "body_too_large")
    assert list(await listed(gateway, session)) == ["mine"]
    assert await code("GET", f"/session/{other['id']}/files/mine") == (404, "not_found")
    assert await code("GET", f"{path}/..%2fprofile") == (404, "not_found")
    assert await code("GET", f"{path}/mine?kind=download") == (404, "not_found")
    assert await code("GET", f"{path}/mine?kind=other") == (400, "bad_request")
    capability = other["connect"].partition("token=")[2]
    async with aiohttp.ClientSession(gateway.base) as stranger:
        for method in ("GET", "DELETE"):
            async with stranger.request(method, f"{path}/mine?token={capability}") as answer:
                assert answer.status == 404
        async with stranger.get(f"{path}/mine") as answer:
            assert answer.status == 401
    async with gateway.http.delete(f"{path}/mine") as answer:
        assert answer.status == 204
    assert await listed(gateway, session) == {}


async def test_no_link_is_followed(gateway: Inside, tmp_path: Path) -> None:
    """A browser that is taken over can put anything into its directory."""
    session = await made(gateway)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    browser = gateway.registry.running(ADMIN)[0].browser
    assert browser is not None
    place = browser.directory.downloads
    (place / "symbolic").symlink_to(secret)
    os.link(secret, place / "hard")
    os.mkfifo(place / "pipe")
    (place / "directory").mkdir()
    (place / "good").write_text("good")
    path = f"/session/{session['id']}/files"
    for _ in ("with its browser", "without"):
        assert list(await listed(gateway, session)) == ["good"]
        for name in ("symbolic", "hard", "pipe", "directory"):
            status, _ = await gateway.call("GET", f"{path}/{name}")
            assert status == 404, name
        status, _ = await gateway.call("DELETE", f"/session/{session['id']}")
        assert status == 200
    assert secret.read_text() == "secret"


async def test_what_playwright_downloads_is_fetched_by_the_name_it_gives(gateway: Inside) -> None:
    """It names files itself, and looks for them on its own machine: `save_as` finds nothing."""
    session = await made(gateway)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(session["connect"])
        for context in (browser.contexts[0], await browser.new_context()):
            page = await context.new_page()
            async with page.expect_download() as expected:
                await page.evaluate(DOWNLOAD % ("hello", "report.txt"))
            name = Path(await (await expected.value).path()).name
            async with gateway.http.get(f"/session/{session['id']}/files/{name}") as answer:
                assert (answer.status, await answer.read()) == (200, b"hello")
        await browser.close()
