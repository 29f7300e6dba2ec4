"""Where a session's files are, and how much there may be of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from browser_pool.profile import BrowserDirectory
from browser_pool.tasks import running
from gateway.errors import Code, GatewayError
from gateway.records import new_session_id
from gateway.session import files as module
from gateway.session.files import Files, Kind, places_of
from tests.inside import ADMIN, inside, until

SESSION = new_session_id()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files", 1000)


def kept(directory: Path) -> list[str]:
    """The names of all files under it."""
    return [path.name for path in directory.rglob("*") if path.is_file()]


async def names(files: Files) -> list[tuple[str, str]]:
    return [(file.kind.value, file.entry.name) for file in await files.listed(SESSION)]


async def test_uploads_without_a_browser(files: Files, tmp_path: Path) -> None:
    assert await names(files) == []
    added = await files.add(SESSION, "cat", chunks(b"x" * 10, b"y" * 20))
    assert (added.kind, added.entry.size) == (Kind.UPLOAD, 30)
    await files.add(SESSION, "cat", chunks(b"new"))
    assert (tmp_path / "files" / SESSION / "uploads" / "cat").read_bytes() == b"new"
    assert await files.sessions() == [SESSION]
    await files.delete(SESSION, "cat", None)
    with pytest.raises(GatewayError) as error:
        await files.delete(SESSION, "cat", None)
    assert error.value.code is Code.NOT_FOUND
    await files.erase(SESSION)
    await files.erase(SESSION)
    assert await files.sessions() == []


async def test_the_limit_is_of_all_files_together(files: Files, tmp_path: Path) -> None:
    await files.add(SESSION, "one", chunks(b"x" * 600))
    with pytest.raises(GatewayError) as error:
        await files.add(SESSION, "two", chunks(b"x" * 200, b"x" * 201))
    assert error.value.code is Code.BODY_TOO_LARGE
    assert kept(tmp_path) == ["one"]
    await files.add(new_session_id(), "two", chunks(b"x" * 401))  # another session's is its own

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * module.BATCH
        raise AssertionError("it was taken without an end")

    with pytest.raises(GatewayError):
        await files.add(SESSION, "two", slow())
    await files.add(SESSION, "two", chunks(b"x" * 400))


async def test_two_at_once_have_one_limit(files: Files) -> None:
    both = (files.add(SESSION, name, chunks(b"x" * 600)) for name in ("a", "b"))
    refused = [one for one in await asyncio.gather(*both, return_exceptions=True) if isinstance(one, GatewayError)]
    assert refused
    assert all(error.code is Code.BODY_TOO_LARGE for error in refused)


async def test_a_cancelled_upload_leaves_nothing(files: Files, tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * module.BATCH
        asked.set()
        await asyncio.Event().wait()

    big = Files(tmp_path / "files", 1 << 30)

    async def adding() -> None:
        await big.add(SESSION, "half", endless())

    async with running(adding(), "upload"):
        await asked.wait()
    assert kept(tmp_path) == []


async def test_what_cannot_be_written_is_said(files: Files, tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no directory")
    with pytest.raises(GatewayError) as error:
        await files.add(SESSION, "one", chunks(b"x"))
    assert error.value.code is Code.SAVE_FAILED


async def test_a_browser_that_ended_with_its_gateway_leaves_its_files(files: Files, tmp_path: Path) -> None:
    directory = BrowserDirectory(tmp_path / "browser")
    directory.make()
    (directory.downloads / "one").write_text("1")
    (directory.downloads / "half.crdownload").write_text("1")
    await files.collect(SESSION, directory)
    await files.collect(SESSION, BrowserDirectory(tmp_path / "older"))  # of a version without such directories
    assert await names(files) == [("download", "one")]
    assert places_of(directory).path("downloads/one") == str(directory.downloads / "one")


async def test_downloads_over_the_limit_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.05)
    async with inside(tmp_path, files_max="1000") as gateway:
        status, session = await gateway.call("POST", "/session", json={})
        assert status == 201, session
        browser = gateway.registry.running(ADMIN)[0].browser
        assert browser is not None
        place = browser.directory.downloads
        (browser.directory.uploads / "mine").write_bytes(b"x" * 900)
        (place / "first").write_bytes(b"x" * 90)
        (place / "under way.crdownload").write_bytes(b"x" * 500)
        await until(lambda: [path.name for path in place.iterdir()] == ["first"])
        assert [path.name for path in browser.directory.uploads.iterdir()] == ["mine"]


async def test_an_upload_gets_another_name(files: Files) -> None:
    await files.add(SESSION, "a", chunks(b"text"))
    renamed = await files.rename(SESSION, "a", "b")
    assert (renamed.kind, renamed.entry.name, renamed.entry.size) == (Kind.UPLOAD, "b", 4)
    assert await names(files) == [("upload", "b")]
    for name, to, code in (("a", "c", Code.NOT_FOUND), ("b", "../c", Code.BAD_REQUEST)):
        with pytest.raises(GatewayError) as error:
            await files.rename(SESSION, name, to)
        assert error.value.code is code
    assert await names(files) == [("upload", "b")]
