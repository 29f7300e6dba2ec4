"""What callers say of the network: where a session may go and through which proxy; and how its usage is shown."""

from typing import Any

from gateway.egress.pattern import BadPattern, pattern
from gateway.egress.upstream import BadUpstream, parsed_upstream
from gateway.egress.usage import Usage
from gateway.errors import Code, GatewayError
from gateway.records import Egress, Upstream

SERVER, BYPASS = "--proxy-server", "--proxy-bypass-list"
DOMAINS = 50  # at most so many are shown


def parted(flags: list[str]) -> tuple[list[str], str | None, str | None]:
    """A client's flags without those of a proxy, and what these say: a browser has one proxy only, which is ours.

    As in Chromium the last of several counts.
    """
    rest, found = [], dict[str, str]()
    for flag in flags:
        name, _, value = flag.partition("=")
        if name in (SERVER, BYPASS):
            found[name] = value
        else:
            rest.append(flag)
    return rest, found.get(SERVER) or None, found.get(BYPASS)


def upstream(
    server: str | None,
    bypass: str | None,
    username: str | None = None,
    password: str | None = None,
    *,
    field: str = "proxy",
    code: Code = Code.BAD_REQUEST,
) -> Upstream | None:
    """The proxy that a caller names. Raises GatewayError `code` naming the field, without what stands in it."""
    if server is None:
        return None
    try:
        return parsed_upstream(server, username, password, bypass)
    except BadUpstream as error:
        raise GatewayError(code, f"{field}: {error}") from None


def patterns(field: str, texts: list[str]) -> tuple[str, ...]:
    """A list of destinations. Raises BAD_REQUEST naming the first that is not understood."""
    for text in texts:
        try:
            pattern(text)
        except BadPattern as error:
            raise GatewayError(Code.BAD_REQUEST, f"{field}: {error}") from None
    return tuple(texts)


def usage_shape(usage: Usage) -> dict[str, Any]:
    """What a session has used of the network, the domains with the most bytes first."""
    return {
        "bytesIn": usage.bytes_in,
        "bytesOut": usage.bytes_out,
        "requests": usage.requests,
        "domains": [
            {
                "domain": one.domain,
                "requests": one.requests,
                "bytesIn": one.bytes_in,
                "bytesOut": one.bytes_out,
                "failures": one.failures,
                "circuit": one.circuit,
            }
            for one in usage.domains[:DOMAINS]
        ],
        "refused": [{"rule": one.rule, "domain": one.domain, "count": one.count} for one in usage.refusals[:DOMAINS]],
    }


def proxy_shape(egress: Egress) -> dict[str, Any] | None:
    """A session's proxy as it may be shown: without its user and password."""
    if (proxy := egress.upstream) is None:
        return None
    return {"server": f"{proxy.scheme}://{proxy.host}:{proxy.port}", "bypass": list(proxy.bypass)}
