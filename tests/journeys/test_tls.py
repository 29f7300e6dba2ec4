"""A gateway that speaks TLS itself, with Puppeteer and Playwright, which trust its certificate's authority."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.journeys.driving import driver
from tests.journeys.running import Starter, eventually_asked
from tests.site.app import Site
from tests.web.certificates import make


async def test_real_clients_over_wss(
    start_gateway: Starter, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crt, key = make(tmp_path)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(crt))
    gateway = await start_gateway(tls_cert=str(crt), tls_key=str(key))
    assert gateway.url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=str(crt))
    session = (await gateway.request("POST", "/session", json={}, ssl=trust)).ok(201)
    assert session["connect"].startswith("wss://127.0.0.1:")
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.goto(f"{site.url}/counter")
        assert await client.evaluate("bump()") == 1
        assert len(await client.evaluate("'x'.repeat(3000000)")) == 3_000_000
        await client.do("disconnect")
    async with driver("playwright") as client:
        await client.connect(f"{gateway.url}?token={gateway.token}")  # by way of https://…/json/version
        await client.goto(f"{site.url}/counter")
        assert await client.evaluate("bump()") == 1
        await client.do("close")

    async def put_down() -> bool:
        record = (await gateway.request("GET", f"/session/{session['id']}", ssl=trust)).ok()
        return bool(record["status"] == "detached")

    await eventually_asked("nobody is connected", put_down)
    (await gateway.request("DELETE", f"/session/{session['id']}?purge=true", ssl=trust)).ok()
    with pytest.raises(aiohttp.ClientConnectorCertificateError):  # who does not trust it is not let on
        await gateway.request("GET", "/healthz")
    with pytest.raises(aiohttp.ClientError):
        await gateway.request("GET", gateway.url.replace("https", "http") + "/healthz")
