"""Destinations in lists."""

from ipaddress import ip_address

import pytest

from gateway.egress.pattern import BadPattern, pattern


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("example.com", [("example.com", 80), ("example.com", 443)], [("www.example.com", 80), ("xexample.com", 80)]),
        ("*.Example.com", [("www.example.com", 80), ("a.b.example.com", 1)], [("example.com", 80), ("b.com", 80)]),
        ("example.com:8080", [("example.com", 8080)], [("example.com", 80)]),
        ("*", [("a", 1), ("b.example", 443)], []),
        ("*:25", [("a", 25)], [("a", 26)]),
        ("10.0.0.0/8", [], [("10.example", 80)]),
    ],
)
def test_names(text: str, matching: list[tuple[str, int]], others: list[tuple[str, int]]) -> None:
    found = pattern(text)
    assert all(found.names(host, port) for host, port in matching)
    assert not any(found.names(host, port) for host, port in others)


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("10.0.0.0/8", [("10.1.2.3", 80), ("::ffff:10.1.2.3", 80)], [("11.0.0.1", 80), ("fd00::1", 80)]),
        ("10.1.2.3", [("10.1.2.3", 1)], [("10.1.2.4", 1)]),
        ("10.0.0.0/8:443", [("10.1.2.3", 443)], [("10.1.2.3", 80)]),
        ("127.0.0.1:8080", [("127.0.0.1", 8080)], [("127.0.0.1", 8081)]),
        ("fd00::/8", [("fd12::1", 80)], [("fe80::1", 80)]),
        ("::1", [("::1", 80)], [("127.0.0.1", 80)]),
        ("[fd00::/8]:443", [("fd12::1", 443)], [("fd12::1", 80)]),
        ("example.com", [], [("10.0.0.1", 80)]),
    ],
)
def test_addresses(text: str, matching: list[tuple[str, int]], others: list[tuple[str, int]]) -> None:
    found = pattern(text)
    assert all(found.holds(ip_address(address), port) for address, port in matching)
    assert not any(found.holds(ip_address(address), port) for address, port in others)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*.",
        "a*.example",
        "*.*.example",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "300.1.1.1",
        "a:b",
        "a:0",
        "a:70000",
        "http://a",
    ],
)
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(BadPattern) as refused:
        pattern(text)
    assert repr(text) in str(refused.value)
