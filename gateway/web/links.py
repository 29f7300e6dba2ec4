"""The URLs that the gateway hands out. Each carries a capability for one session, never a tenant's token."""

from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from gateway.records import SessionId
from gateway.tenancy.access import Access
from gateway.tenancy.capability import Scope


@dataclass(frozen=True, slots=True)
class Links:
    """URLs as the client of one request can use them. `base` is `http(s)://HOST[:PORT]`."""

    base: str
    access: Access

    @property
    def ws(self) -> str:
        """`ws(s)://HOST[:PORT]`."""
        return "ws" + self.base.removeprefix("http")

    def connect(self, session: SessionId) -> str:
        """Where a driver connects to an API session."""
        return f"{self.ws}/session/connect/{session}?token={self.access.capabilities.capability(session)}"

    def stop(self, session: SessionId) -> str:
        """What to DELETE."""
        return f"{self.base}/session/{session}?token={self.access.capabilities.capability(session)}"

    def drive(self, session: SessionId) -> str:
        """Where a driver connects to a running session of any kind."""
        return f"{self.ws}/?sessionId={session}&token={self.access.capabilities.capability(session)}"

    def reconnect(self, session: SessionId) -> str:
        """Where to find the browser that `reconnect` kept: without a query, since scripts append one."""
        return f"{self.ws}/reconnect/{self.access.capabilities.capability(session, Scope.RECONNECT)}"

    def open(self, tenant: str, now: float) -> str:
        """Where a websocket makes a new standard session of `tenant`."""
        return f"{self.ws}/?token={quote(self.access.capabilities.ticket(tenant, now), safe='~')}"

    def session(self, session: SessionId) -> str:
        """The root of one session's own pages; the capability in the path goes along with relative URLs."""
        return f"{self.base}/session/{self.access.capabilities.capability(session)}"

    def devtools_socket(self, session: SessionId, path: str) -> str:
        """A debugging client's websocket; `path` is `page/TARGET` or `browser/GUID`."""
        return f"{self.ws}/session/{self.access.capabilities.capability(session)}/devtools/{path}"

    def devtools_page(self, session: SessionId, target: str | None = None, page: str = "inspector.html") -> str:
        """A DevTools window; without a target it finds the first page itself."""
        url = f"{self.session(session)}/devtools/{page}"
        if target is None:
            return url
        scheme, _, address = self.devtools_socket(session, f"page/{target}").partition("://")
        return f"{url}?{scheme}={address}"


def links_of(request: web.Request, access: Access, external_url: str | None) -> Links:
    """Links for whoever sent `request`: by the configured address, else by the one that was used."""
    return Links(external_url or f"{request.scheme}://{request.host}", access)
