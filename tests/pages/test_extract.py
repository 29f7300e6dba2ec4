"""Values by selectors, and the text of elements, from HTML as it is found."""

from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.extract import Field, Kind, extracted, parsed, selector, text_of

ORDERS = """<html><head><title>Orders</title><style>.x{}</style></head><body>
<ul><li class=order data-id=7>Order  <b>7</b>\n sent</li><li class=order>Order 8</li></ul>
<a href="/next?a=1&amp;b=2">next</a><p id=empty></p></body></html>"""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(Field("li.order"), "Order 7 sent", id="text"),
        pytest.param(Field("li.order", all=True), ["Order 7 sent", "Order 8"], id="all"),
        pytest.param(Field("li.order", Kind.HTML), "Order  <b>7</b>\n sent", id="html"),
        pytest.param(Field("a", Kind.ATTR, "HREF"), "/next?a=1&b=2", id="attr"),
        pytest.param(Field("li", Kind.ATTR, "data-id", all=True), ["7", None], id="attr-all"),
        pytest.param(Field("li:nth-child(2)"), "Order 8", id="nth"),
        pytest.param(Field("ul:has(b) > li:not([data-id])"), "Order 8", id="has-not"),
        pytest.param(Field("#empty"), "", id="empty"),
        pytest.param(Field(".none"), None, id="none"),
        pytest.param(Field(".none", all=True), [], id="none-of-all"),
        pytest.param(Field("title"), "Orders", id="unseen-but-asked-for"),
    ],
)
def test_a_field(field: Field, value: Any) -> None:
    assert extracted(parsed(ORDERS), {"it": field}) == {"it": value}


@pytest.mark.parametrize("text", [":not(" * 400, "", "###", "div >", "a::before", "p:frobnicate", "[", "x" * 3 + "{"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(GatewayError, match="selector") as refused:
        selector(text)
    assert refused.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("text", "quick"),
    [
        *(
            (text, True)
            for text in ("h1", ".order", "li.order.new", "#a", "a[href]", '[data-x="1 2"]', "a[x^='y']", " p ")
        ),
        *((text, False) for text in ("*", "p ~ p", "ul li", "a>b", "a,b", "p:first-child", ":has(* *)", "a[x='\\\\']")),
    ],
)
def test_which_selectors_cost_little(text: str, quick: bool) -> None:
    assert Field(text).quick is quick


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param("<p>one<p>two", "one\ntwo", id="blocks"),
        pytest.param("a<br>b<!-- no -->c", "a\nbc", id="break-and-comment"),
        pytest.param("<div>a <i> b</i>c</div>  d", "a bc\nd", id="spaces"),
        pytest.param("<script>x</script>y<noscript>z</noscript>", "y", id="unseen"),
        pytest.param("<pre>a\n  b</pre>", "a\n  b", id="pre"),
        pytest.param("<table><tr><td>1<td>2<tr><td>3</table>", "1 2\n3", id="table"),
        pytest.param("&lt;b&gt; &amp; &eacute;", "<b> & é", id="entities"),
        pytest.param("", "", id="nothing"),
        pytest.param("a\0b", "ab", id="nul"),
        pytest.param("\ud800x", "?x", id="half-a-surrogate"),
        pytest.param('<?xml version="1.0" encoding="utf-16"?><p>x</p>', "x", id="declared"),
    ],
)
def test_text(html: str, text: str) -> None:
    assert text_of(parsed(html)) == text


def test_nesting_without_end_is_cut_off() -> None:
    assert "deep" not in text_of(parsed("<div>" * 100_000 + "deep"))
    assert text_of(parsed("<div>" * 500 + "deep")) == "deep"
