"""Files by URL: who has the name gets the file, for a time; nothing else leads there, and nothing stays."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from browser_pool.tasks import running
from gateway.cluster.fleet import Elsewhere
from gateway.errors import Code, GatewayError
from gateway.log import Redactor
from gateway.pages.hosted import Hosted
from gateway.snapshot.seal import Sealer
from tests.inside import until

PNG = "image/png"


def files_of(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def refused(hosted: Hosted, name: str) -> Code:
    with pytest.raises(GatewayError) as error:
        await hosted.fetch(name)
    return error.value.code


@pytest.mark.parametrize("keys", [(), (bytes(32),)], ids=["plain", "sealed"])
async def test_who_has_the_name_gets_the_file(tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    hosted = Hosted(tmp_path / "hosted", Sealer(keys))
    name, other = await asyncio.gather(hosted.keep("a", b"picture", PNG), hosted.keep("b", b"page", "application/pdf"))
    found = await hosted.fetch(name)
    assert (found.data, found.media) == (b"picture", PNG)
    assert (await hosted.fetch(other)).media == "application/pdf"
    # A later process, on the same directory.
    assert (await Hosted(tmp_path / "hosted", Sealer(keys)).fetch(name)).data == b"picture"
    # Nothing on the disk says what to ask for, and nobody but us may read it.
    files = files_of(tmp_path / "hosted")
    assert len(files) == 2
    assert all(path.name not in (name, other) and path.stat().st_mode & 0o077 == 0 for path in files)
    assert any(b"picture" in path.read_bytes() for path in files) is not bool(keys)
    # The log does not, either.
    assert name.split(".")[1] not in Redactor().text(f"GET /hosted/{name}")
    for wrong in (f"{name[:-5]}x.png", name.replace(".png", ".pdf"), "x", "../x", f"{name}/", name.upper()):
        assert await refused(hosted, wrong) is Code.NOT_FOUND


async def test_files_expire_and_leave_nothing(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, Sealer(), life=1000.0)
    name = await hosted.keep("a", b"old", PNG)
    file = files_of(tmp_path)[0]
    (file.parent / "half.new").write_bytes(b"of a process that was killed")
    os.utime(file, (time.time() - 1001, time.time() - 1001))
    assert await refused(hosted, name) is Code.NOT_FOUND
    async with running(hosted.watch(), "hosted"):
        await until(lambda: list(tmp_path.iterdir()) == [])
    assert (await hosted.fetch(await hosted.keep("a", b"new", PNG))).data == b"new"


async def test_a_tenant_has_so_much_room(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, Sealer(), most=10)
    names = [await hosted.keep("a", bytes(4), PNG) for _ in range(2)]
    other = await hosted.keep("b", bytes(10), PNG)
    third = await hosted.keep("a", bytes(4), PNG)
    assert await refused(hosted, names[0]) is Code.NOT_FOUND
    for name in (names[1], third, other):
        await hosted.fetch(name)
    with pytest.raises(GatewayError) as error:
        await hosted.keep("a", bytes(11), PNG)
    assert error.value.code is Code.PAGE_FAILED


async def test_what_another_node_has_is_fetched_there(tmp_path: Path) -> None:
    nodes = {"aaaaaa": "http://a", "bbbbbb": "http://b"}
    one = Hosted(tmp_path / "a", Sealer(()), tag="aaaaaa", node=nodes.get)
    two = Hosted(tmp_path / "b", Sealer(()), tag="bbbbbb", node=nodes.get)
    name = await one.keep("a", b"picture", PNG)
    with pytest.raises(Elsewhere) as elsewhere:
        await two.fetch(name)
    assert elsewhere.value.node == "http://a"
    assert (await one.fetch(name)).data == b"picture"
    del nodes["aaaaaa"]  # it is gone, and its files with it
    assert await refused(two, name) is Code.NOT_FOUND
