"""Browserless's bodies as the gateway's nouns."""

from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.visit import ForEvent, ForFunction, ForSelector, Goto, Tag, Viewport
from gateway.web.browserless_nouns import paper_of, shot_of, visit_of
from gateway.web.browserless_shapes import PageBody, PDFBody, ScreenshotBody


def page(**body: Any) -> PageBody:
    return PageBody.model_validate({"html": "x", **body})


def test_everything_is_translated() -> None:
    visit = visit_of(
        PageBody.model_validate(
            {
                "url": "https://a.example/",
                "gotoOptions": {"waitUntil": ["load", "networkidle2"], "timeout": 0, "referer": "https://b.example/"},
                "waitForEvent": {"event": "e", "timeout": 1000},
                "waitForFunction": {"fn": "f", "polling": 100, "timeout": 2000},
                "waitForSelector": {"selector": "s", "visible": True, "timeout": 3000},
                "waitForTimeout": 500,
                "viewport": {"width": 10, "height": 20, "deviceScaleFactor": 2, "isMobile": True, "hasTouch": True},
                "setJavaScriptEnabled": False,
                "authenticate": {"username": "u", "password": "p"},
                "cookies": [
                    {"name": "a", "value": "1"},
                    {"name": "b", "value": "2", "domain": "c.example", "httpOnly": True, "sameSite": "Lax"},
                ],
                "rejectRequestPattern": [r"\.css$"],
                "requestInterceptors": [{"pattern": "x", "response": {"status": 204}}],
                "addScriptTag": [{"url": "https://a.example/a.js", "type": "module"}],
                "addStyleTag": [{"content": "a {}"}],
            }
        )
    )
    assert visit.goto == Goto(("load", "networkidle2"), 0, "https://b.example/")
    assert visit.wait_event == ForEvent("e", 1)
    assert visit.wait_function == ForFunction("f", 0.1, 2)
    assert visit.wait_selector == ForSelector("s", "visible", 3)
    assert (visit.wait, visit.javascript, visit.credentials) == (0.5, False, ("u", "p"))
    assert visit.viewport == Viewport(10, 20, 2, True, True)
    assert [dict(one) for one in visit.cookies] == [
        {"url": "https://a.example/", "name": "a", "value": "1"},
        {"path": "/", "name": "b", "value": "2", "domain": "c.example", "httpOnly": True, "sameSite": "Lax"},
    ]
    assert visit.reject_patterns[0].found_in("x.css")
    assert visit.canned[0].status == 204
    assert (visit.scripts, visit.styles) == ((Tag(None, "https://a.example/a.js", "module"),), (Tag("a {}"),))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "https://a"}, "one of url and html"),
        ({"html": None}, "one of url and html"),
        ({"html": None, "url": "file:///etc/passwd"}, "url: an absolute"),
        ({"waitForSelector": {"selector": "a", "hidden": True, "visible": True}}, "waitForSelector"),
        ({"cookies": [{"name": "a", "value": "b"}]}, r"cookies\.0"),
        ({"cookies": [{"name": "a", "value": "b", "url": "https://a", "path": "/b"}]}, r"cookies\.0: a path"),
        ({"addScriptTag": [{}]}, r"addScriptTag\.0"),
        ({"addStyleTag": [{"url": "file:///x"}]}, r"addStyleTag\.0\.url"),
        ({"rejectRequestPattern": ["a", "("]}, r"rejectRequestPattern\.1"),
        ({"requestInterceptors": [{"pattern": "(", "response": {}}]}, r"requestInterceptors\.0\.pattern"),
        ({"viewport": {"width": 9999, "height": 9999}}, r"viewport: at most"),
        ({"viewport": {"width": 1, "height": 2, "isLandscape": True}}, r"viewport\.isLandscape"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_is_refused_by_name(body: dict[str, Any], words: str) -> None:
    with pytest.raises(GatewayError, match=words):
        visit_of(page(**body))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"options": {"quality": 1}}, "quality"),
        ({"options": {"clip": {"x": 0, "y": 0, "width": 1, "height": 1}}, "selector": "a"}, "clip"),
    ],
    ids=["quality", "clip"],
)
def test_pictures_that_cannot_be(body: dict[str, Any], words: str) -> None:
    with pytest.raises(GatewayError, match=words):
        shot_of(ScreenshotBody.model_validate({"html": "x", **body}))


def test_pictures_and_papers() -> None:
    options = {"type": "webp", "quality": 7, "fullPage": True, "omitBackground": True, "optimizeForSpeed": True}
    shot = shot_of(ScreenshotBody.model_validate({"html": "x", "options": options, "scrollPage": True}))
    assert (shot.kind, shot.quality, shot.whole, shot.clear, shot.fast, shot.scroll) == ("webp", 7, *[True] * 4)
    options = {"format": "A4", "margin": {"left": "1in"}, "preferCSSPageSize": True, "timeout": 0, "pageRanges": ""}
    paper = paper_of(PDFBody.model_validate({"html": "x", "options": options}))
    assert (paper.format, paper.margin, paper.css_size, paper.patience) == ("A4", (0, 0, 0, "1in"), True, None)
    assert paper.ranges is None
    with pytest.raises(GatewayError, match=r"options\.format") as refused:
        paper_of(PDFBody.model_validate({"html": "x", "options": {"format": "A9"}}))
    assert refused.value.code is Code.BAD_REQUEST
