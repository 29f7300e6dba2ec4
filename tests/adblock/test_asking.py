"""Who asks for what, as the events of a connection tell it."""

from typing import Any

import pytest

from gateway.adblock.asking import FRAMES, Asked, Documents


def paused(url: str, kind: str = "Script", frame: str = "page", **headers: str) -> dict[str, Any]:
    return {"request": {"url": url, "headers": headers}, "frameId": frame, "resourceType": kind}


@pytest.fixture
def documents() -> Documents:
    """One page that shows https://shop.example/."""
    known = Documents()
    known.target("Target.targetCreated", {"targetInfo": {"type": "page", "targetId": "page"}})
    assert known.asked(paused("https://shop.example/", "Document")) is None, "a page of its own is never blocked"
    return known


def test_a_request_is_its_documents(documents: Documents) -> None:
    # Referer is cut to the origin, or missing, by the page's own policy.
    asked = documents.asked(paused("https://ads.example/x.js", Referer="https://else.example/"))
    assert asked == Asked("https://ads.example/x.js", "https://shop.example/", "script")


def test_a_frame_is_asked_for_by_the_document_around_it(documents: Documents) -> None:
    inner = paused("https://ads.example/frame", "Document", "frame", Referer="https://shop.example/")
    assert documents.asked(inner) == Asked("https://ads.example/frame", "https://shop.example/", "subdocument")
    asked = documents.asked(paused("https://ads.example/pixel", "Image", "frame"))
    assert asked == Asked("https://ads.example/pixel", "https://ads.example/frame", "image")


@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ({"Referer": "https://a.example/page"}, "https://a.example/page"),
        ({"origin": "https://b.example"}, "https://b.example"),
        ({"Origin": "null"}, "https://ads.example/x"),
        ({}, "https://ads.example/x"),
    ],
    ids=["referer", "origin", "opaque", "nothing"],
)
def test_of_a_frame_that_is_not_known_headers_tell(documents: Documents, headers: dict[str, str], source: str) -> None:
    asked = documents.asked(paused("https://ads.example/x", "Fetch", "", **headers))
    assert asked == Asked("https://ads.example/x", source, "xmlhttprequest")


def test_what_is_remembered_has_an_end(documents: Documents) -> None:
    for number in range(FRAMES):
        documents.asked(paused(f"https://a.example/{number}", "Document", f"frame-{number}"))
    asked = documents.asked(paused("https://ads.example/x", "Signed", "page"))
    assert asked == Asked("https://ads.example/x", "https://ads.example/x", "other"), "the oldest is forgotten"
    documents.target("Target.targetDestroyed", {"targetId": "page"})
    assert documents.pages == set()
