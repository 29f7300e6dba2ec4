"""Zips of user-data-dirs, honest ones and others."""

import io
import json
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot import upload
from gateway.snapshot.upload import unpacked

PREFERENCES = {
    "profile": {"content_settings": {"exceptions": {"notifications": {"https://a.example,*": {"setting": 1}}}}},
    "extensions": {"settings": {"evil": {"path": "/"}}},
    "proxy": {"mode": "direct"},
}
HONEST = {
    "Local State": b"{}",
    "Default/Preferences": json.dumps(PREFERENCES).encode(),
    "Default/Network/Cookies": b"cookies",
    "Default/Network/Cookies-journal": b"",
    "Default/Local Storage/leveldb/000003.log": b"stored",
    "Default/Extensions/evil/1/manifest.json": b"{}",
    "Default/Secure Preferences": b"{}",
    "Default/Cache/f_000001": b"cached",
}


def zipped(files: Mapping[str, bytes], under: str = "") -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(under + name, data)
    return made


def laid_out(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def refused(archive: io.BytesIO, into: Path) -> tuple[Code, str]:
    with pytest.raises(GatewayError) as error:
        unpacked(archive, into)
    return error.value.code, error.value.message


@pytest.mark.parametrize("under", ["", "my profile/"], ids=["itself", "in a directory"])
@pytest.mark.parametrize("cut", ["", "Default/"], ids=["user-data-dir", "Default"])
def test_what_is_kept(tmp_path: Path, under: str, cut: str) -> None:
    sent = {name.removeprefix(cut): data for name, data in HONEST.items() if name.startswith(cut)}
    assert unpacked(zipped(sent, under), tmp_path) == 13
    found = laid_out(tmp_path)
    assert json.loads(found.pop("Default/Preferences")) == {"profile": PREFERENCES["profile"]}
    assert found == {
        "Default/Network/Cookies": b"cookies",
        "Default/Network/Cookies-journal": b"",
        "Default/Local Storage/leveldb/000003.log": b"stored",
    }
    assert (tmp_path / "Default/Network/Cookies").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name",
    ["../Cookies", "/etc/Cookies", "Default/../../x", "Default\\Cookies", "Default/./Cookies", "a\nb", "d/" * 40 + "x"],
    ids=ascii,
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    assert refused(zipped({**HONEST, name: b"x"}), tmp_path)[0] is Code.UNSUPPORTED
    assert laid_out(tmp_path) == {}


def test_links_and_other_kinds(tmp_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as target:
            info = zipfile.ZipInfo("Default/Cookies")
            info.external_attr = (kind | 0o777) << 16
            target.writestr(info, "/etc/passwd")
        assert refused(made, tmp_path) == (
            Code.UNSUPPORTED,
            "userDataDir: no zip of a user-data-dir: 'Default/Cookies' is a link or no file",
        )


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "LARGEST", 1000)
    bomb = zipped({"Default/Cookies": bytes(10_000_000)})
    assert len(bomb.getvalue()) < 20_000
    # Its header may say what it likes: what counts is what comes.
    lying = io.BytesIO(bomb.getvalue().replace(struct.pack("<L", 10_000_000), struct.pack("<L", 10)))
    assert refused(bomb, tmp_path / "a")[0] is Code.BODY_TOO_LARGE
    code, _ = refused(lying, tmp_path / "b")
    assert code in (Code.BODY_TOO_LARGE, Code.UNSUPPORTED)
    assert sum(map(len, laid_out(tmp_path / "b").values())) <= 1000
    monkeypatch.setattr(upload, "MOST", 3)
    assert refused(zipped(HONEST), tmp_path / "c")[0] is Code.BODY_TOO_LARGE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no zip"),
        (b"PK\x05\x06", "no zip"),
        (b"no zip at all" * 100, "no zip"),
        (zipped({"readme.txt": b"x"}).getvalue(), "there is no Default"),
        (zipped({"Default/Cache/x": b"x"}).getvalue(), "nothing in its profile"),
        (zipped(HONEST).getvalue()[100:], "cannot be read"),
        (
            zipped(HONEST).getvalue().replace(b"cookies", b"kooki!!").replace(b"PK\x01\x02", b"PK\x01\x03"),
            "cannot be read",
        ),
    ],
    ids=["empty", "an end alone", "text", "other files", "a cache", "half of one", "a broken list"],
)
def test_what_is_no_zip_of_a_profile(tmp_path: Path, data: bytes, words: str) -> None:
    code, message = refused(io.BytesIO(data), tmp_path)
    assert code is Code.UNSUPPORTED
    assert words in message
