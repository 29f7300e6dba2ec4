"""A session's files by Steel's paths; and what Steel has elsewhere, which is refused in words."""

import io
import zipfile
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Kind as SessionKind
from gateway.records import SessionRecord, SessionSpec, Status, new_session_id
from gateway.session.files import Kind
from gateway.web.steel_files import named
from gateway.web.steel_operations import ELSEWHERE
from tests.inside import ADMIN, Inside, inside

RECORD = SessionRecord(
    new_session_id(), SessionSpec(ADMIN.tenant, SessionKind.API, LaunchSpec(), 300, 300), Status.STOPPED, 1000.0, 1300.0
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.csv", (None, "a.csv")),
        ("/session/files/a.csv", (Kind.UPLOAD, "a.csv")),
        ("/session/files/downloads/a.csv", (Kind.DOWNLOAD, "a.csv")),
        ("downloads/a.csv", (Kind.DOWNLOAD, "a.csv")),
        ("/session/files/a/b", (Kind.UPLOAD, "a/b")),
        ("../../etc/passwd", (None, "../../etc/passwd")),
    ],
)
def test_paths(path: str, found: tuple[Kind | None, str]) -> None:
    assert named(path) == found


def form(**fields: str | bytes) -> aiohttp.FormData:
    """In the order that is given; bytes are a file."""
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if isinstance(value, bytes):
            data.add_field(name.partition("_")[0], value, filename="theirs.txt")
        else:
            data.add_field(name, value)
    return data


async def test_files(tmp_path: Path) -> None:
    async with inside(tmp_path, files_max="2000") as gateway:
        await gateway.registry._store.insert(RECORD)  # files outlive browsers, so none is needed
        at = f"/v1/sessions/{RECORD.id}/files"
        await uploads(gateway, at)
        await refusals(gateway, at)
        await archives(gateway, at)
        await elsewhere(gateway)


async def listed(gateway: Inside, at: str) -> list[str]:
    status, body = await gateway.call("GET", at)
    assert status == 200
    return sorted(one["path"] for one in body["data"])


async def uploads(gateway: Inside, at: str) -> None:
    for fields in (
        {"path": "first.txt", "file": b"1"},
        {"file": b"22", "path": "/session/files/last.txt"},
        {"file": b"333"},
    ):
        status, body = await gateway.call("POST", at, data=form(**fields))
        assert status == 201, body
        name = fields.get("path", "theirs.txt")
        assert body["path"] == f"/session/files/{str(name).rpartition('/')[2]}"
        assert body["size"] == len(fields["file"])
    assert await listed(gateway, at) == [f"/session/files/{name}.txt" for name in ("first", "last", "theirs")]
    for path in ("last.txt", "/session/files/last.txt", quote("/session/files/last.txt", safe="")):
        async with gateway.http.get(f"{at}/{path}", headers={"Range": "bytes=0-0"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"2")
    for path, status in (("last.txt", 204), ("last.txt", 404), ("downloads/first.txt", 404), ("..%2Ftoken", 404)):
        async with gateway.http.delete(f"{at}/{path}") as answer:
            assert answer.status == status, path
    assert await listed(gateway, at) == ["/session/files/first.txt", "/session/files/theirs.txt"]


async def refusals(gateway: Inside, at: str) -> None:
    before = await listed(gateway, at)
    for fields, status, words in (
        ({"file": "https://example.com/a.csv"}, 422, "file"),
        ({"path": "a"}, 400, "no file"),
        ({"file": b"1", "file_2": b"2"}, 400, "one file"),
        ({"file": b"1", "more": "2"}, 400, "file and path"),
        ({"file": b"1", "path": "../up"}, 400, "name"),
        ({"file": b"1", "path": "downloads/a"}, 400, "path"),
        ({"file": b"1", "path": "x" * 3000}, 400, "path"),
        ({"file": b"x" * 3000}, 413, "files_max"),
    ):
        answered, body = await gateway.call("POST", at, data=form(**fields))
        assert answered == status, body
        assert words in body["message"]
    status, body = await gateway.call("POST", at, data=b"bytes")
    assert (status, "multipart" in body["message"]) == (400, True)
    for path in (f"/v1/sessions/{new_session_id()}/files", "/v1/sessions/nobody/files"):
        assert (await gateway.call("GET", path))[0] == 404
    assert await listed(gateway, at) == before, "nothing half done is left"


async def archives(gateway: Inside, at: str) -> None:
    async with gateway.http.get(f"{at}.zip") as answer:
        assert answer.content_type == "application/zip"
        assert "attachment" in answer.headers["Content-Disposition"]
        packed = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert packed.testzip() is None
    assert {name: packed.read(name) for name in packed.namelist()} == {"first.txt": b"1", "theirs.txt": b"333"}
    async with gateway.http.delete(at, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 204
    assert await listed(gateway, at) == []
    async with gateway.http.get(f"{at}.zip") as answer:
        assert zipfile.ZipFile(io.BytesIO(await answer.read())).namelist() == []


async def elsewhere(gateway: Inside) -> None:
    for name, why in ELSEWHERE.items():
        method, _, path = name.partition(" ")
        status, body = await gateway.call(method, path.format(id="x", path="a/b"))
        assert (status, body["message"]) == (422, why), name
