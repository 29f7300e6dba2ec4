"""Nodes that speak TLS to each other, with a certificate that only they trust."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.fleet.nodes import fleet
from tests.journeys.driving import driver
from tests.site.app import Site
from tests.web.certificates import make


async def test_a_session_through_another_node_over_tls(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    crt, key = make(tmp_path)
    trust = ssl.create_default_context(cafile=str(crt))
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(crt))  # for Puppeteer, who is a client like any other
    async with fleet(tmp_path, 2, tls_cert=str(crt), tls_key=str(key), cluster_ca=str(crt)) as two:
        first, second = two.nodes
        assert first.runs.url.startswith("https://")
        headers = {"Authorization": f"Bearer {first.runs.token}"}
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as http:
            async with http.post(f"{first.runs.url}/session", json={}) as answer:
                made = await answer.json()
                assert answer.status == 201, made
            far = second if await two.owner(made["id"]) is first else first
            own, other = (node.runs.url.replace("https", "wss") for node in (first, far))
            assert made["connect"].startswith(own)
            async with driver("puppeteer") as client:
                await client.connect(made["connect"].replace(own, other))
                await client.log_in(site)
                assert (await client.state(site))["user"] == "alice"
            async with http.get(f"{far.runs.url}/metrics") as answer:
                assert 'gateway_forwarded_total{kind="websocket"} 1.0' in await answer.text()
            async with http.delete(f"{far.runs.url}/session/{made['id']}?force=true") as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, "stopped")
