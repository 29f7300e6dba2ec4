"""A session's cookies for requests without a browser: from the context document into a jar of the standard library, and
back. A cookie that no answer has touched comes back as it was, to the last field.

The rules are a browser's: host-only cookies, paths, `Secure` (this machine itself counts as safe), `__Host-` and
`__Secure-`, and none for a public suffix (RFC 6265 section 5.3): `co.uk`, `github.io`. Partitioned ones are sent to the
site whose they are; those that answers set themselves are not kept, since nothing here has a page around it.
"""

import time
import urllib.request
from collections.abc import Iterable, Sequence
from email.message import Message
from functools import cache
from http.cookiejar import Cookie as HttpCookie
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

from publicsuffixlist import PublicSuffixList

from gateway.egress.address import address_of, is_loopback
from gateway.snapshot.document import Cookie

LONGEST = 400 * 86400.0  # seconds that Chromium keeps a cookie at most
MOST = 4096  # bytes of a name and its value, as in Chromium
SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_LOCAL = ".local"  # what the library appends to names without a dot


@cache
def suffixes() -> PublicSuffixList:
    """The list of public suffixes that came with the package. A quarter of a second, the first time."""
    return PublicSuffixList()


class Jar:
    """The cookies of one session while one page is fetched."""

    def __init__(self, cookies: Iterable[Cookie] = ()) -> None:
        self._jar = CookieJar(policy=_Browserlike())
        self._partitioned: list[Cookie] = []
        self._loaded: dict[int, tuple[HttpCookie, Cookie]] = {}
        for cookie in cookies:
            if cookie.partition_key is not None:
                self._partitioned.append(cookie)
                continue
            http = _http(cookie)
            self._loaded[id(http)] = (http, cookie)
            self._jar.set_cookie(http)

    def header(self, url: str) -> str | None:
        """What a request for a page at `url` has as its Cookie, or None."""
        request = urllib.request.Request(url)
        self._jar.add_cookie_header(request)
        sent = [header] if (header := request.get_header("Cookie")) else []
        sent += [f"{one.name}={one.value}" for one in self._partitioned if _is_for(one, url)]
        return "; ".join(sent) or None

    def take(self, url: str, set_cookie: Sequence[str]) -> None:
        """The Set-Cookie headers of an answer from `url`."""
        answer = Message()
        for header in set_cookie:
            if not _is_partitioned(header) and len(header.partition(";")[0].encode()) <= MOST:
                answer["Set-Cookie"] = header.replace("\r", " ").replace("\n", " ")
        self._jar.extract_cookies(_Answer(answer), urllib.request.Request(url))  # type: ignore[arg-type]

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        """All that there are now."""
        self._jar.clear_expired_cookies()
        found = [self._loaded[id(one)][1] if id(one) in self._loaded else _cookie(one) for one in self._jar]
        return (*found, *self._partitioned)


class _Answer:
    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers


class _Browserlike(DefaultCookiePolicy):
    def __init__(self) -> None:
        super().__init__(
            rfc2965=False,
            netscape=True,
            strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain,
        )

    def set_ok(self, cookie: HttpCookie, request: urllib.request.Request) -> bool:
        if not super().set_ok(cookie, request):
            return False
        if cookie.domain_specified and suffixes().is_public(domain := cookie.domain.removeprefix(".")):
            if domain != request.host:
                return False
            # The page of the suffix itself has it for itself alone.
            cookie.domain, cookie.domain_specified, cookie.domain_initial_dot = domain, False, False
        safe = _is_safe(request.full_url)
        if cookie.secure and not safe:
            return False
        if cookie.name.startswith("__Secure-") and not cookie.secure:
            return False
        if cookie.name.startswith("__Host-"):
            return cookie.secure and cookie.path == "/" and cookie.path_specified and not cookie.domain_specified
        return True

    def set_ok_path(self, cookie: HttpCookie, request: urllib.request.Request) -> bool:
        return True  # a page may set a cookie for any path

    def return_ok_secure(self, cookie: HttpCookie, request: urllib.request.Request) -> bool:
        return not cookie.secure or _is_safe(request.full_url)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or is_loopback(address_of(host) or host)


def _is_partitioned(header: str) -> bool:
    return any(part.strip().lower() == "partitioned" for part in header.split(";")[1:])


def _is_for(cookie: Cookie, url: str) -> bool:
    """Whether a partitioned cookie goes to a page at `url` that is the whole of its site."""
    parts, key = urlsplit(url), cookie.partition_key
    host = parts.hostname or ""
    if key is None or key.has_cross_site_ancestor or (cookie.secure and not _is_safe(url)):
        return False
    site = urlsplit(key.top_level_site)
    if site.scheme != parts.scheme or not _within(host, site.hostname or ""):
        return False
    domain = cookie.domain
    if not (_within(host, domain[1:]) if domain.startswith(".") else host == domain):
        return False
    path = parts.path or "/"
    return path == cookie.path or path.startswith(cookie.path.rstrip("/") + "/")


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _http(cookie: Cookie) -> HttpCookie:
    whole = cookie.domain.startswith(".")
    host = cookie.domain.strip("[]")
    rest: dict[str, Any] = {"HttpOnly": None} if cookie.http_only else {}
    if cookie.same_site is not None:
        rest["SameSite"] = cookie.same_site
    return HttpCookie(
        version=0,
        name=cookie.name,
        value=cookie.value,
        port=None,
        port_specified=False,
        domain=host if "." in host or ":" in host else host + _LOCAL,
        domain_specified=whole,
        domain_initial_dot=whole,
        path=cookie.path,
        path_specified=True,
        secure=cookie.secure,
        expires=None if cookie.expires is None else int(cookie.expires),
        discard=cookie.expires is None,
        comment=None,
        comment_url=None,
        rest=rest,
    )


def _cookie(http: HttpCookie) -> Cookie:
    domain = http.domain
    if domain.endswith(_LOCAL) and "." not in domain.removesuffix(_LOCAL):
        domain = domain.removesuffix(_LOCAL)
    said = http.get_nonstandard_attr
    given = next((said(name) for name in ("SameSite", "samesite", "Samesite", "SAMESITE") if said(name)), None)
    expires = None if http.expires is None else min(float(http.expires), time.time() + LONGEST)
    return Cookie(
        name=http.name,
        value=http.value or "",
        domain=domain,
        path=http.path,
        expires=expires,
        http_only=any(http.has_nonstandard_attr(name) for name in ("HttpOnly", "httponly", "HTTPOnly", "HTTPONLY")),
        secure=http.secure,
        same_site=SAME_SITE.get((given or "").lower()),
    )
