"""A session's cookies for requests without a browser: which go where, and what answers do to them."""

import time
from dataclasses import replace

import pytest

from gateway.pages.jar import Jar
from gateway.snapshot.document import Cookie, PartitionKey

LATER = time.time() + 3600
SHOP = "https://shop.example/cart/list"


def sent(cookie: Cookie, url: str) -> bool:
    return Jar([cookie]).header(url) == f"{cookie.name}={cookie.value}"


@pytest.mark.parametrize(
    ("cookie", "url", "goes"),
    [
        pytest.param(Cookie("a", "1", "shop.example"), SHOP, True, id="host"),
        pytest.param(Cookie("a", "1", "shop.example"), "https://www.shop.example/", False, id="host-only"),
        pytest.param(Cookie("a", "1", ".shop.example"), "https://www.shop.example/", True, id="domain"),
        pytest.param(Cookie("a", "1", ".shop.example"), SHOP, True, id="domain-itself"),
        pytest.param(Cookie("a", "1", ".shop.example"), "https://notshop.example/", False, id="another-domain"),
        pytest.param(Cookie("a", "1", "shop.example", path="/cart"), SHOP, True, id="path"),
        pytest.param(Cookie("a", "1", "shop.example", path="/car"), SHOP, False, id="another-path"),
        pytest.param(Cookie("a", "1", "shop.example", secure=True), SHOP, True, id="secure"),
        pytest.param(
            Cookie("a", "1", "shop.example", secure=True), "http://shop.example/", False, id="secure-not-http"
        ),
        pytest.param(Cookie("a", "1", "127.0.0.1", secure=True), "http://127.0.0.1:8080/", True, id="secure-at-home"),
        pytest.param(Cookie("a", "1", "127.0.0.1"), "http://127.0.0.2/", False, id="another-address"),
        pytest.param(Cookie("a", "1", "localhost"), "http://localhost:8080/", True, id="localhost"),
        pytest.param(Cookie("a", "1", "shop.example", expires=LATER), SHOP, True, id="persistent"),
        pytest.param(Cookie("a", "1", "shop.example", expires=time.time() - 1), SHOP, False, id="its-time-is-up"),
        pytest.param(
            Cookie("a", "1", "shop.example", secure=True, partition_key=PartitionKey("https://shop.example")),
            SHOP,
            True,
            id="partitioned",
        ),
        pytest.param(
            Cookie("a", "1", "shop.example", secure=True, partition_key=PartitionKey("https://other.example")),
            SHOP,
            False,
            id="another-partition",
        ),
    ],
)
def test_which_cookie_goes_where(cookie: Cookie, url: str, goes: bool) -> None:
    assert sent(cookie, url) is goes


def test_longer_paths_come_first() -> None:
    jar = Jar([Cookie("a", "1", "shop.example"), Cookie("a", "2", "shop.example", path="/cart")])
    assert jar.header(SHOP) == "a=2; a=1"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        pytest.param("a=1", Cookie("a", "1", "shop.example", path="/cart"), id="plain"),
        pytest.param("a=1; Path=/", Cookie("a", "1", "shop.example"), id="path"),
        pytest.param("a=1; Path=/other", Cookie("a", "1", "shop.example", path="/other"), id="another-path"),
        pytest.param("a=1; Path=/; Domain=shop.example", Cookie("a", "1", ".shop.example"), id="domain"),
        pytest.param("a=1; path=/; httponly; secure; samesite=strict",
                     Cookie("a", "1", "shop.example", http_only=True, secure=True, same_site="Strict"), id="flags"),
        pytest.param("a=1; Path=/; HttpOnly; Secure; SameSite=None",
                     Cookie("a", "1", "shop.example", http_only=True, secure=True, same_site="None"), id="none"),
        pytest.param("a=x=y z; Path=/", Cookie("a", "x=y z", "shop.example"), id="value"),
        pytest.param("__Host-a=1; Secure; Path=/", Cookie("__Host-a", "1", "shop.example", secure=True), id="host"),
    ],
)  # fmt: skip
def test_what_an_answer_sets(header: str, kept: Cookie) -> None:
    jar = Jar()
    jar.take(SHOP, [header])
    assert jar.cookies == (kept,)
    assert Jar(jar.cookies).cookies == jar.cookies


