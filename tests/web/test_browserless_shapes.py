"""Bodies as Browserless documents them."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.web.browserless_shapes import PageBody, PDFBody, ScrapeBody, ScreenshotBody
from gateway.web.shapes import read


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"urls": "x"}, "there is no field 'urls'"),
        ({"gotoOptions": {"waitUntil": "networkidle"}}, "gotoOptions.waitUntil"),
        ({"waitForTimeout": -1}, "waitForTimeout"),
        ({"waitForSelector": "h1"}, "waitForSelector"),
        ({"cookies": [{"name": "a"}]}, "cookies.0.value"),
        ({"setExtraHTTPHeaders": {"a b": "c"}}, "setExtraHTTPHeaders"),
        ({"setExtraHTTPHeaders": {"a": "b\r\nc: d"}}, "setExtraHTTPHeaders"),
        ({"rejectResourceTypes": ["picture"]}, "rejectResourceTypes.0"),
        ({"viewport": {"width": 0, "height": 1}}, "viewport.width"),
        ({"addScriptTag": [{"path": "/etc/passwd"}]}, "there is no field 'addScriptTag.0.path'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_body_is_refused_by_name(body: dict[str, object], words: str) -> None:
    with pytest.raises(GatewayError, match=words) as refused:
        read(PageBody, body, "body")
    assert refused.value.code in (Code.BAD_REQUEST, Code.UNKNOWN_FIELD)


@pytest.mark.parametrize("shape", [ScreenshotBody, PDFBody], ids=lambda shape: shape.__name__)
def test_no_file_of_the_server_is_written(shape: type[PageBody]) -> None:
    with pytest.raises(GatewayError, match=r"options\.path"):
        read(shape, {"html": "x", "options": {"path": "/tmp/x"}}, "body")


def test_secrets_are_no_part_of_a_body_s_text() -> None:
    body = read(
        ScrapeBody,
        {
            "html": "x",
            "elements": [{"selector": "h1"}],
            "cookies": [{"name": "a", "value": "secret-1"}],
            "authenticate": {"username": "me", "password": "secret-2"},
            "setExtraHTTPHeaders": {"X-Key": "secret-3"},
        },
        "body",
    )
    assert "secret" not in repr(body)
