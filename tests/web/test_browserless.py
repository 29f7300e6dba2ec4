"""Browserless's page services and /kill, with bodies as it documents them."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.web.browserless_shapes import PerformanceAnswer, ScrapeAnswer
from tests.inside import Inside, inside, until
from tests.site.app import Site

HTML = "<!doctype html><title>t</title><h1 class=a>Hello</h1>"


async def post(
    gateway: Inside, path: str, body: Mapping[str, Any], **query: str
) -> tuple[int, str, bytes, Mapping[str, str]]:
    """Status, type, body and headers of the answer."""
    async with gateway.http.post(path, json=body, params=query) as answer:
        return answer.status, answer.content_type, await answer.read(), answer.headers


async def refused(gateway: Inside, path: str, body: Mapping[str, Any], **query: str) -> tuple[int, str, str]:
    """Status, code and message."""
    status, kind, data, _ = await post(gateway, path, body, **query)
    assert kind == "application/json"
    error = json.loads(data)["error"]
    return status, error["code"], error["message"]


async def test_the_services(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        status, kind, data, headers = await post(gateway, "/content", {"url": f"{site.url}/page/1"})
        assert (status, kind, b"<h1" in data) == (200, "text/html", True)
        said = [headers[f"X-Response-{name}"] for name in ("Code", "Status", "URL")]
        assert said == ["200", "OK", f"{site.url}/page/1"]
        status, kind, data, headers = await post(gateway, "/screenshot", {"html": HTML})
        assert (status, kind, data[:4], int.from_bytes(data[16:20])) == (200, "image/png", b"\x89PNG", 800)
        assert "X-Response-Code" not in headers
        body: dict[str, Any] = {"html": HTML, "selector": "h1", "options": {"type": "jpeg", "encoding": "base64"}}
        status, kind, data, _ = await post(gateway, "/chromium/screenshot", body)
        assert (status, kind, base64.b64decode(data)[:2]) == (200, "text/plain", b"\xff\xd8")
        status, kind, data, _ = await post(gateway, "/pdf", {"html": HTML, "options": {"format": "A4"}})
        assert (status, kind, data[:5]) == (200, "application/pdf", b"%PDF-")

        status, kind, data, _ = await post(gateway, "/scrape", {"html": HTML, "elements": [{"selector": "h1"}]})
        assert (status, kind) == (200, "application/json")
        found = ScrapeAnswer.model_validate_json(data).data[0]
        assert (found.selector, found.results[0].text, found.results[0].attributes[0].value) == ("h1", "Hello", "a")
        status, _, data, _ = await post(gateway, "/performance", {"url": f"{site.url}/page/1"})
        assert status == 200
        assert PerformanceAnswer.model_validate_json(data).data.url == f"{site.url}/page/1"

        # All of them in one browser, which a tenant sees among its sessions.
        _, listed = await gateway.call("GET", "/sessions")
        assert [one["labels"] for one in listed["sessions"]] == [{"service": "pages"}]

        # Flags and launch options are other browsers; an identity's viewport stands.
        launch = base64.b64encode(json.dumps({"viewport": {"width": 444, "height": 333}}).encode()).decode()
        _, _, data, _ = await post(gateway, "/screenshot", {"html": HTML}, launch=launch, headless="shell")
        assert int.from_bytes(data[16:20]) == 444

        # What fails is told in words, each with its status.
        wait = {"html": HTML, "waitForSelector": {"selector": "h2", "timeout": 50}}
        assert (await refused(gateway, "/content", wait))[:2] == (422, "wait_failed")
        assert (await post(gateway, "/content", {**wait, "bestAttempt": True}))[0] == 200
        gone = {"url": "http://127.0.0.1:9/"}
        assert (await refused(gateway, "/pdf", gone))[:2] == (502, "page_unreachable")
        assert (await post(gateway, "/content", {**gone, "bestAttempt": True}))[0] == 200
        slow = {"html": HTML, "waitForTimeout": 60_000}
        assert (await refused(gateway, "/content", slow, timeout="200"))[:2] == (408, "page_timeout")
        # A page that asks whether it may be left, shows a dialog, and never stops.
        hard = "<script>onbeforeunload = () => false; setTimeout(() => { alert(1); for (;;); }, 1)</script>"
        stuck = {"html": hard, "waitForTimeout": 100}
        assert (await refused(gateway, "/screenshot", stuck, timeout="500"))[:2] == (408, "page_timeout")
        assert (await refused(gateway, "/screenshot", {"html": HTML, "selector": "h2"}))[:2] == (422, "element_missing")
        debug = {"html": HTML, "elements": [{"selector": "h1"}], "debugOpts": {"console": True}}
        assert (await refused(gateway, "/scrape", debug))[:2] == (422, "unsupported")
        assert "Lighthouse" in (await refused(gateway, "/performance", {**gone, "config": {}}))[2]
        assert "code is not run" in (await refused(gateway, "/function", {}))[2]
        assert (await refused(gateway, "/content", {"html": HTML}, timeout="soon"))[:2] == (400, "bad_request")
        assert (await refused(gateway, "/content", {"html": HTML}, colour="red"))[:2] == (400, "unknown_parameter")
        assert (await refused(gateway, "/content", {"html": HTML}, **{"--no-sandbox-2": ""}))[:2] == (
            400,
            "flag_refused",
        )

        async with gateway.http.get("/metrics", headers={"Accept": "application/json"}) as answer:
            (metrics,) = await answer.json()
        assert metrics["successful"] >= 8
        assert (metrics["timedout"], metrics["error"], metrics["running"], metrics["queued"]) == (2, 1, 0, 0)
        assert metrics["maxTime"] >= metrics["meanTime"] >= metrics["minTime"] > 0


async def test_in_a_session_and_kill(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        _, made = await gateway.call("POST", "/session", json={"url": f"{site.url}/page/1", "name": "mine"})
        cookie = {"name": "kept", "value": "1", "url": site.url}
        where = {"sessionId": made["id"], "url": f"{site.url}/page/2"}
        async with gateway.connect(f"/session/connect/{made['id']}"):  # beside its driver
            status, _, _, _ = await post(
                gateway, "/content", {"url": where["url"], "cookies": [cookie]}, sessionId=made["id"]
            )
            assert status == 200
            _, context = await gateway.call("GET", f"/session/{made['id']}/context")
            assert [one["name"] for one in context["cookies"]] == ["kept"]
            assert [tab["url"] for tab in context["tabs"]] == [f"{site.url}/page/1"]
        assert (await refused(gateway, "/content", {"html": HTML}, sessionId=made["id"], stealth="true"))[0] == 400
        missing = "00000000-0000-4000-8000-000000000000"
        assert (await refused(gateway, "/content", {"html": HTML}, sessionId=missing))[:2] == (404, "session_not_found")

        # By its id, by a trackingId, and all.
        assert (await gateway.call("GET", f"/kill/{made['id']}"))[0] == 204
        _, shown = await gateway.call("GET", f"/session/{made['id']}")
        assert shown["status"] == "stopped"
        assert (await refused_get(gateway, "/kill/nobody"))[:2] == (404, "session_not_found")
        assert (await gateway.call("GET", "/kill/all"))[0] == 204
        async with gateway.connect("/", trackingId="mine-1") as one, gateway.connect("/") as other:
            await until(lambda: gateway.registry.count == 2)
            assert (await gateway.call("GET", "/kill/mine-1"))[0] == 204
            await one.wait_closed()
            await until(lambda: gateway.registry.count == 1)
            assert (await gateway.call("GET", "/kill/all"))[0] == 204
            await other.wait_closed()
        await until(lambda: gateway.registry.count == 0)


async def refused_get(gateway: Inside, path: str) -> tuple[int, str]:
    status, body = await gateway.call("GET", path)
    return status, body["error"]["code"]
