"""What a page is made into."""

import re
import struct
import zlib

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.render import Paper, Shot, content, pdf, screenshot
from tests.pages.tab import fresh

TALL = "<!doctype html><style>* { margin: 0 }</style><div id=a style='width: 50px; height: 900px'></div>"
SCROLLED = (
    "<script>addEventListener('scroll', () => { document.title = scrollY + innerHeight >= 900 ? 'end' : '' })</script>"
)


def png(data: bytes) -> tuple[int, int, int]:
    """Width, height, and the kind of colours: 6 with transparency, 2 without."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    return width, height, kind


def transparent(data: bytes) -> bool:
    """Whether the first pixel of a png with transparency is."""
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    return zlib.decompressobj().decompress(data[start + 4 : start + 4 + length])[4] == 0


def sides(paper: bytes) -> tuple[float, float]:
    """Width and height of a PDF's first page, in points."""
    found = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert found is not None
    return float(found[1]), float(found[2])


async def test_pictures_and_papers() -> None:
    async with fresh(viewport={"width": 200, "height": 100}) as context:
        page = await context.new_page()
        await page.set_content(TALL + SCROLLED)
        assert png(await screenshot(page, Shot()))[:2] == (200, 100)
        assert png(await screenshot(page, Shot(whole=True)))[:2] == (200, 900)
        assert png(await screenshot(page, Shot(selector="#a")))[:2] == (50, 900)
        assert png(await screenshot(page, Shot(clip=(10, 10, 30, 20, 1))))[:2] == (30, 20)
        assert png(await screenshot(page, Shot(clip=(10, 10, 30, 20, 2))))[:2] == (60, 40)
        assert png(await screenshot(page, Shot(whole=True, fast=True)))[:2] == (200, 900)
        clear = await screenshot(page, Shot(clear=True))
        assert (png(clear)[2], transparent(clear)) == (6, True)
        assert (await screenshot(page, Shot("jpeg", quality=10))).startswith(b"\xff\xd8")
        webp = await screenshot(page, Shot("webp", quality=10, selector="#a"))
        assert (webp[:4], webp[8:12]) == (b"RIFF", b"WEBP")
        assert Shot("webp").media == "image/webp"
        for kind in ("png", "webp"):
            with pytest.raises(GatewayError) as refused:
                await screenshot(page, Shot(kind, selector="#none"))
            assert refused.value.code is Code.ELEMENT_MISSING
        await screenshot(page, Shot(scroll=True))
        await page.wait_for_function("scrollY === 0 && document.title === ''")  # it is told with the next frame

        for huge in (Shot(clip=(0, 0, 9000, 9000, 1)), Shot(whole=True), Shot(selector="#a")):
            await page.set_content("<div id=a style='width: 9000px; height: 9000px'></div>")
            with pytest.raises(GatewayError, match="is more than is made here") as refused:
                await screenshot(page, huge)
            assert refused.value.code is Code.BAD_REQUEST
        await page.set_content(TALL)

        assert (await content(page)).startswith("<!DOCTYPE html><html>")
        paper = await pdf(page, Paper(format="A4", margin=("1cm", 0, 0, 0), clear=True))
        assert paper.startswith(b"%PDF-")
        assert sides(paper) == pytest.approx((595, 842), abs=1)
        assert sides(await pdf(page, Paper(width=200, height="100px"))) == pytest.approx((150, 75), abs=1)
        with pytest.raises(GatewayError) as refused:
            await pdf(page, Paper(ranges="9-1"))
        assert refused.value.code is Code.BAD_REQUEST
        with pytest.raises(GatewayError) as refused:
            await pdf(page, Paper(patience=0.000001))
        assert refused.value.code is Code.PAGE_FAILED
