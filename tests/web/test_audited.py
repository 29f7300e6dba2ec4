"""Who did what, as the audit log has it of a gateway that serves."""

import asyncio
import json
from pathlib import Path
from typing import Any

from gateway.tenancy.secret import digest
from tests.inside import TOKEN, ask, inside

AGENT = "audit-test/1"


def lines(directory: Path) -> list[dict[str, Any]]:
    """What was written; the gateway has ended."""
    if not (directory / "audit.log").exists():
        return []
    return [json.loads(line) for line in (directory / "audit.log").read_text().splitlines()]


async def test_the_life_of_a_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, asyncio.timeout(60):
        gateway.http.headers["User-Agent"] = AGENT
        _, session = await gateway.call("POST", "/session", json={"name": "one"})
        async with gateway.connect(f"/session/connect/{session['id']}") as first:
            await ask(first, "Browser.getVersion")
            async with gateway.connect(f"/session/connect/{session['id']}", takeover="true") as second:
                await ask(second, "Browser.getVersion")
        await gateway.call("GET", f"/session/{session['id']}/context")
        await gateway.call("GET", f"/session/{session['id']}")
        capability = session["connect"].rpartition("=")[2]
        headers = {"Authorization": f"Bearer {capability}"}
        async with gateway.http.delete(f"/session/{session['id']}", headers=headers) as answer:
            assert answer.status == 200
        _, forks = await gateway.call("POST", f"/session/{session['id']}/fork", json={"count": 2})
        for fork in forks["sessions"]:
            await gateway.call("DELETE", f"/session/{fork['id']}?purge=true&force=true")
        async with gateway.connect() as standard:
            await ask(standard, "Browser.getVersion")
        async with gateway.http.get("/sessions", headers={"Authorization": "Bearer wrong-secret"}) as answer:
            assert answer.status == 401
    told = lines(tmp_path)
    number = session["id"]
    assert [(line["action"], line["status"], line.get("session")) for line in told[:5]] == [
        ("session.create", 201, number),
        ("session.connect", 101, number),
        ("session.takeover", 101, number),
        ("session.context", 200, number),
        ("session.stop", 200, number),
    ], "a look at a session is no event"
    fork, *purges, standard_line, failed = told[5:]
    assert (fork["action"], fork["source"], len(fork["sessions"])) == ("session.fork", number, 2)
    assert {(line["action"], line["session"]) for line in purges} == {
        ("session.purge", one) for one in fork["sessions"]
    }
    assert (standard_line["action"], standard_line["status"]) == ("session.create", 101)
    assert len(standard_line["session"]) == 36
    first_line = told[0]
    assert first_line["tenant"] == "default"
    assert (first_line["role"], first_line["kind"], first_line["address"]) == ("admin", "token", "127.0.0.1")
    assert first_line["credential"] == digest(TOKEN)[:12]
    assert first_line["user_agent"] == AGENT
    assert first_line["at"].endswith("Z")
    stop = told[4]
    assert (stop["kind"], stop["tenant"]) == ("capability", "default")
    assert stop["credential"] == digest(capability)[:12]
    assert (failed["action"], failed["status"], failed["detail"]) == ("credential.failed", 401, "GET /sessions")
    assert "tenant" not in failed
    written = (tmp_path / "audit.log").read_text()
    for secret in (TOKEN, capability, capability.partition(".")[2], "wrong-secret"):
        assert secret not in written


async def test_strangers_do_not_fill_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Authorization": ""}):
            for _ in range(5):
                async with gateway.http.post("/session", headers=headers) as answer:
                    assert answer.status in (401, 403)
        async with gateway.http.post("/session", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
    assert [line["action"] for line in lines(tmp_path)] == ["credential.failed"]


async def test_what_changes_something_is_told_also_where_no_table_names_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        await gateway.call("POST", "/identities", json={"name": "who"})
        await gateway.call("DELETE", "/identities/who")
        await gateway.call("PUT", "/identities/none", json={"nonsense": 1})
    told = lines(tmp_path)
    assert [(line["action"], line["status"], line.get("detail")) for line in told] == [
        ("identity.create", 201, None),
        ("identity.delete", 204, "who"),
        ("identity.replace", 400, "none"),
    ]


async def test_no_log_where_none_is_wanted(tmp_path: Path) -> None:
    async with inside(tmp_path, audit_log="none") as gateway:
        await gateway.call("POST", "/identities", json={"name": "who"})
    assert not (tmp_path / "audit.log").exists()
