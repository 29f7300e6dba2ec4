"""Steel's scrape, screenshot and pdf, by the real SDK; files that anyone can fetch who has their URL."""

import httpx
import pytest
from steel import APIStatusError, AsyncSteel

from tests.journeys.running import Gateway
from tests.site.app import Site


async def test_pages(gateway: Gateway, site: Site) -> None:
    async with (
        AsyncSteel(
            steel_api_key=gateway.token, base_url=gateway.url, _strict_response_validation=True, max_retries=0
        ) as steel,
        httpx.AsyncClient(timeout=60) as anyone,
    ):
        plain = await steel.scrape(url=f"{site.url}/page/1")
        assert plain.content.html is not None
        assert (plain.content.markdown, plain.content.readability, plain.pdf) == (None, None, None)
        assert (plain.metadata.status_code, plain.metadata.url_source) == (200, f"{site.url}/page/1")
        every = await steel.scrape(
            url=f"{site.url}/",
            delay=10,
            format=["html", "markdown", "cleaned_html", "readability"],
            screenshot=True,
            pdf=True,
        )
        assert every.metadata.title == "Home"
        assert every.content.markdown is not None
        assert every.content.markdown.startswith("# Home")
        assert every.content.cleaned_html is not None
        assert "id=" not in every.content.cleaned_html
        assert every.content.readability is not None
        assert every.content.readability["textContent"] == "Home"
        assert every.screenshot is not None
        assert every.pdf is not None
        missing = await steel.scrape(url=f"{site.url}/not-there")
        assert missing.metadata.status_code == 404
        whole = await steel.screenshot(url=f"{site.url}/page/1", full_page=True)
        paper = await steel.pdf(url=f"{site.url}/page/1")
        for url, start in (
            (every.screenshot.url, b"\x89PNG"),
            (every.pdf.url, b"%PDF"),
            (whole.url, b"\x89PNG"),
            (paper.url, b"%PDF"),
        ):
            fetched = await anyone.get(url)
            assert fetched.status_code == 200
            assert fetched.content.startswith(start)
            assert fetched.headers["Content-Security-Policy"] == "sandbox"
            assert gateway.token not in url
        assert (await anyone.get(whole.url[:-6] + "x.png")).status_code == 404
        assert (await anyone.post(f"{gateway.url}/v1/pdf", json={"url": site.url})).status_code == 401

        for status, field, wrong in (
            (422, "useProxy", {"url": site.url, "use_proxy": True}),
            (422, "region", {"url": site.url, "region": "lax"}),
            (400, "url", {"url": "file:///etc/passwd"}),
            (400, "delay", {"url": site.url, "delay": 1e9}),
            (502, "loaded", {"url": "http://127.0.0.1:9/"}),
        ):
            with pytest.raises(APIStatusError) as refused:
                await steel.scrape(**wrong)
            assert refused.value.status_code == status
            assert field in str(refused.value.body)
    log = gateway.log.read_text()
    assert whole.url.rpartition("/")[2] not in log
