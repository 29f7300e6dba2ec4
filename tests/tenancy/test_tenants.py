import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.config import ConfigError
from gateway.records import Role, Tenant
from gateway.tenancy.secret import digest
from gateway.tenancy.tenants import BadTenants, Tenants, read_tenants

SECRET = "s3cret-token-of-a"
WHOLE = f"""
[tenants.a]
tokens = ["{SECRET}", "another-of-a"]
role = "admin"
max_sessions = 3
queue_length = 0
creates_per_minute = 60
ttl_max = "2h"
snapshot_bytes = "10MiB"
egress_allow = ["10.0.0.0/8", "*.example.com"]
egress_deny = "*:25, ads.example.com"
args = ["--lang", "--window-size=800,600"]

[tenants.b]
token_hashes = ["sha256:{digest("token-of-b").upper()}"]
"""


def small(name: str = "a", token: str = SECRET, **more: str) -> str:
    return f'[tenants.{name}]\ntokens = ["{token}"]\n' + "".join(f"{key} = {value}\n" for key, value in more.items())


def test_all_that_can_be_said() -> None:
    book = read_tenants(WHOLE)
    assert book.tenants["a"] == Tenant(
        "a",
        Role.ADMIN,
        max_sessions=3,
        queue_length=0,
        creates_per_minute=60,
        ttl_max=7200,
        snapshot_bytes=10 << 20,
        egress_allow=("10.0.0.0/8", "*.example.com"),
        egress_deny=("*:25", "ads.example.com"),
        args=("--lang", "--window-size=800,600"),
    )
    assert book.tenants["b"] == Tenant("b", Role.USER)
    assert book.names == {digest(SECRET): "a", digest("another-of-a"): "a", digest("token-of-b"): "b"}
    assert SECRET not in repr(book)
    assert digest(SECRET) not in repr(book)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tenants: Field required"),
        ("[tenants]", "at least one is wanted"),
        ("[tenants.a]", "tenants.a: tokens or token_hashes are wanted"),
        ("[tenants.a]\ntokens = []", "tenants.a: tokens or token_hashes are wanted"),
        ("max = 3\n" + small(), "max: there is no such key"),
        (small(max_session="3"), "tenants.a.max_session: there is no such key"),
        (small(role='"owner"'), "tenants.a.role: Input should be 'admin', 'user' or 'viewer'"),
        (small(max_sessions="0"), "tenants.a.max_sessions: Input should be greater than or equal to 1"),
        (small(max_sessions='"3"'), "tenants.a.max_sessions: Input should be a valid integer"),
        (small(max_sessions="true"), "tenants.a.max_sessions"),
        (small(queue_length="-1"), "tenants.a.queue_length"),
        (small(creates_per_minute="0"), "tenants.a.creates_per_minute"),
        (small(ttl_max='"soon"'), "tenants.a.ttl_max: a duration is wanted"),
        (small(ttl_max="true"), "tenants.a.ttl_max: a text or a whole number is wanted"),
        (small(snapshot_bytes='"much"'), "tenants.a.snapshot_bytes: a size is wanted"),
        (small(egress_allow='["10.0.0.1/8"]'), "tenants.a.egress_allow.0"),
        (small(egress_deny='"a b"'), "tenants.a.egress_deny.0"),
        (small(args='["--no-sandbox"]'), "tenants.a.args.0: --name or --name=value is wanted"),
        (small(args='["lang"]'), "tenants.a.args.0"),
        (small("'a b'"), "tenants.a b: a name has"),
        (small("'a~b'"), "tenants.a~b: a name has"),
        (small() + small("b"), "tenants.b: one of its tokens is that of tenants.a, too"),
        (small() + f'[tenants.c]\ntoken_hashes = ["sha256:{digest(SECRET)}"]', "tenants.c: one of its tokens"),
        ('[tenants.a]\ntokens = ["has spaces in it"]', "tenants.a.tokens.0: a token has 1 to 512"),
        ('[tenants.a]\ntokens = [""]', "tenants.a.tokens.0: a token has"),
        ('[tenants.a]\ntokens = "bare-s3cret"', "tenants.a.tokens: Input should be a valid tuple"),
        ('[tenants.a]\ntoken_hashes = ["s3cret-token"]', "tenants.a.token_hashes.0: sha256: and 64"),
        (f"[tenants.a]\ntokens = [{SECRET}]", "not TOML (at line 2, column 11)"),
        (f'[tenants.a]\ntokens = ["{SECRET}', "not TOML (at end of document)"),
        ("a = " + "[" * 100_000, "not TOML"),
        ("a = " + "9" * 5000, "not TOML"),
    ],
)
def test_what_is_wrong_is_named_and_no_token_told(text: str, said: str) -> None:
    with pytest.raises(BadTenants) as error:
        read_tenants(text)
    assert said in str(error.value)
    for word in ("s3cret", "has spaces", digest(SECRET)):
        assert word not in str(error.value)


