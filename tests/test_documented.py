import pytest

from tests.documented import documented

ANSWER = {"status": "ok"}


def test_what_is_documented_passes() -> None:
    documented().check("GET", "/healthz", 200, "application/json", ANSWER)
    documented().check("GET", "http://127.0.0.1:1/healthz?x=1", 200, "application/json", ANSWER)
    documented().check("HEAD", "/healthz", 200, "application/json", "")
    documented().check("DELETE", "/nothing/there", 404, "application/json", {"whatever": 1})
    documented().check("DELETE", "/healthz", 405, "application/json", {"whatever": 1})


@pytest.mark.parametrize(
    ("status", "media", "body"),
    [
        (200, "application/json", {**ANSWER, "more": 1}),
        (200, "application/json", {}),
        (200, "application/json", {"status": 7}),
        (200, "text/plain", "ok"),
        (404, "application/json", ANSWER),
        (500, "application/json", {"error": {"code": "internal", "message": "x"}, "requestId": "y"}),
    ],
    ids=["more", "less", "another-type", "another-media", "another-status", "fault"],
)
def test_what_is_not_fails(status: int, media: str, body: object) -> None:
    with pytest.raises(AssertionError, match="GET /healthz"):
        documented().check("GET", "/healthz", status, media, body)


@pytest.mark.parametrize(
    ("path", "summary"),
    [
        ("/session/connect/x", "Drive an API session"),
        ("/session/x/files", "List a session's files"),
        ("/session/x/devtools/page/T", "Debug a session beside its driver"),
        ("/session/x/devtools/front_end/main.js", "DevTools"),
        ("/json/", "List targets"),
        ("/", "A browser for this client"),
    ],
)
def test_a_path_finds_its_operation(path: str, summary: str) -> None:
    operation = documented().operation("GET", path)
    assert operation is not None
    assert operation["summary"] == summary
    assert documented().operation("TRACE", path) is None
