"""What a fork costs: eight copies of a session in which somebody is logged in, beside one session that is empty.

The session has the test site open: cookies, a token in localStorage and 200 KB more, records in IndexedDB. Each
fork is then looked into: it must be logged in, and have its storage for itself.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from bench.figures import Figure
from bench.serving import Server, gateway, gone
from bench.sessions import COLD, WARM, browser_ahead
from bench.visitor import Rest, log_in, rest, tab, visiting
from tests.site.app import Site, serving

COUNT = 8
ONE = "one create, cold"  # what the others are compared to

MADE = f"until {COUNT} forks are made"
DRIVEN = f"until {COUNT} forks are connected to, and their page has loaded"

STORED = 200_000  # characters more in localStorage
SETTLE = 1.0  # seconds in which browsers finish what they do after their start, or others after their end

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Field:
    """A gateway, and the session in it that is forked."""

    server: Server
    api: Rest
    session: str
    warm: bool

    async def ready(self, number: int) -> None:
        """Wait until what happens ahead of a fork has happened: in the round 0 nobody knows that eight are wanted."""
        if self.warm:
            await browser_ahead(self.server, COUNT if number else 1)
        await asyncio.sleep(SETTLE)


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Both figures, in ms. Raises RuntimeError for a fork that is not what it should be."""
    rounds = 3 if quick else 10
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(serving())
        site.uses = COUNT * (rounds + 1)  # every fork comes with the same token
        fields = {WARM: await _field(stack, site, warm=True), COLD: await _field(stack, site, warm=False)}
        for number in range(rounds + 1):
            if number:
                progress(f"fork: round {number} of {rounds}")
            took = {name: await _forked(field, site, number) for name, field in fields.items()}
            took[ONE] = await _created(fields[COLD], site, number)
            if number:  # in the first one the gateway learns what is wanted, and disk caches fill
                for name, (made, driven) in took.items():
                    taken[MADE][name].append(made)
                    taken[DRIVEN][name].append(driven)
    return [Figure(what, "ms", {name: taken[what][name] for name in (ONE, WARM, COLD)}) for what in (MADE, DRIVEN)]


async def _field(stack: AsyncExitStack, site: Site, *, warm: bool) -> Field:
    server = await stack.enter_async_context(gateway(warm=str(COUNT if warm else 0), max_sessions=str(COUNT + 2)))
    api = await stack.enter_async_context(rest(server))
    session = await api.create()
    async with visiting(session["connect"]) as client, tab(client) as page:
        await log_in(page, site)
        await page.evaluate(f"localStorage.setItem('more', 'x'.repeat({STORED}))")
    await api.status(session["id"], "detached")
    return Field(server, api, session["id"], warm)


async def _forked(field: Field, site: Site, number: int) -> tuple[float, float]:
    """One fork; ms until it was answered, and until each of the new sessions showed its page to a client."""
    await field.ready(number)
    before = field.server.browsers()
    begin = time.perf_counter()
    forks = (await field.api.ask("POST", f"/session/{field.session}/fork", {"count": COUNT}))["sessions"]
    made = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for fork in forks:
            group.create_task(_seen(fork["connect"], f"{site.url}/account"))
    driven = time.perf_counter()
    for fork in forks:
        await _looked_into(fork["connect"], site)
    await _ended(field, forks, before)
    return 1e3 * (made - begin), 1e3 * (driven - begin)


async def _created(field: Field, site: Site, number: int) -> tuple[float, float]:
    """The same for one session without any context, which loads the site's first page."""
    await field.ready(number)
    before = field.server.browsers()
    begin = time.perf_counter()
    session = await field.api.create()
    made = time.perf_counter()
    async with visiting(session["connect"]) as client, tab(client) as page:
        await page.goto(f"{site.url}/page/1")
        await page.ready()
    driven = time.perf_counter()
    await _ended(field, [session], before)
    return 1e3 * (made - begin), 1e3 * (driven - begin)


async def _seen(endpoint: str, url: str) -> None:
    async with visiting(endpoint) as client, tab(client, url) as page:
        await page.ready()


async def _looked_into(endpoint: str, site: Site) -> None:
    """Raise RuntimeError unless it is logged in, has what was stored, and nothing of the fork before it."""
    async with visiting(endpoint) as client, tab(client, f"{site.url}/account") as page:
        found = {
            "title": await page.evaluate("title.textContent"),
            "user": await page.evaluate("fetch('/whoami').then((reply) => reply.json()).then(({user}) => user)"),
            "first script": await page.evaluate("[found.token !== null, found.notes.length, found.created]"),
            "more": await page.evaluate("localStorage.getItem('more').length"),
            "mine": await page.evaluate("localStorage.getItem('mine')"),
        }
        wanted = {
            "title": "Hello alice",
            "user": "alice",
            "first script": [True, 1, False],
            "more": STORED,
            "mine": None,
        }
        if found != wanted:
            raise RuntimeError(f"a fork has {found} instead of {wanted}")
        await page.evaluate("localStorage.setItem('mine', 'here')")


async def _ended(field: Field, sessions: list[Any], before: set[int]) -> None:
    """End these sessions, and wait until the processes of their browsers are gone."""
    its = field.server.browsers() - before
    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(field.api.forget(session["id"]))
    if not field.warm:  # else those that were ready before are the sessions', and the new ones are the next
        await gone(its)
