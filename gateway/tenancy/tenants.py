"""Tenants and their tokens, from a TOML file that is read again when it changes.

    [tenants.NAME]
    tokens = ["…"]                      # or token_hashes = ["sha256:…"], of which no token can be read
    role = "user"                       # admin, user or viewer
    max_sessions = 5

A token is looked up by its SHA-256, so how long that takes says nothing about the tokens that there are. Whatever is
wrong with a later version of the file, the tenants of the last good one stay.
"""

import asyncio
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from browser_pool.flags import CLIENT_FLAGS
from gateway.config import ConfigError
from gateway.egress.pattern import pattern
from gateway.records import Role, Tenant
from gateway.tenancy.secret import digest
from gateway.values import duration, secret, size, words

log = structlog.get_logger()
PERIOD = 0.5  # seconds between two looks at the file; a change is read once it was the same for two of them
HASH = "sha256:"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_PLACE = re.compile(r"\(at (?:line \d+, column \d+|end of document)\)\Z")


class BadTenants(ConfigError):
    """A tenants file that cannot be used; the message names tenant and key, and has no token in it."""


def _hash(text: str) -> str:
    if not re.fullmatch(rf"{HASH}[0-9a-fA-F]{{64}}", text):
        raise ValueError("sha256: and 64 hexadecimal digits are wanted")
    return text.removeprefix(HASH).lower()


def _number(read: Callable[[str], Any]) -> Callable[[object], Any]:
    """A text as in the settings, or a plain number."""

    def from_toml(value: object) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("a text or a whole number is wanted")
        return read(str(value))

    return from_toml


def _list(value: object) -> object:
    return words(value) if isinstance(value, str) else value


def _destination(text: str) -> str:
    pattern(text)
    return text


def _flag(text: str) -> str:
    match = re.fullmatch(r"--([a-z0-9][a-z0-9-]*)(?:=.*)?", text, re.DOTALL)
    if match is None or match[1] not in CLIENT_FLAGS:
        raise ValueError("--name or --name=value is wanted, of a flag that clients may set")
    return text


Count = Annotated[int, Field(ge=0, strict=True)]
Some = Annotated[int, Field(ge=1, strict=True)]
Destinations = Annotated[tuple[Annotated[str, AfterValidator(_destination)], ...], BeforeValidator(_list)]


class _Entry(BaseModel):
    """`[tenants.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    tokens: tuple[Annotated[str, AfterValidator(secret)], ...] = ()
    token_hashes: tuple[Annotated[str, AfterValidator(_hash)], ...] = ()
    role: Role = Role.USER
    max_sessions: Some | None = None
    queue_length: Count | None = None
    creates_per_minute: Some | None = None
    ttl_max: Annotated[float, Field(gt=0), BeforeValidator(_number(duration))] | None = None
    snapshot_bytes: Annotated[int, BeforeValidator(_number(size))] | None = None
    egress_allow: Destinations = ()
    egress_deny: Destinations = ()
    args: tuple[Annotated[str, AfterValidator(_flag)], ...] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    tenants: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class Book:
    """One good version of the file: tenants by name, and names by the SHA-256 of their tokens."""

    tenants: Mapping[str, Tenant]
    names: Mapping[str, str] = field(repr=False)


def read_tenants(text: str, taken: Iterable[str] = ()) -> Book:
    """The tenants in a file's text. `taken` are digests of tokens that belong to somebody else. Raises BadTenants."""
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in brackets
        # Its other words may be what stands there.
        raise BadTenants(f"this is not TOML {place[0] if (place := _PLACE.search(str(error))) else ''}") from None
    try:
        entries = _File.model_validate(value).tenants
    except ValidationError as error:
        raise BadTenants(_words(error)) from None
    if not entries:
        raise BadTenants("tenants: at least one is wanted: [tenants.NAME]")
    names: dict[str, str] = {}
    for name, entry in entries.items():
        if not _NAME.match(name):
            raise BadTenants(f"tenants.{name[:80]}: a name has at most 64 letters, digits, _, . and -")
        digests = {*(digest(token) for token in entry.tokens), *entry.token_hashes}
        if not digests:
            raise BadTenants(f"tenants.{name}: tokens or token_hashes are wanted")
        if digests.intersection(taken):
            raise BadTenants(f"tenants.{name}: one of its tokens is that of the setting `token`")
        for one in digests:
            if (other := names.setdefault(one, name)) != name:
                raise BadTenants(f"tenants.{name}: one of its tokens is that of tenants.{other}, too")
    return Book({name: _tenant(name, entry) for name, entry in entries.items()}, names)


def _tenant(name: str, entry: _Entry) -> Tenant:
    return Tenant(name, **{key: getattr(entry, key) for key in _Entry.model_fields if not key.startswith("token")})


def _words(error: ValidationError) -> str:
    """The first thing that is wrong: where, and in words that do not repeat what stands there."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{place[:160]}: there is no such key"
    wanted = {
        ".tokens.": "a token has 1 to 512 visible ASCII characters",
        ".token_hashes.": f"{HASH} and 64 hex digits",
    }
    for key, words_for in wanted.items():
        if key in place:
            return f"{place[:160]}: {words_for}"
    return f"{place[:160]}: {first['msg'].removeprefix('Value error, ')}"


class Tenants:
    """The tenants in `file`, as its last good version has them. Raises BadTenants if that at the start is none.

    `taken` as in `read_tenants`.
    """

    def __init__(self, file: Path, taken: Iterable[str] = ()) -> None:
        self._file = file
        self._taken = tuple(taken)
        try:
            self._seen = self._applied = _state(file)
            self._book = read_tenants(file.read_text(), self._taken)
        except (OSError, UnicodeDecodeError) as error:
            raise BadTenants(f"tenants_file: {file} cannot be read: {_why(error)}") from None
        except BadTenants as error:
            raise BadTenants(f"tenants_file: {file}: {error}") from None

    def by_token(self, token: str) -> Tenant | None:
        """Whose token it is."""
        name = self._book.names.get(digest(token))
        return None if name is None else self._book.tenants[name]

    def named(self, name: str) -> Tenant | None:
        """The tenant of that name."""
        return self._book.tenants.get(name)

    def look(self) -> bool:
        """Read the file if it has changed and stands still since the last look; whether others are in force now.

        Blocking. What is wrong is logged, once for each version.
        """
        now: tuple[int, ...]
        try:
            now = _state(self._file)
        except OSError as error:
            now = (error.errno or 0,)
        before, self._seen = self._seen, now
        if now != before or now == self._applied:
            return False  # it may be being written
        try:
            text = self._file.read_text()
            if _state(self._file) != now:
                return False
            self._applied = now
            book = read_tenants(text, self._taken)
        except (OSError, UnicodeDecodeError, BadTenants) as error:
            self._applied = now
            log.error("tenants_not_read", file=str(self._file), error=_why(error), in_force="those from before")
            return False
        changed, self._book = book != self._book, book
        self._warn()
        log.info("tenants_read", tenants=len(book.tenants))
        return changed

    async def follow(self, then: Callable[[], None]) -> None:
        """Look for ever; `then` is called when others are in force."""
        self._warn()
        while True:
            await asyncio.sleep(PERIOD)
            if await asyncio.to_thread(self.look):
                then()

    def _warn(self) -> None:
        if self._applied[-1] & stat.S_IROTH:
            log.warning("tenants_file_readable_by_all", file=str(self._file), advice="chmod 640, or token_hashes")


def _state(file: Path) -> tuple[int, ...]:
    """What changes when the file does, its mode last. Raises OSError."""
    found = os.stat(file)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
