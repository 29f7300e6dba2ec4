from gateway.adblock.thrift import matching, thrifty
from gateway.records import Thrift

PAGE = "https://shop.example/"


class Ads:
    """A filter that knows one tracker."""

    def blocks(self, url: str, source: str, kind: str) -> bool:
        return "tracker" in url


def test_without_thrift_there_is_no_filter_but_the_other() -> None:
    assert thrifty(None, None) is None
    ads = Ads()
    assert thrifty(None, ads) is ads


def test_kinds_of_things() -> None:
    thrift = thrifty(Thrift(frozenset({"image", "media"})), None)
    assert thrift is not None
    assert thrift.blocks("https://shop.example/a.png", PAGE, "image")
    assert thrift.blocks("https://shop.example/film", PAGE, "media")
    assert not thrift.blocks("https://shop.example/a.png", PAGE, "xmlhttprequest"), "what it is counts, not its name"


def test_hosts_with_all_under_them() -> None:
    thrift = thrifty(Thrift(hosts=("CDN.example", "*.ads.example", "10.0.0.1")), None)
    assert thrift is not None
    for url in ("https://cdn.example/a", "http://a.b.cdn.example:81/", "https://ads.example/", "http://10.0.0.1/x"):
        assert thrift.blocks(url, PAGE, "script"), url
    for url in ("https://mycdn.example/", "https://example/", "https://[/", "data:,cdn.example"):
        assert not thrift.blocks(url, PAGE, "script"), url


def test_parts_of_urls() -> None:
    assert matching("analytics").search("https://a.example/js/analytics.js")
    assert matching("https://a.example/*.js").search("https://a.example/x/y.js?1")
    assert not matching("https://a.example/").search("https://b.example/?u=https://a.example/"), "its beginning"
    assert not matching("a.c").search("https://abc.example/"), "a dot is a dot"
    thrift = thrifty(Thrift(patterns=("*.woff2", "/track?id=")), None)
    assert thrift is not None
    assert thrift.blocks("https://a.example/f.woff2", PAGE, "font")
    assert thrift.blocks("https://a.example/track?id=1", PAGE, "ping")
    assert not thrift.blocks("https://a.example/track", PAGE, "ping")


def test_beside_a_filter_of_advertisements() -> None:
    both = thrifty(Thrift(frozenset({"image"})), Ads())
    assert both is not None
    assert both.blocks("https://a.example/x.png", PAGE, "image")
    assert both.blocks("https://tracker.example/", PAGE, "script")
    assert not both.blocks("https://a.example/", PAGE, "script")
