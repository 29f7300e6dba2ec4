"""Steel's profiles by the real SDK: a user-data-dir of a Chromium of one's own goes up, and sessions begin with it."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from steel import APIStatusError, AsyncSteel

from browser_pool.binary import Binaries
from tests.journeys.driving import run_script, wire
from tests.journeys.running import Gateway
from tests.site.local import served

# Each look tells what the ones before left, and leaves one more.
PAGE = """<!doctype html><script>
const cookie = +(document.cookie.match(/n=(\\d+)/)?.[1] ?? 0), stored = +(localStorage.n ?? 0);
document.cookie = `n=${cookie + 1}; max-age=10000`; localStorage.n = stored + 1;
document.title = `${cookie} ${stored}`; document.write(document.title);
</script>"""


@asynccontextmanager
async def counting() -> AsyncIterator[str]:
    """The page, on this machine."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    async with served(app) as port:
        yield f"http://127.0.0.1:{port}/"


async def grown(url: str, directory: Path) -> bytes:
    """A zip of the user-data-dir of a Chromium that has been to `url` once."""
    program = Binaries().full
    assert program is not None
    flags = ("--headless", "--no-sandbox", "--password-store=basic", "--no-first-run", "--disable-gpu")
    process = await asyncio.create_subprocess_exec(
        *(str(program), *flags, f"--user-data-dir={directory}", "--timeout=60000", "--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    assert b"0 0" in output
    return await asyncio.to_thread(zipped, directory)


def zipped(directory: Path) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for path in directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                target.write(path, path.relative_to(directory))
    return made.getvalue()


async def look(gateway: Gateway, session: str, url: str) -> str:
    """What the page says in the session."""
    async with wire(gateway.driver("/", sessionId=session)) as driver:
        page = await driver.page()
        await driver.call("Page.navigate", {"url": url}, page)
        title: str = await driver.evaluate(
            "new Promise(f => document.title ? f(document.title) : onload = () => f(document.title))", page
        )
        return title


async def test_a_profile_goes_up_and_along(gateway: Gateway, tmp_path: Path) -> None:
    async with (
        counting() as url,
        AsyncSteel(
            steel_api_key=gateway.token, base_url=gateway.url, _strict_response_validation=True, max_retries=0
        ) as steel,
    ):
        archive = await grown(url, tmp_path / "data")
        made = await steel.profiles.create(
            user_data_dir=archive, dimensions={"width": 1000, "height": 700}, project_id="blue"
        )
        assert (made.status, made.project_id, made.source_session_id) == ("READY", "blue", None)
        assert made.dimensions is not None
        assert (made.dimensions.width, made.dimensions.height) == (1000, 700)
        assert (await steel.profiles.list(project_id="blue")).count == 1
        assert (await steel.profiles.list(project_id="red")).count == 0

        # Two at once, each on a copy; the one that was asked to writes it back. Beside them one that becomes a profile.
        writer, reader, new = await asyncio.gather(
            steel.sessions.create(profile_id=made.id, persist_profile=True),
            steel.sessions.create(profile_id=made.id),
            steel.sessions.create(persist_profile=True),
        )
        assert (writer.profile_id, writer.dimensions.width) == (made.id, 1000)
        assert new.profile_id is not None
        assert (await steel.profiles.get(new.profile_id)).status == "UPLOADING"
        said = await asyncio.gather(*(look(gateway, session.id, url) for session in (writer, reader, new)))
        assert said == ["1 1", "1 1", "0 0"]
        await asyncio.gather(*(steel.sessions.release(session.id) for session in (writer, reader, new)))
        changed = await steel.profiles.get(made.id)
        assert (changed.status, changed.source_session_id) == ("READY", writer.id)
        first = await steel.profiles.get(new.profile_id)
        assert (first.status, first.source_session_id) == ("READY", new.id)
        again = await steel.sessions.create(profile_id=made.id)
        assert await look(gateway, again.id, url) == "2 2"
        await steel.sessions.release(again.id)

        # As a file of a form, the way Steel's other clients send it.
        agent = "Mozilla/5.0 (X11; Linux x86_64) of a profile"
        form = {"userDataDir": io.BytesIO(archive), "userAgent": agent}
        reply = await gateway.request("PATCH", f"/v1/profiles/{new.profile_id}", data=form)
        assert reply.ok()["userAgent"] == agent
        assert reply.body["sourceSessionId"] is None

        for status, words, create in (
            (400, "open(PATH, 'rb').read()", steel.profiles.create(user_data_dir=io.BytesIO(archive))),
            (422, "no zip", steel.profiles.create(user_data_dir=b"something else")),
            (422, "useProxy", steel.profiles.create(user_data_dir=archive, use_proxy="true")),
        ):
            with pytest.raises(APIStatusError) as refused:
                await create
            assert refused.value.status_code == status
            assert words in str(refused.value.body)
        for status in [
            (await gateway.request("GET", "/v1/profiles/none")).status,
            (await gateway.request("GET", f"/v1/profiles/{made.id}?projectId=red")).status,
            (await gateway.request("POST", "/v1/sessions", json={"profileId": "none"})).status,
            (await gateway.request("PATCH", "/v1/profiles/none", data={"userAgent": agent})).status,
        ]:
            assert status == 404
        for profile in (await steel.profiles.list()).profiles:
            assert (await gateway.request("DELETE", f"/v1/profiles/{profile.id}")).ok()["success"]
        assert (await steel.profiles.list()).count == 0
        assert not list((gateway.data_dir / "profiles").iterdir())


async def test_from_node(gateway: Gateway, tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("Default/Preferences", "{}")
    environment = {"STEEL_API_KEY": gateway.token, "STEEL_BASE_URL": gateway.url, "ARCHIVE": str(archive)}
    async with counting() as url:
        told = await run_script("steel_agents.mjs", TARGET=url, **environment)
    agent = "Mozilla/5.0 (X11; Linux x86_64) of a profile"
    assert (told["status"], told["agent"], told["listed"]) == ("READY", agent, [told["profile"]])
    assert told["session"] == [told["profile"], {"width": 900, "height": 600}, agent]
    assert (told["moved"], told["where"]) == (["the mouse is at 10, 20", True], "X=10,Y=20")
    assert told["markdown"].strip() == "0 0"
    assert min(told["sizes"]) > 500
    assert told["refusal"][0] == 422
    assert "useProxy" in told["refusal"][1]
    assert (await gateway.request("DELETE", f"/v1/profiles/{told['profile']}")).ok()["success"]
