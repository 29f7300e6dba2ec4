import asyncio
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from browser_pool import browser as module
from browser_pool import stderr
from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.command_line import DEFAULT_FLAGS, DISABLED_FEATURES
from browser_pool.devtools import DevToolsGone, open_devtools
from browser_pool.errors import BrowserFailed, BrowserMissing
from browser_pool.process import become_subreaper
from browser_pool.profile import SOCKET_PATH_LIMIT, SOCKET_SUFFIX
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.seen import command_line_of, entries, environment_of, processes_under, program, tree
from tests.journeys.running import eventually

GONE_SECONDS = 30.0
PATIENCE = 60.0  # seconds for Chromium to make a very big answer
DROPPED_BYTES = 194 << 20  # more than 256 MiB in base64


@pytest.fixture(autouse=True)
def _subreaper() -> None:
    become_subreaper()


async def evaluate(browser: Browser, expression: str) -> Any:
    page = next(target["targetId"] for target in await browser.targets() if target["type"] == "page")
    async with browser.devtools.attached(page) as session:
        reply = await browser.devtools.send(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True}, session=session
        )
    return reply["result"].get("value")


@pytest.fixture
def short_root() -> Path:
    """A root whose temporary directories need no detour; pytest's own paths are long."""
    return Path(tempfile.mkdtemp(prefix="cdpg-"))


@pytest.mark.parametrize("mode", Mode)
async def test_each_mode_is_ready_at_once_and_leaves_nothing(root: Path, binaries: Binaries, mode: Mode) -> None:
    if mode is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    path = root / "b"
    async with launched(LaunchSpec(mode=mode), path, binaries) as browser:
        assert [target["type"] for target in await browser.targets()].count("page") == 1
        assert "Chrome" in browser.version["product"]
        assert browser.guid
        assert browser.path == f"/devtools/browser/{browser.guid}"
        assert browser.mode is mode
        assert not browser.gone.is_set()
        argv = command_line_of(browser.pid)
        assert set(DEFAULT_FLAGS) <= set(argv)
        assert f"--disable-features={','.join(DISABLED_FEATURES)}" in argv
        assert ("--headless" in argv) == (mode is not Mode.HEADED)
        assert browser.pid in processes_under(path)
        assert len(tree(browser.pid)) > 1
    assert not path.exists()


async def test_nothing_of_ours_is_in_any_environment(
    root: Path, tmp_path: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "the-token-of-the-gateway")
    given = tmp_path / "given"  # a running Chromium writes its title over its own
    noting = program(tmp_path / "noting", f'env >{given}; exec {binaries.path(Mode.HEADLESS)} "$@"')
    async with launched(LaunchSpec(timezone="Asia/Tokyo"), root / "b", Binaries(noting)) as browser:
        environment = dict(line.split("=", 1) for line in given.read_text().splitlines())
        assert environment["HOME"] == str(browser.directory.temporary)
        assert environment["TMPDIR"] == str(browser.directory.temporary.resolve())
        assert environment["TZ"] == "Asia/Tokyo"
        assert "the-token" not in str(environment)
        assert not [name for name in environment if name.startswith("GATEWAY")]
        for pid in tree(browser.pid):
            assert b"the-token" not in environment_of(pid)


