"""Origins found in a profile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.snapshot.origins import known_origins
from tests.snapshot.live import Place, running_browser


def test_names_of_databases_and_keys_of_local_storage(tmp_path: Path) -> None:
    databases = tmp_path / "Default" / "IndexedDB"
    for name in ("https_x.test_0", "http_y.test_8080", "https_a_b.test_0", "chrome-extension_abc_0", "https_x.test_no"):
        (databases / f"{name}.indexeddb.leveldb").mkdir(parents=True)
    folder = tmp_path / "Default" / "Local Storage" / "leveldb"
    folder.mkdir(parents=True)
    (folder / "000003.log").write_bytes(
        b"\x00VERSION\x01\x15META:https://m.test\x0c\x08\x16_http://k.test:81\x00\x01name\x02"
        b"META:https://inner.test/^0https://outer.test\x03META:chrome://x\x02"
    )
    (folder / "000005.ldb").write_bytes(b"METAACCESS:https://n.test\x0a")
    (folder / "LOG").write_bytes(b"META:https://log.test\x00")
    assert known_origins(tmp_path) == [
        "http://k.test:81",
        "http://y.test:8080",
        "https://a_b.test",
        "https://m.test",
        "https://n.test",
        "https://x.test",
    ]


def test_no_profile_has_no_origins(tmp_path: Path) -> None:
    assert known_origins(tmp_path / "nothing") == []


def linked_file(profile: Path, outside: Path) -> None:
    (profile / "Default" / "Local Storage" / "leveldb" / "000003.log").symlink_to(outside / "000003.log")


def linked_folder(profile: Path, outside: Path) -> None:
    (profile / "Default" / "Local Storage" / "leveldb").rmdir()
    (profile / "Default" / "Local Storage" / "leveldb").symlink_to(outside)


def linked_above(profile: Path, outside: Path) -> None:
    (outside / "leveldb").symlink_to(outside)
    (profile / "Local Storage").symlink_to(outside)


def linked_databases(profile: Path, outside: Path) -> None:
    (profile / "Default" / "IndexedDB").symlink_to(outside)


def pipe(profile: Path, _: Path) -> None:
    os.mkfifo(profile / "Default" / "Local Storage" / "leveldb" / "000003.log")


@pytest.mark.parametrize("make", [linked_file, linked_folder, linked_above, linked_databases, pipe])
def test_a_browser_leads_it_nowhere(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    profile, outside = tmp_path / "profile", tmp_path / "outside"
    (profile / "Default" / "Local Storage" / "leveldb").mkdir(parents=True)
    (outside / "https_other.test_0.indexeddb.leveldb").mkdir(parents=True)
    (outside / "000003.log").write_bytes(b"META:https://secret.test\x00")
    (profile / "Default" / "Local Storage" / "leveldb" / "000005.ldb").write_bytes(b"META:https://mine.test\x00")
    if make is linked_folder:
        (profile / "Default" / "Local Storage" / "leveldb" / "000005.ldb").unlink()
    make(profile, outside)
    assert known_origins(profile) == ([] if make is linked_folder else ["https://mine.test"])


async def test_a_real_profile(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as browser:
        async with browser.first_page() as page:
            await page.goto(place.at("first.localhost"))
            await page.evaluate("localStorage.a = 1")
            await page.goto(place.at("127.0.0.1"))
            await page.evaluate("localStorage.a = 1")
        await browser.close()
        assert known_origins(browser.profile) == [place.origin("127.0.0.1"), place.origin("first.localhost")]
