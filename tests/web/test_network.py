"""What callers say of the network."""

import pytest

from gateway.egress.usage import DomainUsage, Refusal, Usage
from gateway.errors import Code, GatewayError
from gateway.records import Egress, Upstream
from gateway.web.network import parted, patterns, proxy_shape, upstream, usage_shape


def test_flags_of_a_proxy_are_no_flags_of_the_browser() -> None:
    flags = ["--lang=de", "--proxy-server=a:1", "--proxy-bypass-list=*.b", "--mute-audio", "--proxy-server=c:2"]
    assert parted(flags) == (["--lang=de", "--mute-audio"], "c:2", "*.b")
    assert parted(["--proxy-server"]) == ([], None, None)


def test_proxies() -> None:
    assert upstream(None, "*.b") is None
    assert upstream("a:1", "*.b", "u", "p") == Upstream("http", "a", 1, "u", "p", ("*.b",))
    with pytest.raises(GatewayError) as refused:
        upstream("socks4://user:hunter2@a:1", None, field="proxyServer", code=Code.FLAG_REFUSED)
    assert refused.value.code is Code.FLAG_REFUSED
    assert refused.value.message.startswith("proxyServer: ")
    assert "hunter2" not in refused.value.message


def test_lists() -> None:
    assert patterns("egress.allow", ["a.example", "10.0.0.0/8"]) == ("a.example", "10.0.0.0/8")
    with pytest.raises(GatewayError, match=r"egress\.deny: 'a b'"):
        patterns("egress.deny", ["a b"])


def test_usage() -> None:
    usage = Usage(1, 2, 3, (DomainUsage("a", 3, 1, 2, 1, "open"),), (Refusal("private-address", "b", 4),))
    assert usage_shape(usage) == {
        "bytesIn": 1,
        "bytesOut": 2,
        "requests": 3,
        "domains": [{"domain": "a", "requests": 3, "bytesIn": 1, "bytesOut": 2, "failures": 1, "circuit": "open"}],
        "refused": [{"rule": "private-address", "domain": "b", "count": 4}],
    }


def test_a_proxy_is_shown_without_its_password() -> None:
    assert proxy_shape(Egress()) is None
    shown = proxy_shape(Egress(upstream=Upstream("socks5", "a", 1, "user", "hunter2", ("*.b",))))
    assert shown == {"server": "socks5://a:1", "bypass": ["*.b"]}
