"""A page over plain HTTP, without a browser: through the same egress guard, and with the headers that one would send.

A fetch goes over the road of its session's browser, or one with the same terms that is kept for the session, or for its
tenant's fetches without one. So nothing is reached from here that their browsers could not reach, nor more often.
"""

import asyncio
import html
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import aiohttp
from bs4.dammit import EncodingDetector
from yarl import URL

from browser_pool.command_line import accept_language, plain_user_agent
from browser_pool.errors import BrowserMissing
from browser_pool.spec import LaunchSpec, Mode
from gateway.egress.address import address_of, is_loopback
from gateway.egress.lent import Loan
from gateway.egress.pattern import BadPattern
from gateway.egress.process import EgressDown
from gateway.egress.refusal import Refused
from gateway.egress.terms import Terms
from gateway.errors import Code, GatewayError
from gateway.identity.hints import Hints, hints
from gateway.identity.launch import weighted
from gateway.pages.jar import Jar, suffixes
from gateway.pages.line import Line
from gateway.records import Egress, Identity, Rules, SessionId
from gateway.session.means import Means

MOST = 10 << 20  # bytes of a body, uncompressed
HOPS = 20  # redirects, as in Chromium
AT_ONCE = 8  # of one tenant
WAITING = 100  # that wait, of one tenant
PATIENCE = 120.0  # seconds that each may
RULE = "X-Egress-Rule"
LIMITS = ("circuit-open", "rate-limit", "connection-limit")  # rules that hold for a while
LANGUAGES = "en-US,en;q=0.9"
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
LOW = ("sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform")  # hints that every request has
HTML = ("text/html", "application/xhtml+xml", "")
_NEXT = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose request it is, and as whom it goes: what a browser of theirs would be started with.

    `agent` is the user agent of a browser of theirs that runs, None if none does; `road` the port of the road that
    their fetches go over, None for the tenant's.
    """

    tenant: str
    launch: LaunchSpec = field(default_factory=LaunchSpec)
    egress: Egress = field(default_factory=Egress)
    identity: Identity | None = None
    agent: str | None = None
    road: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came; `redirects` are the URLs on the way to `url`."""

    html: str
    url: str
    status: int
    redirects: tuple[str, ...] = ()


