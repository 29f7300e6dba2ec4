"""Hosts and addresses: what is taken, and what counts as public."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from gateway.egress.address import BadHost, authority, is_loopback, parsed_host, plain, special, written


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_dmarc.example", "_dmarc.example"),
        ("1.2.3.4", IPv4Address("1.2.3.4")),
        ("[::1]", IPv6Address("::1")),
        ("1e100.net", "1e100.net"),
    ],
)
def test_hosts(text: str, host: object) -> None:
    assert parsed_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.01", "1.2.3.256", "foo.0x", "1.2.3.4."),
        *("", ".", "a..b", "-a.example", "a b", "a%00b", "bücher.example", "[::1", "[::1%25lo]", "[1.2.3.4]", "::1"),
        *("a" * 64 + ".example", "a." * 130, "user@host", "a/b", "a\\b", "*.example"),
    ],
)
def test_odd_forms_are_refused(text: str) -> None:
    with pytest.raises(BadHost):
        parsed_host(text)


def test_authorities() -> None:
    assert authority("example.com", 80) == ("example.com", 80)
    assert authority("example.com:", 80) == ("example.com", 80)
    assert authority("[::1]:8080", None) == (IPv6Address("::1"), 8080)
    assert authority("[::1]", 443) == (IPv6Address("::1"), 443)
    for text in ("example.com", "example.com:", "example.com:0", "example.com:65536", "example.com:+80", "h:8 0"):
        with pytest.raises(BadHost):
            authority(text, None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("127.0.0.1", "loopback-address"),
        ("127.255.0.9", "loopback-address"),
        ("::1", "loopback-address"),
        ("10.0.0.1", "private-address"),
        ("172.31.255.255", "private-address"),
        ("192.168.1.1", "private-address"),
        ("fd12::1", "private-address"),
        ("169.254.169.254", "metadata-address"),
        ("fd00:ec2::254", "metadata-address"),
        ("100.100.100.200", "metadata-address"),
        ("168.63.129.16", "metadata-address"),
        ("169.254.1.1", "link-local-address"),
        ("fe80::1", "link-local-address"),
        ("100.64.0.1", "shared-address"),
        ("224.0.0.1", "multicast-address"),
        ("ff02::1", "multicast-address"),
        ("0.0.0.0", "unspecified-address"),
        ("::", "unspecified-address"),
        ("255.255.255.255", "reserved-address"),
        ("240.0.0.1", "reserved-address"),
        ("198.18.0.1", "reserved-address"),
        ("2001:db8::1", "reserved-address"),
        ("2001::1", "reserved-address"),  # Teredo
        ("100::1", "reserved-address"),
        ("::ffff:127.0.0.1", "loopback-address"),
        ("::ffff:169.254.169.254", "metadata-address"),
        ("::7f00:1", "loopback-address"),  # IPv4-compatible
        ("64:ff9b::7f00:1", "loopback-address"),
        ("64:ff9b::a9fe:a9fe", "metadata-address"),
        ("64:ff9b:1::1", "reserved-address"),
        ("2002:7f00:1::", "loopback-address"),
        ("2002:a00:1::1", "private-address"),
    ],
)
def test_what_is_not_public(text: str, rule: str) -> None:
    assert special(ip_address(text)) == rule


@pytest.mark.parametrize("text", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"])
def test_what_is_public(text: str) -> None:
    assert special(ip_address(text)) is None


def test_names_of_this_machine() -> None:
    assert is_loopback("localhost")
    assert is_loopback("a.localhost")
    assert not is_loopback("localhost.example")
    assert is_loopback(IPv4Address("127.0.0.2"))


def test_forms() -> None:
    assert plain(IPv6Address("::ffff:10.0.0.1")) == IPv4Address("10.0.0.1")
    assert written(IPv6Address("::1"), 80) == "[::1]:80"
    assert written("example.com") == "example.com"
