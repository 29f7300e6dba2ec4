"""What a page's HTML says, read by a parser of ours, in a process of its own where it is large."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages import apart
from gateway.pages.article import Articles, Form, tell

PAGE = """<!doctype html><html lang=en><head><title> The
 title </title><base href="/dir/">
<meta name=Author content="A. Writer"><meta name=description content="In short."><meta property="og:title" content="OG">
<link rel="shortcut icon" href="f.ico"><link rel=canonical href="/c"><style>p { color: red }</style>
<script type="application/ld+json">{"@type": "Thing"}</script><script type="application/ld+json">{broken</script></head>
<body onload="x()"><!-- secret --><nav><a href="x">menu</a> <a href="x">menu</a> <a href="javascript:1">no</a>
<a href="http://[::1">no</a> <a href="https://other.example/"><img src=i.png alt=picture></a></nav>
<article class=a style="color: red"><h1>The title</h1>""" + (
    "<p>Some long words of an article, which goes on, and on, with commas, and more of them.</p>" * 8
)


def test_what_a_page_says() -> None:
    told = tell(PAGE + "</article><div hidden>not to be seen</div></body></html>", "http://x.test/a", list(Form))
    assert told["links"] == [
        {"url": "http://x.test/dir/x", "text": "menu"},
        {"url": "https://other.example/", "text": ""},
    ]
    assert told["metadata"] == {
        "title": "The title",
        "language": "en",
        "author": "A. Writer",
        "canonical": "http://x.test/c",
        "description": "In short.",
        "favicon": "http://x.test/dir/f.ico",
        "jsonLd": [{"@type": "Thing"}],
        "ogTitle": "OG",
    }
    cleaned = told["cleaned_html"]
    assert cleaned.startswith("<body><nav>")
    assert '<img src="http://x.test/dir/i.png" alt="picture">' in cleaned
    for gone in ("secret", "onload", "script", "style", "class=", "not to be seen"):
        assert gone not in cleaned
    readable = told["readability"]
    assert (readable["title"], readable["byline"], readable["excerpt"]) == ("The title", "A. Writer", "In short.")
    assert "Some long words" in readable["textContent"]
    assert "menu" not in readable["textContent"]
    assert readable["length"] == len(readable["textContent"])


@pytest.mark.parametrize(
    "source",
    ["", " \n", "<!-- x -->", "\0", "plain", "<?xml version='1.0' encoding='latin1'?><html>é</html>", "\ud800<p>x"],
    ids=ascii,
)
def test_whatever_it_is_it_can_be_read(source: str) -> None:
    told = tell(source, "http://x.test/", list(Form))
    assert told["links"] == []
    assert told["cleaned_html"].startswith("<body>")
    assert told["readability"]["length"] == len(told["readability"]["textContent"]) <= 5


async def test_a_large_page_is_read_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    large = "<div>" * (apart.SMALL // 4) + "<a href=/x>deep</a>" + "é" * 10
    here = tell(PAGE, "http://x.test/a", list(Form))
    monkeypatch.setattr(apart, "SMALL", 100)
    assert await Articles().told(PAGE, "http://x.test/a", list(Form)) == here
    assert set(await Articles().told(large, "http://x.test/", [])) == {"links", "metadata"}
    for source, patience in (("x" * (apart.LARGEST + 1), 60.0), (PAGE, 0.0)):
        monkeypatch.setattr(apart, "PATIENCE", patience)
        with pytest.raises(GatewayError) as error:
            await Articles().told(source, "http://x.test/", [])
        assert error.value.code is Code.PAGE_UNREADABLE
