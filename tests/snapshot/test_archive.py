"""A profile packed, carried away, and opened by a new browser; trees that would do harm."""

import os
from pathlib import Path

import pytest

from gateway.snapshot.archive import BATCH_PIECES, File, Folder, Tree, lay_out, parted, store
from gateway.snapshot.capture import capture
from gateway.snapshot.packs import SPLIT, Damaged, PackWriter, reading
from gateway.snapshot.seal import Sealer
from tests.snapshot.live import Place, restore, running_browser

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
    tree, size = stored(first.profile, tmp_path)
    assert size < 2 << 20
    laid_out(tree, tmp_path, tmp_path / "two")
    names = {path.name for path in (tmp_path / "two").rglob("*")}
    assert not names & {"Cache", "Code Cache", "GPUCache", "SingletonLock", "DevToolsActivePort", "Crashpad"}
    assert not names & {"Sessions", "LOCK", "LOG", "Cookies-journal", "Login Data", "Login Data-journal"}
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


def stored(profile: Path, packs: Path, before: Tree | None = None) -> tuple[Tree, int]:
    """The profile in a pack below `packs`, and how many bytes that took."""
    files = before.files if before else ()
    known = {piece.digest: piece for file in files for piece in file.pieces}
    writer = PackWriter(packs, "s", Sealer(), known)
    tree = store(profile, writer, {file.path: file for file in files})
    writer.finish()
    return tree, writer.added


def laid_out(tree: Tree, packs: Path, into: Path) -> None:
    names = {piece.pack for file in tree.files for piece in file.pieces}
    with reading(packs, "s", Sealer(), names) as reader:
        lay_out(tree, reader, into)


