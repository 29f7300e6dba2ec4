"""A profile packed, carried away, and opened by a new browser; archives that would do harm."""

import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from gateway.snapshot.archive import DamagedArchive, pack, unpack
from gateway.snapshot.capture import capture
from gateway.snapshot.restore import restore
from tests.snapshot.live import Place, running_browser

FILL = """(async () => {
  localStorage.token = "kept";
  await new Promise((done, failed) => {
    const request = indexedDB.open("app");
    request.onupgradeneeded = () => request.result.createObjectStore("s").put(new Blob(["blob"]), 1);
    request.onsuccess = () => { request.result.close(); done(); };
    request.onerror = failed;
  });
  await navigator.serviceWorker.register("/worker.js");
  await navigator.serviceWorker.ready;
  const cache = await caches.open("pages");
  await cache.put("/cached", new Response("from the cache"));
})()"""

CHECK = """(async () => {
  const blob = await new Promise((done, failed) => {
    const request = indexedDB.open("app");
    request.onsuccess = () => {
      const get = request.result.transaction("s").objectStore("s").get(1);
      get.onsuccess = () => done(get.result);
    };
    request.onerror = failed;
  });
  const cached = await (await caches.match("/cached")).text();
  return [localStorage.token, await blob.text(), cached, (await navigator.serviceWorker.getRegistrations()).length];
})()"""


async def test_a_new_browser_has_the_storage_of_the_old_one(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as first:
        async with first.first_page() as page:
            await page.goto(place.at(path="/login"))
            await page.evaluate(FILL)
            await page.evaluate("sessionStorage.tab = 's'")
        document = await capture(first.devtools, profile=first.profile)
        await first.close()
    archive = io.BytesIO()
    size = pack(first.profile, archive)
    assert size == len(archive.getvalue())
    assert size < 2 << 20
    archive.seek(0)
    unpack(archive, tmp_path / "two")
    names = {path.name for path in (tmp_path / "two").rglob("*")}
    assert not names & {"Cache", "Code Cache", "GPUCache", "SingletonLock", "DevToolsActivePort", "Crashpad"}
    assert {"Local Storage", "IndexedDB", "Cookies", "Service Worker"} <= names
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o700

    async with running_browser(tmp_path / "two", kind) as second:
        assert await restore(second.devtools, document, storage=False) == ()
        async with second.page_at(place.origin()) as page:
            # The page comes from the service worker of the saved profile.
            assert await page.evaluate("document.body.textContent") == "from the worker"
            assert await page.evaluate(CHECK) == ["kept", "blob", "from the cache", 1]
            assert await page.evaluate("sessionStorage.tab") == "s"
        names = {cookie.name for cookie in (await capture(second.devtools)).cookies}
        assert names == {"session", "strict", "kept", "part"}


def test_links_and_sockets_stay_out_and_names_count_at_the_top_only(tmp_path: Path) -> None:
    profile = tmp_path / "p"
    deep = profile / "Default" / "Extensions" / "Cache"
    deep.mkdir(parents=True)
    (deep / "file").write_text("of a site")
    (profile / "Default" / "Cache").mkdir()
    (profile / "Default" / "Cache" / "data").write_text("x")
    (profile / "SingletonLock").symlink_to("host-1")
    (profile / "Default" / "link").symlink_to("/etc")
    archive = io.BytesIO()
    pack(profile, archive)
    archive.seek(0)
    unpack(archive, tmp_path / "q")
    kept = {path.relative_to(tmp_path / "q").as_posix() for path in (tmp_path / "q").rglob("*")}
    assert kept == {"Default", "Default/Extensions", "Default/Extensions/Cache", "Default/Extensions/Cache/file"}


def archive_of(*members: tarfile.TarInfo) -> io.BytesIO:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return io.BytesIO(zstandard.ZstdCompressor().compress(plain.getvalue()))


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside"),
        member("/outside"),
        member("a//outside"),
        member("a/../../outside"),
        member("link", tarfile.SYMTYPE, target="/etc"),
        member("hard", tarfile.LNKTYPE, target="../outside"),
        member("device", tarfile.CHRTYPE),
        member("large", size=2 << 20),
    ],
    ids=lambda info: info.name,
)
def test_harmful_archives_are_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    with pytest.raises(DamagedArchive):
        unpack(archive_of(hostile), tmp_path / "p", limit=1 << 20)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("data", [b"", b"not zstd", b"\x28\xb5\x2f\xfd" + bytes(20)])
def test_rubbish_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamagedArchive):
        unpack(io.BytesIO(data), tmp_path / "p")