class Plain:
    """Fetches pages without a browser, a few of each tenant at once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._lines: dict[str, Line] = {}

    async def fetch(self, url: str, whose: Whose, jar: Jar, timeout: float) -> Fetched:
        """The page at `url`, after redirects; `jar` gives cookies and takes those that come. `timeout` in seconds.

        Raises GatewayError: PAGE_UNREACHABLE, BLOCKED_BY_POLICY (502), PAGE_UNREADABLE (422), BAD_REQUEST.
        """
        headers = await self._headers(whose)
        if not suffixes.cache_info().currsize:
            await asyncio.to_thread(suffixes)  # nobody else waits while that is read, the first time
        async with self._turn(whose.tenant), self._road(whose) as port:
            try:
                async with (
                    asyncio.timeout(timeout),
                    aiohttp.ClientSession(
                        cookie_jar=aiohttp.DummyCookieJar(),
                        trust_env=False,
                        timeout=aiohttp.ClientTimeout(total=None),
                        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
                    ) as http,
                ):
                    return await _followed(http, f"http://127.0.0.1:{port}", url, headers, jar)
            except TimeoutError:
                raise _unreachable(f"it did not answer within {timeout * 1000:g} ms") from None
            except aiohttp.ClientHttpProxyError as error:
                rule = None if error.headers is None else error.headers.get(RULE)
                raise _refused(rule, f"status {error.status}") from None
            except (aiohttp.ClientSSLError, ssl.SSLError) as error:
                why = getattr(error, "certificate_error", None) or error
                raise _unreachable(f"TLS: {getattr(why, 'verify_message', None) or 'no secure connection'}") from None
            except aiohttp.ClientPayloadError:
                raise _unreachable("its answer broke off, or is not packed as it says") from None
            except (aiohttp.ClientError, OSError) as error:
                raise _unreachable(_WORDS.get(type(error), "the connection failed")) from None

    async def refused(self, url: str, whose: Whose) -> GatewayError | None:
        """What the egress guard says to a tunnel to `url`, which no browser tells; None if it lets it pass."""
        to = URL(url)
        try:
            async with self._apart(whose) as port, asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    place = f"{to.raw_host if ':' not in (to.host or '') else f'[{to.host}]'}:{to.port}"
                    writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, GatewayError):
            return None  # then the browser's own words have to do
        lines = head.split("\r\n")
        given = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        return _refused(given[RULE], "") if RULE in given else None

    @asynccontextmanager
    async def _turn(self, tenant: str) -> AsyncIterator[None]:
        line = self._lines.setdefault(tenant, Line(AT_ONCE, PATIENCE, lambda: self._lines[tenant].waiting >= WAITING))
        try:
            async with line.turn():
                yield
        finally:
            if line.empty:
                self._lines.pop(tenant, None)

    @asynccontextmanager
    async def _road(self, whose: Whose) -> AsyncIterator[int]:
        if whose.road is not None:
            yield whose.road
            return
        async with lent(self._means, whose.tenant, whose.egress) as loan:
            yield loan.ready.result()

    @asynccontextmanager
    async def _apart(self, whose: Whose) -> AsyncIterator[int]:
        """A road that nothing has gone over, and nothing is counted on."""
        try:
            async with self._means.egress.open() as road:
                await self._means.egress.assign(road.port, terms_of(self._means, whose.tenant, whose.egress))
                yield road.port
        except (EgressDown, BadPattern) as error:
            raise _no_road(error) from error

    async def _headers(self, whose: Whose) -> Callable[[str], Mapping[str, str]]:
        """What a browser sends with a page's request to a URL."""
        identity, launch = whose.identity or Identity(), whose.launch
        binaries = self._means.pool.binaries
        try:
            version = await binaries.version(binaries.path(launch.mode))
        except BrowserMissing as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        agent = identity.user_agent or launch.user_agent or whose.agent or _usual(launch, version)
        languages = weighted(accept_language(identity.locale)) if identity.locale else LANGUAGES
        hinted = hints(agent, version)
        if hinted is not None and identity.user_agent is None and launch.user_agent is None:
            hinted = replace(hinted, brands=_own_brands(hinted))
        found = {} if hinted is None else hinted.headers()

        def made(url: str) -> Mapping[str, str]:
            headers = {"User-Agent": agent, "Accept": ACCEPT, "Accept-Language": languages}
            headers["Accept-Encoding"] = "gzip, deflate"
            headers["Upgrade-Insecure-Requests"] = "1"
            to = URL(url)
            if to.scheme == "https" or is_loopback(address_of(to.host or "") or to.host or ""):
                headers |= {name: found[name] for name in LOW if name in found}
                headers |= {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
                headers |= {"Sec-Fetch-User": "?1", "Sec-Fetch-Dest": "document"}
            names = {name.lower() for name in headers}
            return headers | {name: value for name, value in identity.extra_headers if name.lower() not in names}

        return made


def terms_of(means: Means, tenant: str, egress: Egress) -> Terms:
    """What holds for what is fetched in that tenant's name."""
    rules = means.quotas.tenant_of(tenant)
    return Terms(Rules(rules.egress_allow, rules.egress_deny), egress)


@asynccontextmanager
async def lent(means: Means, tenant: str, egress: Egress, session: SessionId | None = None) -> AsyncIterator[Loan]:
    """The road of a session without its browser, or of the tenant's fetches without a session. Raises GatewayError."""
    async with AsyncExitStack() as stack:
        try:
            road = means.egress.lent.road((tenant, session), terms_of(means, tenant, egress))
            loan = await stack.enter_async_context(road)
        except (OSError, BadPattern) as error:  # EgressDown is one, and there may be no port left
            raise _no_road(error) from error
        yield loan


def _no_road(error: Exception) -> GatewayError:
    return GatewayError(Code.BROWSER_FAILED, f"the way to the network: {error}")


def _own_brands(hinted: Hints) -> tuple[tuple[str, str], ...]:
    """Those of a Chromium that was given no user agent: its own and the one that means nothing, in its order of two."""
    own = [brand for brand in hinted.brands if brand[0] == "Chromium"]
    grease = [brand for brand in hinted.brands if brand[0].startswith("Not")]
    first_is_grease = int(own[0][1].partition(".")[0]) % 2 == 0
    return tuple(grease + own if first_is_grease else own + grease)


def _usual(launch: LaunchSpec, version: str) -> str:
    """The user agent of a browser that was given none."""
    agent = plain_user_agent(version)
    return agent if launch.stealth or launch.mode is Mode.HEADED else agent.replace(" Chrome/", " HeadlessChrome/")


async def _followed(
    http: aiohttp.ClientSession, proxy: str, url: str, headers: Callable[[str], Mapping[str, str]], jar: Jar
) -> Fetched:
    redirects: list[str] = []
    while True:
        try:
            to = URL(url)
        except ValueError:
            raise _unreachable("it leads to what is no URL") from None
        if to.scheme not in ("http", "https") or not to.host:
            raise _unreachable("it leads to what is no http or https URL")
        sent = dict(headers(url))
        if cookies := jar.header(str(to)):
            sent["Cookie"] = cookies
        async with http.get(to, proxy=proxy, headers=sent, allow_redirects=False) as answer:
            if (rule := answer.headers.get(RULE)) is not None:
                raise _refused(rule, "")
            jar.take(str(to), answer.headers.getall("Set-Cookie", []))
            where = answer.headers.get("Location")
            if answer.status not in _NEXT or not where:
                body = await _body(answer)
                return Fetched(
                    await asyncio.to_thread(_page, body, answer.content_type, answer.charset),
                    url,
                    answer.status,
                    tuple(redirects),
                )
        if len(redirects) == HOPS:
            raise _unreachable("ERR_TOO_MANY_REDIRECTS")
        redirects.append(url)
        url = _joined(to, where)


def _joined(here: URL, where: str) -> str:
    try:
        there = here.join(URL(where))
        return str(there if there.fragment or not here.fragment else there.with_fragment(here.fragment))
    except ValueError:
        raise _unreachable("it leads to what is no URL") from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 << 10):
        body += chunk
        if len(body) > MOST:
            raise GatewayError(Code.PAGE_UNREADABLE, f"the page is larger than {MOST} bytes")
    return bytes(body)