def contents(profile: Path) -> dict[str, tuple[bytes | None, int]]:
    """By path: what is in a file, None for a directory; and when it was modified, in ns."""
    return {
        path.relative_to(profile).as_posix(): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns,
        )
        for path in profile.rglob("*")
    }


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Files of all sizes, in directories."""
    folder = tmp_path / "profile"
    for number in range(100):
        place = folder / "Default" / f"d{number % 7}" / "deeper"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_bytes(os.urandom(number * 41))
    (folder / "Local State").write_text("{}")
    (folder / "Default" / "empty").mkdir()
    for name, size in {"one": SPLIT, "some": 3 * SPLIT + 1, "many": (2 * BATCH_PIECES + 1) * SPLIT + 7}.items():
        (folder / "Default" / name).write_bytes(os.urandom(size))
    (folder / "Default" / "odd \udcff name").write_text("not UTF-8")
    os.utime(folder / "Default" / "many", ns=(5, 1_234_567_890_123_456_789))
    return folder


def test_all_of_it_comes_back_with_its_times(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    tree, _ = stored(profile, tmp_path / "packs")
    laid_out(tree, tmp_path / "packs", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(profile)
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (tmp_path / "out").rglob("*")}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_what_only_pages_read_can_be_laid_out_later(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    early = ["Local State", "Default/Cookies", "Default/IndexedDB of mine", "Default/Service Worker/Database/LOG"]
    late = ["Default/IndexedDB/x.leveldb/LOG", "Default/Service Worker/CacheStorage/a/b/index"]
    for name in (*early, *late):
        (one / name).parent.mkdir(parents=True, exist_ok=True)
        (one / name).write_text(name)
    tree, _ = stored(one, tmp_path)
    first, rest = parted(tree)
    assert [file.path for file in first.files] == sorted(early)
    assert [file.path for file in rest.files] == sorted(late)
    laid_out(first, tmp_path, two)
    assert not (two / "Default" / "IndexedDB").exists()
    laid_out(rest, tmp_path, two)
    assert {name for name, (content, _) in contents(two).items() if content is not None} == {*early, *late}


def test_what_did_not_change_is_neither_written_nor_read(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    first, _ = stored(profile, tmp_path / "packs")
    laid_out(first, tmp_path / "packs", tmp_path / "out")
    again, added = stored(tmp_path / "out", tmp_path / "packs", first)
    assert (again, added) == (first, 0)
    changed = tmp_path / "out" / "Default" / "many"
    with changed.open("r+b") as file:
        file.seek(5 * SPLIT + 3)
        file.write(b"changed")
    (tmp_path / "out" / "Local State").unlink()
    second, added = stored(tmp_path / "out", tmp_path / "packs", first)
    assert 0 < added < SPLIT + 100  # one piece
    laid_out(second, tmp_path / "packs", tmp_path / "third")
    assert contents(tmp_path / "third") == contents(tmp_path / "out")
    # The proof that it is the times that are looked at: this file is as large and as old as it was.
    status = changed.stat()
    changed.write_bytes(bytes(status.st_size))
    os.utime(changed, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert stored(tmp_path / "out", tmp_path / "packs", second)[1] == 0


def test_a_file_whose_pieces_cannot_be_used_any_more_is_read_again(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    tree, size = stored(profile, tmp_path / "packs")
    writer = PackWriter(tmp_path / "packs", "s", Sealer(), {})
    again = store(profile, writer, {file.path: file for file in tree.files})
    writer.finish()
    assert writer.added == size
    assert {piece.pack for file in again.files for piece in file.pieces} == {writer.pack}


def test_links_and_sockets_stay_out_and_names_count_at_the_top_only(tmp_path: Path) -> None:
    profile = tmp_path / "p"
    deep = profile / "Default" / "Extensions" / "Cache"
    deep.mkdir(parents=True)
    (deep / "file").write_text("of a site")
    for name in ("Cache", "Sessions", "Storage"):
        (profile / "Default" / name).mkdir()
        (profile / "Default" / name / "data").write_text("x")
        (profile / "Default" / name / "LOG").write_text("a site's, for all we know")
    (profile / "Default" / "Session Storage").mkdir()
    for name in ("CURRENT", "LOG", "LOG.old", "LOCK"):
        (profile / "Default" / "Session Storage" / name).write_text("a database's")
    (profile / "Default" / "LOG").write_text("Chromium's")
    for name, text in (("Cookies-journal", ""), ("History-journal", "to be rolled back"), ("Top Sites-journal", "x")):
        (profile / "Default" / name).write_text(text)
    (profile / "SingletonLock").symlink_to("host-1")
    (profile / "Default" / "link").symlink_to("/etc")
    (profile / "Default" / "directory").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(profile / "Default" / "pipe")
    tree, _ = stored(profile, tmp_path)
    assert {folder.path for folder in tree.folders} == {
        "Default",
        "Default/Extensions",
        "Default/Extensions/Cache",
        "Default/Session Storage",
        "Default/Storage",
    }
    assert {file.path for file in tree.files} == {
        "Default/Extensions/Cache/file",
        "Default/History-journal",
        "Default/Session Storage/CURRENT",
        "Default/Storage/LOG",
        "Default/Storage/data",
    }


@pytest.mark.parametrize("path", ["../outside", "/outside", "a//b", "a/../../outside", "a/./b", "", "a\0"])
def test_harmful_trees_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "file").write_text("x")
    tree, _ = stored(tmp_path / "content", tmp_path)
    for harmful in (
        Tree((), (File(path, 1, 1, tree.files[0].pieces),)),
        Tree((Folder(path, 1),), ()),
    ):
        with pytest.raises(Damaged, match="outside"):
            laid_out(harmful, tmp_path, tmp_path / "p")
    assert not (tmp_path / "outside").exists()


def test_a_link_that_is_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "file").write_text("x")
    tree, _ = stored(tmp_path / "content", tmp_path)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "file").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        laid_out(tree, tmp_path, tmp_path / "p")
    assert not (tmp_path / "outside").exists()


def test_a_profile_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "file").write_bytes(bytes(1001))
    tree, _ = stored(tmp_path / "content", tmp_path)
    with (
        reading(tmp_path, "s", Sealer(), [piece.pack for piece in tree.files[0].pieces]) as reader,
        pytest.raises(Damaged, match="larger than allowed"),
    ):
        lay_out(tree, reader, tmp_path / "p", limit=1000)
