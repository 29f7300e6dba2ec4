import gc
import os
import stat
from pathlib import Path

import pytest

from browser_pool import procfs, users
from browser_pool.browser import Work
from browser_pool.errors import BrowserFailed
from browser_pool.pool import BrowserPool
from browser_pool.procfs import FIRST_USER, LAST_USER, owner
from browser_pool.spec import LaunchSpec
from tests.browser_pool.seen import command_line_of, processes_under

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@as_root
async def test_each_browser_runs_as_a_user_of_its_own(pool: BrowserPool, root: Path, spec: LaunchSpec) -> None:
    assert pool.held.own_users, pool.held.users
    async with pool.lease(spec) as one, pool.lease(spec) as other:
        found = [{owner(pid) for pid in processes_under(browser.directory.path)} - {-1} for browser in (one, other)]
        assert all(len(each) == 1 for each in found)
        assert found[0] != found[1]
        for browser, (user,) in zip((one, other), found, strict=True):
            assert FIRST_USER <= user <= LAST_USER
            directory = browser.directory
            for place, mode in ((directory.path, 0o710), (directory.uploads, 0o2750)):  # not the browser's to change
                status = place.stat()
                assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, user, mode)
            for place in (directory.profile, directory.downloads, directory.temporary):
                assert place.stat().st_uid == user
            assert "--no-sandbox" not in command_line_of(browser.pid)


@as_root
async def test_a_profile_that_is_put_in_place_is_its_users(pool: BrowserPool, spec: LaunchSpec) -> None:
    async def fill(profile: Path) -> Work:
        (profile / "Default").mkdir()
        (profile / "Default" / "early").touch(0o600)

        async def more() -> None:
            (profile / "Default" / "late").touch(0o600)

        return more

    async with pool.lease(spec, fill=fill) as browser:
        profile = browser.directory.profile
        user = browser.directory.path.stat().st_gid
        assert {path.lstat().st_uid for path in (profile, *profile.rglob("*"))} == {user}
        assert (profile / "Default" / "late").exists()


@as_root
def test_users_that_this_user_namespace_has_not() -> None:
    assert users.lacking(FIRST_USER, LAST_USER) == ""
    assert users.lacking(2**32 - 2, 2**32) == f"this user namespace has no users {2**32 - 2} to {2**32}"


@as_root
async def test_what_is_in_use_is_not_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FIRST_USER - 100  # nothing on this machine has one of these
    for module in (users, procfs):
        monkeypatch.setattr(module, "FIRST_USER", first)
        monkeypatch.setattr(module, "LAST_USER", first + 2)
    monkeypatch.setattr(users, "ATTEMPTS", 1000)
    (tmp_path / "left").mkdir()
    os.chown(tmp_path / "left", -1, first + 1)  # by a gateway that was killed
    claims = users.Users(tmp_path)
    async with claims.claimed() as one, claims.claimed() as other:
        assert {one, other} == {first, first + 2}
        with pytest.raises(BrowserFailed, match="no user is left"):
            async with claims.claimed():
                pass
    async with claims.claimed() as again:
        assert again in (first, first + 2)


@as_root
@pytest.mark.parametrize("place", ["locks", "none/locks"], ids=["held", "nowhere to hold it"])
async def test_another_gateway_has_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Whose browsers do not run yet."""
    first = FIRST_USER - 80
    monkeypatch.setattr(users, "FIRST_USER", first)
    monkeypatch.setattr(users, "LAST_USER", first + 1)
    monkeypatch.setattr(users, "LOCKS", tmp_path / place)
    monkeypatch.setattr(users, "ATTEMPTS", 1000)
    gateways = [tmp_path / name for name in ("one", "other", "third")]
    for root in gateways:
        root.mkdir()
    one, other, third = map(users.Users, gateways)
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        async with one.claimed() as mine:
            if place == "none/locks":
                assert mine in (first, first + 1)
                continue
            async with other.claimed() as its:
                assert {mine, its} == {first, first + 1}
                with pytest.raises(BrowserFailed, match="no user is left"):
                    async with third.claimed():
                        pass
            async with third.claimed() as its:
                assert its != mine
    assert len(os.listdir("/proc/self/fd")) == files


def test_who_may_not_pass_is_told_where(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)
    closed = next(path for path in (*reversed(place.parents), place) if not path.stat().st_mode & stat.S_IXOTH)
    assert users.barred(place) == closed
    assert users.barred(Path("/usr/bin")) is None
    assert users.barred(Path("/none/at/all")) == Path("/none")


def test_what_others_may_pass_is_closed_but_for_that(tmp_path: Path) -> None:
    (tmp_path / "gateway.sqlite").touch()
    (tmp_path / "snapshots").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.touch()
    (tmp_path / "link").symlink_to(outside)
    for path, mode in ((tmp_path / "gateway.sqlite", 0o644), (tmp_path / "snapshots", 0o755), (outside, 0o644)):
        path.chmod(mode)
    tmp_path.chmod(0o750)
    users.let_pass(tmp_path)

    def modes() -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes() == {"gateway.sqlite": 0o640, "snapshots": 0o750, "link": 0o644}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o751
    # One that was open before is as its owner wants it.
    (tmp_path / "snapshots").chmod(0o755)
    users.let_pass(tmp_path)
    assert modes()["snapshots"] == 0o755


@as_root
def test_a_link_is_handed_over_and_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "link").symlink_to(outside)
    (inside / "up").symlink_to(tmp_path)
    users.hand_over(inside, FIRST_USER)
    assert outside.stat().st_uid == 0
    assert tmp_path.stat().st_uid == 0
    assert {path.lstat().st_uid for path in (inside, *inside.rglob("*"))} == {FIRST_USER}


@pytest.mark.skipif(os.geteuid() == 0, reason="takes an ordinary user")
def test_only_root_gives_others(tmp_path: Path) -> None:
    assert "not root" in users.obstacle(tmp_path)