def _page(body: bytes, kind: str, charset: str | None) -> str:
    """As HTML; other text is shown as browsers show it. Blocking."""
    if body and not (kind in HTML or kind.startswith("text/") or kind.endswith(("json", "xml", "javascript"))):
        raise GatewayError(Code.PAGE_UNREADABLE, f"the page cannot be read: it is {kind[:100]}, not text")
    text = _decoded(body, kind, charset)
    if kind in HTML or kind.endswith("xml"):
        return text
    return f"<html><head></head><body><pre>{html.escape(text, quote=False)}</pre></body></html>"


def _decoded(body: bytes, kind: str, charset: str | None) -> str:
    """By its byte order mark, the answer's head, what it says itself, as UTF-8, or as Windows' Latin 1."""
    data, marked = EncodingDetector.strip_byte_order_mark(body)
    own = EncodingDetector.find_declared_encoding(data, is_html=kind in HTML)
    for encoding in (marked, charset, own, "utf-8"):
        if encoding:
            with suppress(LookupError, UnicodeDecodeError):  # there is no such encoding, or it is another one
                return data.decode(encoding)
    return data.decode("windows-1252", "replace")


def _refused(rule: str | None, otherwise: str) -> GatewayError:
    if rule is None:
        return _unreachable(f"the way to it is closed: {otherwise}")
    refused = Refused(rule)
    if refused.by_policy:
        return GatewayError(Code.BLOCKED_BY_POLICY, f"the page may not be reached from here: {rule}")
    return _unreachable(f"{refused.why} ({rule})" if rule in LIMITS else refused.why)


def blocked(rule: str) -> GatewayError:
    """What the rule means that an answer of the egress guard names."""
    return _refused(rule, "")


def _unreachable(why: str) -> GatewayError:
    return GatewayError(Code.PAGE_UNREACHABLE, f"the page could not be loaded: {why}")


_WORDS: dict[type[BaseException], str] = {
    aiohttp.ServerDisconnectedError: "the connection was closed before there was an answer",
    aiohttp.InvalidURL: "it is no URL",
}
