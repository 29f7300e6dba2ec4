"""The URLs that the gateway hands out. Each carries a capability for one session, never a tenant's token."""

import math
import time
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from gateway.records import SessionRecord
from gateway.tenancy.access import Access
from gateway.tenancy.capability import SESSION_LIFE, WINDOW_LIFE, Scope, tag

STEP = 3600.0  # seconds: ends are rounded up to these, so that a URL does not change with every look


@dataclass(frozen=True, slots=True)
class Links:
    """URLs as the client of one request can use them. `base` is `http(s)://HOST[:PORT]`."""

    base: str
    access: Access

    @property
    def ws(self) -> str:
        """`ws(s)://HOST[:PORT]`."""
        return "ws" + self.base.removeprefix("http")

    def connect(self, record: SessionRecord) -> str:
        """Where a driver connects to an API session."""
        return f"{self.ws}/session/connect/{record.id}?token={self._secret(record)}"

    def stop(self, record: SessionRecord) -> str:
        """What to DELETE."""
        return f"{self.base}/session/{record.id}?token={self._secret(record)}"

    def drive(self, record: SessionRecord) -> str:
        """Where a driver connects to a running session of any kind."""
        return f"{self.ws}/?sessionId={record.id}&token={self._secret(record)}"

    def websocket(self, record: SessionRecord, secret: bool = True) -> str:
        """The same in Steel's order, to whose end scripts add `&apiKey=…`, some `?apiKey=…`. Without its `secret`
        it wants a credential."""
        token = f"token={self._secret(record)}&" if secret else ""
        return f"{self.ws}/?{token}sessionId={record.id}"

    def reconnect(self, record: SessionRecord) -> str:
        """Where to find the browser that `reconnect` kept: without a query, since scripts append one."""
        return f"{self.ws}/reconnect/{self._secret(record, Scope.RECONNECT)}"

    def open(self, tenant: str, now: float) -> str:
        """Where a websocket makes a new standard session of `tenant`."""
        return f"{self.ws}/?token={quote(self.access.capabilities.ticket(tenant, now), safe='~')}"

    def session(self, record: SessionRecord, life: float = SESSION_LIFE) -> str:
        """The root of one session's own pages; the capability in the path goes along with relative URLs."""
        return f"{self.base}/session/{self._secret(record, life=life)}"

    def devtools_socket(self, record: SessionRecord, path: str) -> str:
        """A debugging client's websocket; `path` is `page/TARGET` or `browser/GUID`."""
        return f"{self.ws}/session/{self._secret(record, life=WINDOW_LIFE)}/devtools/{path}"

    def devtools_page(self, record: SessionRecord, target: str | None = None, page: str = "inspector.html") -> str:
        """A DevTools window; without a target it finds the first page itself."""
        url = f"{self.session(record, WINDOW_LIFE)}/devtools/{page}"
        if target is None:
            return url
        scheme, _, address = self.devtools_socket(record, f"page/{target}").partition("://")
        return f"{url}?{scheme}={address}"

    def live(self, record: SessionRecord) -> str:
        """A page that shows what the browser shows. Who has it can look on, and do nothing else."""
        return f"{self.base}/session/{self._secret(record, life=WINDOW_LIFE, viewer=True)}/live"

    def _secret(
        self, record: SessionRecord, scope: Scope = Scope.SESSION, life: float = SESSION_LIFE, viewer: bool = False
    ) -> str:
        """A capability of the session's generation. That of a running session is the same each time it is shown."""
        begin = time.time() if life == WINDOW_LIFE else max(time.time(), record.expires_at)
        end = math.ceil((begin + life) / STEP) * STEP
        return self.access.capabilities.capability(
            record.id,
            scope,
            generation=record.generation,
            expires=end,
            viewer=viewer,
            hint=None if record.node is None else tag(record.node),
        )


def links_of(request: web.Request, access: Access, external_url: str | None) -> Links:
    """Links for whoever sent `request`: by the configured address, else by the one that was used."""
    return Links(external_url or f"{request.scheme}://{request.host}", access)
