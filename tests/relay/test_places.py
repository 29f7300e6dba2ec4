"""places.py: commands that name files, and where these are brought."""

import json
from typing import Any

import pytest

from gateway.relay.commands import CONCERNS, REFUSED, Own, Reject, Rewrite, recognise
from gateway.relay.overrides import Override
from gateway.relay.places import ROOT, Outside, Places

PLACES = Places("/data/browsers/abc/downloads", "/data/browsers/abc/uploads")


@pytest.mark.parametrize("behavior", ["allow", "allowAndName"])
@pytest.mark.parametrize("path", [{"downloadPath": "/etc"}, {}])
def test_downloads_go_to_the_sessions_directory_and_all_else_is_kept(behavior: str, path: dict[str, Any]) -> None:
    asked = {"behavior": behavior, "eventsEnabled": True, "browserContextId": "C", **path}
    assert PLACES.downloading(asked) == {**asked, "downloadPath": PLACES.downloads}


@pytest.mark.parametrize("behavior", ["deny", "default", None, 5, "Allow"])
def test_what_allows_no_download_is_left_alone(behavior: object) -> None:
    assert PLACES.downloading({"behavior": behavior, "downloadPath": "/etc"}) is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cat.png", f"{PLACES.uploads}/cat.png"),
        ("./cat.png", f"{PLACES.uploads}/cat.png"),
        ("uploads/cat.png", f"{PLACES.uploads}/cat.png"),
        ("downloads/cat.png", f"{PLACES.downloads}/cat.png"),
        ("downloads", f"{PLACES.uploads}/downloads"),
        (f"{ROOT}/cat.png", f"{PLACES.uploads}/cat.png"),
        (f"{ROOT}/downloads/cat.png", f"{PLACES.downloads}/cat.png"),
        (f"{PLACES.uploads}/cat.png", f"{PLACES.uploads}/cat.png"),
        (f"{PLACES.downloads}/cat.png", f"{PLACES.downloads}/cat.png"),
        ("ü ö.png", f"{PLACES.uploads}/ü ö.png"),
    ],
)
def test_a_name_leads_to_the_sessions_own_file(name: str, path: str) -> None:
    assert PLACES.path(name) == path


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../profile/Cookies",
        "uploads/../../profile/Cookies",
        "profile/Cookies",
        "uploads/a/b",
        f"{ROOT}/../x",
        f"{ROOT}/profile/x",
        f"{PLACES.uploads}/../profile/Cookies",
        f"{PLACES.uploads}-other/x",
        PLACES.uploads,
        "/data/browsers/other/uploads/x",
        "a\0b",
        f"{PLACES.uploads}/a\0b",
        "x" * 10**6 + "/y",
    ],
)
def test_any_other_path_is_refused(name: str) -> None:
    with pytest.raises(Outside) as error:
        PLACES.path(name)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize("files", [None, "cat.png", [5], {"0": "cat.png"}])
def test_files_that_are_no_list_of_paths_are_chromiums_to_refuse(files: object) -> None:
    assert PLACES.uploading({"files": files}) is None


def ask(method: str, params: dict[str, Any], places: Places | None = PLACES, **more: str) -> Own | None:
    payload = json.dumps({"id": 7, "method": method, "params": params, **more}).encode()
    assert CONCERNS.search(payload), "the prefilter would have passed it on unseen"
    return recognise(payload, places)


def test_a_browsers_downloads_are_sent_and_held_with_the_sessions_path() -> None:
    own = ask("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": "/etc"})
    assert isinstance(own, Override)
    assert own.params == {"behavior": "allow", "downloadPath": PLACES.downloads}
    assert own.payload is not None
    sent = json.loads(own.payload)
    assert sent == {"id": 7, "method": "Browser.setDownloadBehavior", "params": own.params}
    denied = ask("Browser.setDownloadBehavior", {"behavior": "deny"})
    assert isinstance(denied, Override)
    assert denied.payload is None


def test_a_pages_downloads_are_sent_with_it_whoever_asks() -> None:
    own = ask("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": "/etc"}, sessionId="S")
    assert isinstance(own, Rewrite)
    assert own.always
    assert json.loads(own.payload)["params"]["downloadPath"] == PLACES.downloads
    assert json.loads(own.payload)["sessionId"] == "S"
    assert ask("Page.setDownloadBehavior", {"behavior": "deny"}) is None


def test_files_of_an_input_are_the_sessions() -> None:
    own = ask("DOM.setFileInputFiles", {"files": ["cat.png"], "nodeId": 5}, sessionId="S")
    assert isinstance(own, Rewrite)
    assert own.always
    assert json.loads(own.payload) == {
        "id": 7,
        "method": "DOM.setFileInputFiles",
        "params": {"files": [f"{PLACES.uploads}/cat.png"], "nodeId": 5},
        "sessionId": "S",
    }
    assert ask("DOM.setFileInputFiles", {"nodeId": 5}) is None
    refused = ask("DOM.setFileInputFiles", {"files": ["cat.png", "/etc/passwd"]}, sessionId="S")
    assert isinstance(refused, Reject)
    assert (refused.id, refused.session, refused.code) == (7, "S", REFUSED)
    assert "/etc/passwd" in refused.message


def test_without_places_such_commands_are_left_alone() -> None:
    assert ask("DOM.setFileInputFiles", {"files": ["/etc/passwd"]}, None) is None
    assert ask("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": "/etc"}, None) is None
