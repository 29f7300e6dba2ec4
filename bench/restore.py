"""What a restore costs beside the plain launch of an empty profile, both cold and through the gateway.

Every session is made with the same page of the test site open. The plain one is told its `url`; the restored ones were
there, logged in and with the two pages of the login before it in the tab's history, when they were stopped. One of
them has filled its profile with FILES small files in Cache Storage and larger ones in IndexedDB. From the other one
the context document was taken, and is given to a create.
"""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from bench.figures import Figure
from bench.serving import Server, gateway, gone
from bench.visitor import Rest, log_in, rest, tab, visiting
from tests.site.app import Site, serving

PLAIN = "plain launch"
SMALL, LARGE, DOCUMENT = "restore of a small session", "restore of 50 MB", "from a context document"

READY = "until the session can be connected to"
LOADED = "until its page has loaded, seen by a client"

FILES = 300  # in Cache Storage, 2 to 40 KB each
DATABASE = (12, 3_500_000)  # records in IndexedDB and bytes of each
SHOWN = "/page/3"
HISTORY = 3  # its pages, with this one

FILL = """(async (files, [count, bytes]) => {
  const random = (size) => {
    const data = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536));
    return data;
  };
  const cache = await caches.open("filled");
  for (let file = 0; file < files; file++) await cache.put(`/filled/${file}`, new Response(random(2000 + 127 * file)));
  const database = await new Promise((done, failed) => {
    const request = indexedDB.open("filled", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("files", { autoIncrement: true });
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  for (let record = 0; record < count; record++) {
    await new Promise((done, failed) => {
      const work = database.transaction("files", "readwrite");
      work.objectStore("files").add(new Blob([random(bytes)]));
      work.oncomplete = done;
      work.onabort = () => failed(work.error);
    });
  }
  database.close();
})"""

Progress = Callable[[str], None]
Create = Callable[[], Awaitable[Any]]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Both figures, in ms. Raises RuntimeError for a session that is not restored as it was."""
    rounds = 4 if quick else 15
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(serving())
        server = await stack.enter_async_context(gateway(warm="0", max_sessions="4"))
        api = await stack.enter_async_context(rest(server))
        progress("restore: sessions are filled and stopped")
        small, large = await _stopped(api, site, fill=False), await _stopped(api, site, fill=True)
        document = await api.ask("GET", f"/session/{small}/context")
        ways: dict[str, Create] = {
            PLAIN: lambda: api.create(url=site.url + SHOWN),
            SMALL: lambda: api.create(restore=small),
            LARGE: lambda: api.create(restore=large),
            DOCUMENT: lambda: api.create(context=document),
        }
        for number in range(rounds + 1):
            if number:
                progress(f"restore: round {number} of {rounds}")
            for name, create in ways.items():
                ready, loaded = await _session(server, api, site, create, restored=name != PLAIN)
                if number:  # in the first one disk caches fill and code is compiled
                    taken[READY][name].append(ready)
                    taken[LOADED][name].append(loaded)
    return [Figure(what, "ms", dict(taken[what])) for what in (READY, LOADED)]


async def _stopped(api: Rest, site: Site, *, fill: bool) -> str:
    """The id of a session that was used and stopped."""
    session = await api.create()
    async with visiting(session["connect"]) as client, tab(client) as page:
        await log_in(page, site)
        await page.goto(site.url + SHOWN)
        if fill:
            await page.evaluate(f"{FILL}({FILES}, {list(DATABASE)})")
    await api.status(session["id"], "detached")
    await api.ask("DELETE", f"/session/{session['id']}")
    return str(session["id"])


async def _session(server: Server, api: Rest, site: Site, create: Create, *, restored: bool) -> tuple[float, float]:
    """One session; ms until it was answered, and until a client saw its page loaded."""
    before = server.browsers()
    begin = time.perf_counter()
    session = await create()
    ready = time.perf_counter()
    async with visiting(session["connect"]) as client, tab(client, site.url + SHOWN) as page:
        await page.until("document.readyState === 'complete' && document.title !== ''")
        loaded = time.perf_counter()
        entries = await page.evaluate("history.length")
    if restored and entries != HISTORY:
        raise RuntimeError(f"a restored tab has {entries} pages in its history, and not {HISTORY}")
    its = server.browsers() - before
    await api.forget(session["id"])
    await gone(its)
    return 1e3 * (ready - begin), 1e3 * (loaded - begin)
