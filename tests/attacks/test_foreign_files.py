"""Who drives a browser opens files of the machine in it: another's profile, the gateway's own, its environment."""

import asyncio
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of, run_as

SECRET = "the-secret-of-another"


async def test_file_of_another_profile(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    async with pools() as pool, pool.lease(spec) as mine, pool.lease(spec) as other:
        target = other.directory.profile / "Default" / "login.txt"
        target.write_text(SECRET)
        target.chmod(0o644)
        async with page_of(mine) as page:
            for path in (
                target,
                Path(f"/proc/{other.pid}/root{target}"),
                Path(f"/proc/{other.pid}/cwd/profile/Default/login.txt"),
            ):
                seen = await page.open(path.as_uri())
                assert (SECRET in seen) is not confined, seen
                assert seen.startswith("refused") is confined


async def test_the_browsers_of_others_are_not_listed(
    pools: Pools, confined: bool, spec: LaunchSpec, root: Path
) -> None:
    async with pools() as pool, pool.lease(spec) as mine, pool.lease(spec) as other, page_of(mine) as page:
        seen = await page.open(root.as_uri())
        listed = await page.run("document.documentElement.innerHTML")
        assert (other.directory.path.name in seen + listed) is not confined


@pytest.mark.parametrize("name", ["token", "snapshots/a/context.json"])
async def test_file_of_the_data_directory(
    pools: Pools, confined: bool, spec: LaunchSpec, root: Path, name: str
) -> None:
    file = root.parent / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SECRET)
    async with pools() as pool, pool.lease(spec) as mine, page_of(mine) as page:
        seen = await page.open(file.as_uri())
        assert (SECRET in seen) is not confined
        assert seen.startswith("refused") is confined


async def test_environment_of_another_process(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """Of one that stands for the gateway, of another browser, and of its own."""
    gateway = await asyncio.create_subprocess_exec("/bin/cat", env={"TOKEN": SECRET}, stdin=asyncio.subprocess.PIPE)
    try:
        async with pools() as pool, pool.lease(spec) as mine, pool.lease(spec) as other, page_of(mine) as page:
            for pid in (gateway.pid, other.pid, mine.pid):
                for name in ("environ", "cmdline"):
                    # Chromium reads no more of a file than its size, which is 0 in /proc: it would open it, though.
                    assert (await page.open(f"file:///proc/{pid}/{name}")).startswith("refused") is confined
            code, said = await run_as(mine, pool, "/bin/cat", f"/proc/{gateway.pid}/environ")
            assert (SECRET in said) is not confined, said
            assert (code != 0) is confined
    finally:
        gateway.kill()
        await gateway.wait()


async def test_files_of_the_user_who_runs_it(pools: Pools, confined: bool, spec: LaunchSpec, tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519"
    file.write_text(SECRET)
    async with pools() as pool, pool.lease(spec) as mine, page_of(mine) as page:
        assert (SECRET in await page.open(file.as_uri())) is not confined
        assert ("root:" in await page.open("file:///etc/passwd")) is not confined
