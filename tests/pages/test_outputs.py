"""What a caller gets of a page, from its HTML."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages import apart
from gateway.pages.extract import Field
from gateway.pages.outputs import Output, Reader, read

URL = "https://shop.example/a/b?c"
PAGE = """<html><head><title>T</title><script>var x</script></head><body><h1>Head</h1>
<p>Some <b>bold</b> <a href="../up?x=1#y">link</a> <a href=" javascript:void(0) ">no</a><a href="mailto:a@b.c">m</a></p>
<ul><li>one</li><li>two</li></ul><a href="../up?x=1#y">again</a><a href="http://[bad">bad</a><img src="/i.png" alt="I">
<table><tr><th>k</th></tr><tr><td>v</td></tr></table></body></html>"""
ALL = [Output.HTML, Output.MARKDOWN, Output.TEXT, Output.LINKS, Output.JSON]


async def test_all_of_a_page() -> None:
    made = await Reader().outputs(PAGE, URL, ALL, {"head": Field("h1")})
    assert made["html"] == PAGE
    assert made["json"] == {"head": "Head"}
    assert made["links"] == ["https://shop.example/up?x=1#y", "mailto:a@b.c"]
    assert made["text"].splitlines()[:2] == ["Head", "Some bold link nom"]
    assert made["markdown"].startswith("# Head\n\nSome **bold** [link](https://shop.example/up?x=1#y)")
    assert "- one\n- two" in made["markdown"]
    assert "![I](https://shop.example/i.png)" in made["markdown"]
    assert "| k |\n| --- |\n| v |" in made["markdown"]
    assert "var x" not in made["markdown"]


async def test_only_what_is_wanted() -> None:
    assert await Reader().outputs(PAGE, URL, [Output.HTML, Output.SCREENSHOT], {}) == {"html": PAGE}


def test_links_follow_the_base() -> None:
    html = "<base href='/other/'><a href=x>x</a><area href=y>"
    assert read(html, URL, [Output.LINKS], {})["links"] == [
        "https://shop.example/other/x",
        "https://shop.example/other/y",
    ]


async def test_a_large_page_is_read_by_another_process_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"li": Field("li", all=True)}
    here = await Reader().outputs(PAGE, URL, ALL, fields)
    monkeypatch.setattr(apart, "SMALL", 10)
    assert await Reader().outputs(PAGE, URL, ALL, fields) == here
    with pytest.raises(GatewayError, match="selector") as refused:
        await Reader().outputs(PAGE, URL, ALL, {"x": Field("###")})
    assert refused.value.code is Code.BAD_REQUEST


async def test_a_selector_that_never_ends_costs_nobody_else_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PATIENCE", 1.0)
    with pytest.raises(GatewayError, match="took longer") as refused:
        await Reader().outputs("<p>x" * 15_000, URL, [Output.JSON], {"x": Field("p ~ p ~ p ~ p ~ p")})
    assert refused.value.code is Code.PAGE_UNREADABLE


async def test_one_that_cannot_be_read_costs_nobody_else_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PATIENCE", 0.01)
    with pytest.raises(GatewayError, match="took longer") as refused:
        await Reader().outputs("<p>" * 30_000, URL, [Output.MARKDOWN], {})
    assert refused.value.code is Code.PAGE_UNREADABLE
    monkeypatch.setattr(apart, "LARGEST", 10)
    with pytest.raises(GatewayError, match="more than 10 characters"):
        await Reader().outputs(PAGE, URL, [Output.HTML], {})


def test_markdown_of_what_is_nested_too_deep() -> None:
    with pytest.raises(GatewayError, match="too deep"):
        read("<b><i>" * 900, URL, [Output.MARKDOWN], {})
