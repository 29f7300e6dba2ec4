"""The page that names the rule."""

from gateway.egress.refusal import Refused, page


def test_a_refusal_names_its_rule() -> None:
    head, _, body = page(Refused("denied: *.ads.example"), "a.ads.example:80", persistent=True).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"X-Egress-Rule: denied: *.ads.example" in head
    assert b"Connection: close" not in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"<code>a.ads.example:80</code>" in body
    assert b'<code id="rule">denied: *.ads.example</code>' in body


def test_nothing_in_it_is_markup() -> None:
    whole = page(Refused("denied: \r\nX: <b>", why="<script>"), "<img src=x>", persistent=False)
    assert b"<script>" not in whole
    assert b"<img" not in whole
    assert b"\r\nX: " not in whole.partition(b"\r\n\r\n")[0]
    assert b"Connection: close" in whole


def test_what_went_wrong_is_no_refusal() -> None:
    refused = Refused("circuit-open", after=12.4)
    assert not refused.by_policy
    whole = page(refused, "a", persistent=True)
    assert whole.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 12\r\n" in whole
    assert Refused("private-address").by_policy
    assert [Refused(rule).status for rule in ("not-reached", "timed-out", "rate-limit")] == [502, 504, 429]