async def test_an_identity_is_the_browsers_own(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    wanted = LaunchSpec(
        mode=spec.mode, user_agent="An agent/1.0", timezone="Asia/Tokyo", locale="fr-CA", viewport=(801, 602)
    )
    async with launched(wanted, root / "b", binaries) as browser:
        assert await evaluate(browser, "navigator.userAgent") == "An agent/1.0"
        assert await evaluate(browser, "Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
        assert await evaluate(browser, "navigator.languages.join()") == "fr-CA,fr"
        assert await evaluate(browser, "window.outerWidth") == 801


async def test_stealth_hides_what_shows_at_first_sight(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    flags = ("--disable-blink-features=WebBluetooth",)
    async with launched(LaunchSpec(mode=spec.mode, stealth=True, args=flags), root / "b", binaries) as browser:
        assert await evaluate(browser, "navigator.webdriver") is False
        agent = await evaluate(browser, "navigator.userAgent")
        major = browser.version["product"].partition("/")[2].partition(".")[0]
        assert f"Chrome/{major}.0.0.0 " in agent
        assert "Headless" not in agent


async def test_a_gentle_end(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    path = root / "b"
    async with launched(spec, path, binaries) as browser:
        assert await browser.close()
        assert browser.gone.is_set()
        assert browser.reason == "Chromium exited with code 0"
        assert (path / "profile").is_dir(), "what it wrote is still to be saved"
        assert not await browser.close()
        assert await browser.targets() == []
        with pytest.raises(DevToolsGone):
            await browser.devtools.send("Browser.getVersion")
    assert not path.exists()


async def test_a_killed_browser_is_noticed(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with launched(spec, root / "b", binaries) as browser:
        os.kill(browser.pid, signal.SIGKILL)
        await asyncio.wait_for(browser.gone.wait(), GONE_SECONDS)
        await asyncio.wait_for(browser.devtools.closed.wait(), GONE_SECONDS)
        assert browser.reason == "Chromium was ended by signal SIGKILL"
        assert not await browser.close()


async def test_a_frozen_browser_ends_with_its_block(
    root: Path, binaries: Binaries, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.2)
    async with launched(spec, root / "b", binaries) as browser:
        for pid in tree(browser.pid):
            os.kill(pid, signal.SIGSTOP)
        assert not await browser.close()
        assert not browser.gone.is_set()


async def test_a_message_that_chromium_drops_is_told(
    root: Path, binaries: Binaries, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails with a new Chromium, it says so in other words: see stderr.py."""
    monkeypatch.setattr(stderr, "PERIOD", 0.05)
    monkeypatch.setattr(stderr, "LIMIT", 300)  # what Chromium says at its start is more
    told: asyncio.Queue[float] = asyncio.Queue()
    async with (
        launched(spec, root / "b", binaries) as browser,
        open_devtools(f"ws://127.0.0.1:{browser.port}{browser.path}") as client,
    ):
        browser.on_drop = told.put_nowait
        page = next(iter(browser.pages))
        async with client.attached(page) as session:
            expression = f"new Blob([new ArrayBuffer({DROPPED_BYTES})])"
            blob = await client.send("Runtime.evaluate", {"expression": expression}, session=session)
            found = {"objectId": blob["result"]["objectId"]}
            name = (await client.send("IO.resolveBlob", found, session=session))["uuid"]
            read = {"handle": f"blob:{name}", "size": DROPPED_BYTES}
            reading = asyncio.ensure_future(client.send("IO.read", read, session=session))
            await asyncio.wait_for(told.get(), PATIENCE)
            assert (await client.send("Browser.getVersion"))["product"], "it goes on as if nothing were"
            assert not reading.done()
            reading.cancel()
            await asyncio.wait([reading])
        await eventually("the log is short", lambda: len(browser.directory.errors.read_bytes()) <= 300)


@pytest.mark.parametrize("mode", Mode)
async def test_what_a_page_says_is_not_in_the_log(root: Path, binaries: Binaries, mode: Mode) -> None:
    """It could fill the disk, or forge the line that tells of a dropped message."""
    if mode is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    forged = "\\n[1:1:ERROR:net/server/http_connection.cc:119] Too large write data is pending: size=1"
    async with launched(LaunchSpec(mode=mode), root / "b", binaries) as browser:
        await evaluate(browser, f"for (const say of ['log', 'warn', 'error']) console[say]('a word', '{forged}')")
        await evaluate(browser, "setTimeout(() => { throw new Error('a word') })")
        await evaluate(browser, "1")
        assert await browser.close()
        assert "a word" not in browser.directory.last_words(1 << 20)
        assert "Too large" not in browser.directory.last_words(1 << 20)


async def test_a_long_path_goes_through_a_short_one(tmp_path: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    path = tmp_path / ("x" * 100) / ("y" * 100)
    async with launched(spec, path, binaries) as browser:
        target = browser.directory.temporary.readlink()
        assert len(os.fsencode(target)) + SOCKET_SUFFIX <= SOCKET_PATH_LIMIT
        assert await browser.targets()
    assert not target.exists()
    assert not path.exists()
    assert processes_under(path) == []


async def test_a_short_path_holds_all_that_the_browser_writes(
    short_root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    path = short_root / "b"
    try:
        async with launched(spec, path, binaries) as browser:
            assert not browser.directory.temporary.is_symlink()
            assert browser.directory.temporary.resolve().is_relative_to(path)
        assert entries(short_root) == []
    finally:
        shutil.rmtree(short_root)


async def test_a_saved_profile_is_there_before_the_start(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async def fill(profile: Path) -> None:
        assert entries(profile) == []
        (profile / "Default").mkdir()
        (profile / "Default" / "of-mine").write_text("kept")

    async with launched(spec, root / "b", binaries, fill=fill) as browser:
        assert (browser.directory.profile / "Default" / "of-mine").read_text() == "kept"


@pytest.mark.parametrize(
    ("error", "wanted"), [(OSError("disk full"), BrowserFailed), (LookupError("damaged"), LookupError)]
)
async def test_a_profile_that_cannot_be_put_in_place(
    root: Path, binaries: Binaries, spec: LaunchSpec, error: Exception, wanted: type[Exception]
) -> None:
    async def fill(profile: Path) -> None:
        (profile / "half").write_text("of it")
        raise error

    with pytest.raises(wanted, match=str(error)):
        await only_launch(spec, root / "b", binaries, fill=fill)
    assert not (root / "b").exists()


async def test_who_is_cancelled_while_a_profile_is_put_in_place_leaves_nothing(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    begun, go = threading.Event(), threading.Event()

    def unpack(profile: Path) -> None:
        begun.set()
        go.wait(60)
        for number in range(100):
            (profile / str(number) / "deep").mkdir(parents=True)

    async def fill(profile: Path) -> None:
        await asyncio.to_thread(unpack, profile)

    launching = asyncio.ensure_future(only_launch(spec, root / "b", binaries, fill=fill))
    await asyncio.to_thread(begun.wait, 60)
    launching.cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait([launching])
    assert launching.cancelled()
    assert not (root / "b").exists()


async def test_its_pages_can_go_before_it(
    root: Path, binaries: Binaries, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES_TIMEOUT", PATIENCE)
    async with launched(spec, root / "b", binaries) as browser:
        for _ in range(2):
            await browser.devtools.send("Target.createTarget", {"url": "data:text/html,mine"})
        before = {info["targetId"] for info in await browser.targets() if info["type"] == "page"}
        await browser.close_pages()
        (left,) = (info for info in await browser.targets() if info["type"] == "page")
        assert left["targetId"] not in before
        assert left["url"] in ("", "about:blank")
        assert not browser.gone.is_set()


async def test_the_rest_of_a_profile_is_put_in_place_while_chromium_starts(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    went_on = []

    async def fill(profile: Path) -> module.Work:
        async def rest() -> None:
            while not (profile / "DevToolsActivePort").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            went_on.append(profile)

        return rest

    async with launched(spec, root / "b", binaries, fill=fill) as browser:
        assert went_on == [browser.directory.profile]


async def test_a_rest_that_cannot_be_put_in_place_fails_the_launch(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    async def fill(profile: Path) -> module.Work:
        async def rest() -> None:
            raise OSError("disk full")

        return rest

    with pytest.raises(BrowserFailed, match="disk full"):
        await only_launch(spec, root / "b", binaries, fill=fill)
    assert not (root / "b").exists()


async def test_a_launch_that_fails_waits_for_the_rest_before_it_cleans_up(
    root: Path, binaries: Binaries, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT", 0)

    def unpack(profile: Path) -> None:
        for number in range(300):
            (profile / "late" / str(number)).mkdir(parents=True)

    async def fill(profile: Path) -> module.Work:
        return lambda: asyncio.to_thread(unpack, profile)

    with pytest.raises(BrowserFailed):
        await only_launch(spec, root / "b", binaries, fill=fill)
    assert not (root / "b").exists()


async def only_launch(spec: LaunchSpec, path: Path, binaries: Binaries, fill: module.Fill | None = None) -> None:
    async with launched(spec, path, binaries, fill=fill):
        pass


async def test_a_browser_that_exits_at_once_is_quoted(root: Path, tmp_path: Path) -> None:
    binary = program(tmp_path / "broken", "echo cannot open shared object libnss3.so >&2; exit 127")
    with pytest.raises(BrowserFailed, match=r"code 127.*libnss3\.so"):
        await only_launch(LaunchSpec(), root / "b", Binaries(binary))


async def test_a_browser_that_hangs_is_ended(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT", 0.3)
    binary = program(tmp_path / "hanging", "sleep 1000")
    with pytest.raises(BrowserFailed, match="did not open its DevTools"):
        await only_launch(LaunchSpec(), root / "b", Binaries(binary))


async def test_a_browser_that_lies_about_its_endpoint(root: Path, tmp_path: Path) -> None:
    script = """for word; do case $word in --user-data-dir=*) profile=${word#*=};; esac; done
    printf '1\\n/devtools/browser/x' >$profile/DevToolsActivePort; exec sleep 1000"""
    with pytest.raises(BrowserFailed, match="DevTools do not answer"):
        await only_launch(LaunchSpec(), root / "b", Binaries(program(tmp_path / "lying", script)))


async def test_no_browser_at_all(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BrowserMissing, match="no-such-chromium"):
        await only_launch(LaunchSpec(), root / "b", Binaries(tmp_path / "no-such-chromium"))
