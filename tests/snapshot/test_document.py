"""The nouns of a context document, and what they say as JSON."""

from dataclasses import replace

import pytest

from gateway.snapshot.document import (
    ContextDocument,
    Cookie,
    Entry,
    OriginState,
    Permission,
    Tab,
    default_port,
    origin_of,
    telling,
)


def test_what_is_unknown_is_left_out() -> None:
    assert Cookie("a", "1", "x.test").to_json() == {
        "name": "a",
        "value": "1",
        "domain": "x.test",
        "path": "/",
        "expires": -1,
        "httpOnly": False,
        "secure": False,
    }
    assert Tab("a:b").to_json() == {"url": "a:b", "active": False, "sessionStorage": {}}


def test_a_tab_says_where_it_has_been_and_how_far_down_it_was() -> None:
    tab = Tab("a:c", True, {}, (Entry("a:b", "B"), Entry("a:c")), 1, (0, 12.5))
    assert tab.to_json() == {
        "url": "a:c",
        "active": True,
        "sessionStorage": {},
        "history": {"index": 1, "entries": [{"url": "a:b", "title": "B"}, {"url": "a:c", "title": ""}]},
        "scroll": {"x": 0, "y": 12.5},
    }


def test_a_stale_document_says_so_and_others_do_not() -> None:
    assert ContextDocument(stale=True).to_json()["stale"] is True
    assert "stale" not in ContextDocument().to_json()
    given = ContextDocument(permissions=(Permission("https://x.test", "midi"),))
    assert given.to_json()["permissions"] == [{"origin": "https://x.test", "name": "midi"}]


def test_default_ports() -> None:
    assert (default_port("http"), default_port("https")) == (80, 443)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://X.test:443/a?b#c", "https://x.test"),
        ("http://x.test:8080/", "http://x.test:8080"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://user:pass@x.test/", "http://x.test"),
        ("about:blank", None),
        ("data:text/html,x", None),
        ("file:///etc", None),
        ("http://x.test:99999/", None),
        ("http:///x", None),
        ("", None),
    ],
)
def test_origin_of(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_what_makes_a_document_another_one() -> None:
    state = OriginState("https://x.test", (("a", "1"),))
    tab = Tab("https://x.test/", True, {"https://x.test": {"a": "1"}}, (Entry("https://x.test/", "Title"),))
    one = ContextDocument((Cookie("a", "1", "x.test"),), (state,), (tab,), missing=("x",))
    scrolled = replace(tab, scroll=(0, 900), history=(Entry("https://x.test/", "(1) Title"),))
    assert telling(replace(one, tabs=(scrolled,))) == telling(one), "that changes all the time, and is worth little"
    for other in (
        replace(one, cookies=()),
        replace(one, origins=(replace(state),)),
        replace(one, tabs=(replace(tab, url="https://x.test/b"),)),
        replace(one, permissions=(Permission("https://x.test", "geolocation"),)),
        replace(one, missing=()),
    ):
        assert telling(other) != telling(one)