@pytest.mark.parametrize(
    ("url", "header"),
    [
        pytest.param(SHOP, "a=1; Domain=other.example", id="anothers-domain"),
        pytest.param(SHOP, "a=1; Domain=example", id="a-whole-suffix"),
        pytest.param("https://shop.co.uk/", "a=1; Domain=co.uk", id="a-suffix-of-two"),
        pytest.param("https://shop.parliament.nz/", "a=1; Domain=.parliament.nz", id="a-long-suffix-of-two"),
        pytest.param("https://mine.github.io/", "a=1; Domain=github.io", id="a-private-suffix"),
        pytest.param("https://shop.foo.ck/", "a=1; Domain=foo.ck", id="a-suffix-by-pattern"),
        pytest.param("https://laden.xn--55qx5d.cn/", "a=1; Domain=xn--55qx5d.cn", id="an-international-suffix"),
        pytest.param("http://shop.example/", "a=1; Secure", id="secure-over-http"),
        pytest.param(SHOP, "__Host-a=1; Secure; Path=/; Domain=shop.example", id="host-with-domain"),
        pytest.param(SHOP, "__Host-a=1; Path=/", id="host-not-secure"),
        pytest.param(SHOP, "__Secure-a=1", id="secure-in-name-only"),
        pytest.param(SHOP, "a=1; Secure; Partitioned", id="partitioned"),
        pytest.param(SHOP, f"a={'x' * 5000}", id="too-large"),
        pytest.param(SHOP, "a=1; Max-Age=0", id="gone-at-once"),
    ],
)
def test_what_an_answer_cannot_set(url: str, header: str) -> None:
    jar = Jar()
    jar.take(url, [header])
    assert jar.cookies == ()


def test_the_page_of_a_suffix_has_its_cookie_for_itself() -> None:
    jar = Jar()
    jar.take("https://github.io/", ["a=1; Path=/; Domain=github.io"])
    assert jar.cookies == (Cookie("a", "1", "github.io"),)
    assert jar.header("https://github.io/") == "a=1"
    assert jar.header("https://mine.github.io/") is None


@pytest.mark.parametrize("name", ["www.ck", "shop.example.co.uk", "a.mine.github.io"])
def test_what_lies_below_a_suffix_may_be_shared(name: str) -> None:
    jar = Jar()
    jar.take(f"https://deep.{name}/", [f"a=1; Path=/; Domain={name}"])
    assert jar.cookies == (Cookie("a", "1", f".{name}"),)
    assert jar.header(f"https://other.{name}/") == "a=1"


def test_how_long() -> None:
    jar = Jar()
    jar.take(SHOP, ["a=1; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=1; Max-Age=99999999999"])
    hour, longest = (cookie.expires or 0 for cookie in jar.cookies)
    assert 3590 < hour - time.time() < 3610
    assert 399 * 86400 < longest - time.time() < 401 * 86400


def test_what_no_answer_touches_stays_to_the_last_field() -> None:
    kept = Cookie("kept", "1", ".shop.example", "/", LATER + 0.25, True, True, "Lax", "High", "Secure", 443)
    part = replace(kept, name="part", partition_key=PartitionKey("https://top.example"))
    local = Cookie("local", "1", "localhost")
    jar = Jar([kept, part, local, Cookie("old", "1", "shop.example"), Cookie("changed", "1", "shop.example")])
    jar.take(SHOP, ["old=; Path=/; Max-Age=0", "changed=2; Path=/"])
    assert set(jar.cookies) == {kept, part, local, Cookie("changed", "2", "shop.example")}


def test_several_answers_on_the_way() -> None:
    jar = Jar()
    jar.take("https://shop.example/login", ["sid=1; Path=/"])
    assert jar.header("https://shop.example/next") == "sid=1"
    assert jar.header("https://other.example/") is None
