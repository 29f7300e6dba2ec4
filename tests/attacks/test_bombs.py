"""A page takes all of the machine: process after process, or byte after byte."""

from aiohttp import web

from browser_pool.browser import Browser
from browser_pool.confinement import Limits
from browser_pool.devtools import DevToolsError
from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of
from tests.browser_pool.seen import processes_of_session
from tests.inside import until

SITES = 24
MOST = 16  # processes
HOARD = """(() => { window.hoard = []; try { for (let i = 0; i < 12; i++) hoard.push(new Uint8Array(1e8).fill(1)); }
    catch (error) { return String(error) } return hoard.length })()"""


async def test_fork_bomb(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """Windows of ever other sites, each a process. Here the session must survive, and the page must not."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<p>bomb", content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    port = runner.addresses[0][1]
    most = 0

    def counted() -> int:
        nonlocal most
        now = processes_of_session(browser.pid)
        most = max(most, now)
        return now

    try:
        async with pools(limits=Limits(processes=MOST)) as pool, pool.lease(spec) as browser, page_of(browser) as mine:
            await mine.open(f"http://127.0.0.1:{port}/")
            await mine.run(
                f"for (let i = 2; i < {SITES}; i++)"
                f" open('http://127.0.0.' + i + ':{port}/', '_blank', 'noopener,popup')"
            )
            if not confined:
                await until(lambda: counted() > SITES, 60)
            else:
                await until(lambda: counted() > MOST, 60)
                await until(lambda: counted() <= MOST, 60)
                assert not browser.gone.is_set()
                while not await works(browser):  # one that comes while windows still open may go with them
                    pass
    finally:
        await runner.cleanup()


async def works(browser: Browser) -> bool:
    """Whether a new page of it can be used."""
    try:
        async with page_of(browser) as page:
            return bool(await page.run("1 + 1") == 2)
    except DevToolsError:
        return False


async def test_memory_bomb(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """One page takes more than a gigabyte: with a limit of half of that its allocations fail."""
    async with pools(limits=Limits(memory=512 << 20)) as pool, pool.lease(spec) as browser, page_of(browser) as page:
        taken = await page.run(HOARD)
        assert (taken == 12) is not confined
        assert ("allocation failed" in str(taken)) is confined
        assert not browser.gone.is_set()


async def test_memory_bomb_of_many_pages(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """Each takes little enough for the kernel: their sum does not pass. The greediest go, the session lives."""
    little = HOARD.replace("12", "3")
    async with pools(limits=Limits(memory=800 << 20)) as pool, pool.lease(spec) as browser:
        crashed: set[str] = set()

        def look(method: str, params: dict[str, str], session: str | None) -> None:
            if method == "Target.targetCrashed":
                crashed.add(params["targetId"])

        with browser.devtools.listening(look):
            for _ in range(4):
                made = await browser.devtools.send("Target.createTarget", {"url": "about:blank"})
                async with browser.devtools.attached(made["targetId"]) as session:
                    asked = {"expression": little, "returnByValue": True}
                    try:
                        await browser.devtools.send("Runtime.evaluate", asked, session=session, timeout=60)
                    except DevToolsError:
                        break
            if confined:
                await until(lambda: bool(crashed), 60)
        assert bool(crashed) is confined
        assert not browser.gone.is_set()