def test_a_token_of_somebody_else() -> None:
    with pytest.raises(BadTenants, match=r"tenants\.a: one of its tokens is that of the setting `token`"):
        read_tenants(small(), [digest(SECRET)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tenants.toml"
    path.write_text(small())
    path.chmod(0o600)
    return path


def test_a_start_without_a_good_one_is_refused(file: Path) -> None:
    file.write_text("[tenants.a]")
    with pytest.raises(ConfigError, match=r"tenants_file: .*tenants.toml: tenants.a: tokens"):
        Tenants(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8"):
        Tenants(file)
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Tenants(file)


def test_it_is_read_again_when_it_has_changed_and_stands_still(file: Path) -> None:
    tenants = Tenants(file)
    assert tenants.by_token(SECRET) == Tenant("a")
    assert not tenants.look()
    file.write_text(small(token="new") + small("b", "of-b"))
    assert not tenants.look(), "it may be being written"
    assert tenants.by_token(SECRET) is not None
    assert tenants.look()
    assert tenants.by_token(SECRET) is None
    assert tenants.by_token("new") == tenants.named("a")
    assert tenants.named("b") == Tenant("b")
    assert not tenants.look()


def test_one_that_is_put_in_its_place(file: Path) -> None:
    tenants = Tenants(file)
    beside = file.with_suffix(".new")
    beside.write_text(small("b"))
    os.utime(beside, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    beside.rename(file)
    assert [tenants.look() for _ in range(3)] == [False, True, False]
    assert tenants.named("a") is None


@pytest.mark.parametrize("broken", ["gone", "half", "empty", "directory", "wrong"])
def test_a_later_one_that_is_no_good_changes_nothing_and_is_told_of_once(file: Path, broken: str) -> None:
    tenants = Tenants(file)
    text = file.read_text()
    match broken:
        case "gone":
            file.unlink()
        case "directory":
            file.unlink()
            file.mkdir()
        case "half":
            file.write_text(text[: text.index(SECRET) + 4])
        case "empty":
            file.write_text("")
        case "wrong":
            file.write_text(text + "max_sessions = 'many'\n")
    with capture_logs() as logs:
        assert not any(tenants.look() for _ in range(5))
    assert [line["event"] for line in logs] == ["tenants_not_read"]
    assert SECRET[:4] not in str(logs)
    assert tenants.by_token(SECRET) == Tenant("a")
    if broken == "directory":
        file.rmdir()
    file.write_text(small("c"))
    assert any([tenants.look(), tenants.look()])
    assert tenants.by_token(SECRET) == Tenant("c")


def test_one_that_all_can_read_is_warned_of(file: Path) -> None:
    tenants = Tenants(file)
    with capture_logs() as logs:
        file.chmod(0o644)
        assert not any(tenants.look() for _ in range(3)), "nothing else is in force"
    assert "tenants_file_readable_by_all" in [line["event"] for line in logs]
