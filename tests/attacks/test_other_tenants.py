"""A tenant looks for what is another's: whatever it asks, the answer is the one for what is not there.

Each attempt is made by the owner first, for whom it must succeed.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.records import new_session_id
from tests.inside import Inside, ask, inside

FILE = """
[tenants.a]
tokens = ["token-of-a"]
snapshot_bytes = "1GiB"
[tenants.b]
tokens = ["token-of-b"]
"""


@dataclass(frozen=True)
class Tenant:
    gateway: Inside
    name: str

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        headers["Authorization"] = f"Bearer token-of-{self.name}"
        sent = {"json": body} if body is not None else {}
        async with self.gateway.http.request(method, path, headers=headers, allow_redirects=False, **sent) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        status, told = await self.call(method, path, body, **headers)
        assert status in (200, 201, 204), told
        return told

    def socket(self, path: str) -> connect:
        sign = "&" if "?" in path else "?"
        url = f"{self.gateway.ws}{path}{sign}token=token-of-{self.name}"
        return connect(url, max_size=None, compression=None, open_timeout=60)

    async def knock(self, path: str) -> tuple[int, Any]:
        """What a websocket to `path` is answered."""
        try:
            async with self.socket(path):
                return 101, None
        except InvalidStatus as error:
            return error.response.status_code, json.loads(error.response.body or b"{}")


@asynccontextmanager
async def two(directory: Path, **settings: str) -> AsyncIterator[tuple[Tenant, Tenant]]:
    file = directory / "tenants.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    async with inside(directory / "data", tenants_file=str(file), auth_failures="0", **settings) as gateway:
        yield Tenant(gateway, "a"), Tenant(gateway, "b")


def said(answer: tuple[int, Any], *names: str) -> tuple[int, str, str]:
    """Status, code and words of a refusal, without the names that were asked for."""
    status, body = answer
    words = body["error"]["message"]
    for name in names:
        words = words.replace(name, "X")
    return status, body["error"]["code"], words


async def test_nothing_of_a_tenant_is_there_for_another(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b):
        made = await a.ok("POST", "/session", {"name": "shop", "labels": {"k": "v"}, "url": "data:text/html,a"})
        number, unknown = made["id"], new_session_id()
        await a.ok("POST", f"/session/{number}/snapshot")
        page = next(target["id"] for target in await a.ok("GET", f"/session/{number}/json/list"))
        requests: list[tuple[str, str, Any]] = [
            ("GET", "/session/ID", None),
            ("GET", "/session/ID/snapshots", None),
            ("GET", "/session/ID/context", None),
            ("GET", "/session/ID/json/version", None),
            ("GET", "/session/ID/json/list", None),
            ("GET", "/session/ID/json/protocol", None),
            ("GET", f"/session/ID/json/activate/{page}", None),
            ("GET", f"/session/ID/devtools/inspector.html?ws=x/{page}", None),
            ("GET", "/session/ID/files", None),
            ("PATCH", "/session/ID", {"labels": {"k": "w"}}),
            ("POST", "/session/ID/snapshot", {}),
            ("POST", "/session", {"restore": "ID"}),
            ("POST", "/session", {"restore": {"session": "ID", "snapshot": 1}}),
            ("POST", "/session/ID/restore", {}),
            ("POST", "/session/ID/fork", {"count": 1}),
            ("PUT", "/session/ID/json/new?about:blank", None),
            ("POST", "/session/ID/rotate", {}),
            ("DELETE", "/session/ID?force=true", None),
        ]
        for method, path, body in requests:

            def filled(session: str, path: str = path, body: Any = body) -> tuple[str, Any]:
                text = None if body is None else json.loads(json.dumps(body).replace("ID", session))
                return path.replace("ID", session), text

            theirs = await b.call(method, *filled(number))
            nobodys = await b.call(method, *filled(unknown))
            where = f"{method} {path}: {theirs}"
            assert said(theirs, number, unknown) == said(nobodys, number, unknown), where
            assert said(theirs)[:2] == (404, "session_not_found"), where
            if body == {"restore": "ID"}:
                continue  # for its owner the next one stands for both
            status, told = await a.call(method, *filled(number))
            assert status in (200, 201, 302), f"{method} {path} by its owner: {told}"
            if path.endswith("/restore") or "/fork" in path or path == "/session":
                for one in told.get("sessions", [told]):
                    await a.ok("DELETE", f"/session/{one['id']}?purge=true")


async def test_nor_by_its_targets_and_sockets(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b):
        number = (await a.ok("POST", "/session", {"url": "data:text/html,a"}))["id"]
        page = (await a.ok("GET", "/json/list"))[0]["id"]
        nothing = "0" * len(page)
        for path in (f"/devtools/page/{page}", f"/devtools/browser/{number}"):
            theirs, nobodys = await b.knock(path), await b.knock(path.replace(page, nothing).replace(number, nothing))
            assert said(theirs, page, number, nothing) == said(nobodys, page, number, nothing)
            assert said(theirs)[:2] == (404, "target_not_found")
            assert (await a.knock(path))[0] == 101
        for path in (f"/?sessionId={number}", f"/session/connect/{number}", f"/reconnect/{number}"):
            unknown = new_session_id()
            theirs, nobodys = await b.knock(path), await b.knock(path.replace(number, unknown))
            assert said(theirs, number, unknown) == said(nobodys, number, unknown)
            assert said(theirs)[:2] == (404, "session_not_found")
            assert (await a.knock(path))[0] == 101
        for action in ("activate", "close"):
            theirs = await b.call("GET", f"/json/{action}/{page}")
            assert said(theirs, page) == said(await b.call("GET", f"/json/{action}/{nothing}"), nothing)
            assert theirs[0] == 404
            assert (await a.call("GET", f"/json/{action}/{page}"))[0] == 200


async def test_nor_a_browser_that_is_kept_for_a_secret(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b):
        async with a.socket("/") as socket:
            kept = await ask(socket, "Gateway.reconnect", {"timeout": 60_000, "auth": "between-us"})
            number = re.findall(r"/reconnect/([0-9a-f-]{36})", kept["result"]["browserWSEndpoint"])[0]
            unknown = new_session_id()
            theirs = await b.knock(f"/reconnect/{number}")
            assert said(theirs, number) == said(await b.knock(f"/reconnect/{unknown}"), unknown)
            assert theirs[0] == 404
            assert said(await a.knock(f"/reconnect/{number}"))[0] == 401, "its owner is told what is wanted"
            assert await b.ok("GET", "/sessions") == {"sessions": [], "nextCursor": None}
            assert len((await a.ok("GET", "/sessions"))["sessions"]) == 1
        async with connect(f"{a.gateway.ws}/reconnect/{number}?token=between-us", open_timeout=60):
            pass


async def test_nor_in_any_list_or_count(tmp_path: Path) -> None:
    async with two(tmp_path, max_sessions="3") as (a, b):
        number = (await a.ok("POST", "/session", {"name": "shop", "labels": {"k": "v"}}))["id"]
        await a.ok("POST", "/identities", {"name": "me", "locale": "de-DE"})
        seen: list[tuple[str, Callable[[Any], object], object, object]] = [
            ("/sessions", lambda told: len(told["sessions"]), 1, 0),
            ("/sessions?name=shop", lambda told: len(told["sessions"]), 1, 0),
            ("/sessions?label=k:v&status=detached", lambda told: len(told["sessions"]), 1, 0),
            ("/json/list", len, 1, 0),
            ("/json", len, 1, 0),
            ("/identities", lambda told: len(told["identities"]), 1, 0),
            ("/pressure", lambda told: told["pressure"]["running"], 1, 0),
        ]
        for path, look, own, others in seen:
            assert look(await a.ok("GET", path)) == own, path
            assert look(await b.ok("GET", path)) == others, path
        unknown = new_session_id()
        cursors = [await b.call("GET", f"/sessions?cursor={cursor}") for cursor in (number, unknown)]
        assert said(cursors[0], number) == said(cursors[1], unknown)
        assert (await a.call("GET", f"/sessions?cursor={number}"))[0] == 200
        assert (await b.call("GET", "/sessions?tenant=a"))[0] == (await b.call("GET", "/sessions?tenant=zz"))[0] == 403
        listed = await a.gateway.call("GET", "/sessions?tenant=a")
        assert [one["id"] for one in listed[1]["sessions"]] == [number], "role admin may"
        pressure = (await b.ok("GET", "/pressure"))["pressure"]
        assert set(pressure) == {
            "isAvailable",
            "running",
            "queued",
            "positions",
            "maxConcurrent",
            "maxQueued",
            "reason",
            "message",
            "date",
            "cpu",
            "memory",
        }
        assert (pressure["cpu"], pressure["memory"]) == (None, None), "the machine's load would tell of the others"
        assert {"snapshotBytes", "maxSnapshotBytes"} < set((await a.ok("GET", "/pressure"))["pressure"])
        assert (await b.call("GET", "/metrics"))[0] == 403
        # The same names are its own.
        assert (await b.call("GET", "/identities/me"))[0] == 404
        assert (await b.call("POST", "/session", {"identity": "me"}))[0] == 404
        assert (await b.call("DELETE", "/identities/me"))[0] == 404
        mine = await b.ok("POST", "/session", {"name": "shop", "attach": True})
        assert mine["id"] != number
        assert mine["restoredFrom"] is None


async def test_nor_by_an_idempotency_key(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b):
        key = {"Idempotency-Key": "order-17"}
        first = await a.ok("POST", "/session", {}, **key)
        assert (await a.ok("POST", "/session", {}, **key))["id"] == first["id"]
        assert (await b.ok("POST", "/session", {}, **key))["id"] != first["id"]
        assert (await a.call("POST", "/session", {"ttl": 5000}, **key))[0] == 422


async def test_nor_what_was_saved_under_a_name(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b):
        cookie = {"name": "login", "value": "as-a", "domain": "shop.example", "path": "/"}
        made = await a.ok("POST", "/session", {"name": "shop", "context": {"cookies": [cookie], "origins": []}})
        await a.ok("DELETE", f"/session/{made['id']}")
        for tenant in (b, a):
            number = (await tenant.ok("POST", "/session", {"name": "shop"}))["id"]
            cookies = (await tenant.ok("GET", f"/session/{number}/context"))["cookies"]
            assert [one["value"] for one in cookies] == (["as-a"] if tenant is a else [])
