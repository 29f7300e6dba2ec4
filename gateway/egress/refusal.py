"""What a browser is told when a request goes no further: a page that names the rule. Pure.

Chromium shows it for plain http. For a tunnel it shows ERR_TUNNEL_CONNECTION_FAILED whatever we answer: an answer to
CONNECT could be forged by anyone in between, so no browser shows its body. The session's usage and the log have it.
"""

import html

# What is refused for what it is, and what merely failed, and how that is said in the status.
_STATUS = {
    "not-resolved": (502, "its name could not be resolved"),
    "not-reached": (502, "it could not be connected to"),
    "upstream-failed": (502, "the session's proxy could not be used"),
    "bad-response": (502, "its answer was no proper HTTP"),
    "broken-off": (502, "it closed the connection before it had answered"),
    "timed-out": (504, "it did not answer in time"),
    "circuit-open": (503, "it has refused so often that it is left alone for a while"),
    "rate-limit": (429, "too many requests to it wait already"),
    "connection-limit": (429, "too many connections to it are open already"),
    "bad-request": (400, "the request was no proper HTTP"),
    "not-assigned": (503, "this browser has no session yet"),
    "too-many-connections": (503, "this browser has too many connections open already"),
}
_REASONS = {400: "Bad Request", 403: "Forbidden", 429: "Too Many Requests", 431: "Request Header Fields Too Large"}
_REASONS |= {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font: 16px/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em">
<h1 style="font-size: 1.4em">{title}</h1>
<p><code>{place}</code>: {why}.</p>
<p>Rule: <code id="rule">{rule}</code></p>
</body></html>
"""


class Refused(Exception):
    """A request goes no further. `rule` is the name by which it is counted, logged and shown; `after` is in seconds."""

    def __init__(self, rule: str, *, status: int | None = None, after: float | None = None, why: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.why = why or _STATUS.get(rule, (0, "browsers may not go there"))[1]
        self.status = status or _STATUS.get(rule, (403, ""))[0]
        self.after = after

    @property
    def by_policy(self) -> bool:
        """A rule forbids it, as against what went wrong on the way."""
        return self.rule not in _STATUS


def page(refused: Refused, place: str, *, persistent: bool) -> bytes:
    """A whole response; `place` is the destination as the browser named it."""
    title = "Refused by the egress rules" if refused.by_policy else "This page could not be had"
    safe = {"title": title, "place": place, "why": refused.why, "rule": refused.rule}
    body = _PAGE.format_map({key: html.escape(value) for key, value in safe.items()}).encode()
    lines = [
        f"HTTP/1.1 {refused.status} {_REASONS[refused.status]}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        f"X-Egress-Rule: {_plain(refused.rule)}",
    ]
    if refused.after is not None:
        lines.append(f"Retry-After: {max(1, round(refused.after))}")
    if not persistent:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def _plain(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~")
