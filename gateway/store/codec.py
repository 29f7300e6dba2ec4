"""Records, identities and profiles as the stores keep them: JSON, with the secrets in it sealed where there is a key.

Secret are the passwords of proxies and the values of extra headers. Sealed, one is MARK and base64 of what the lock
made of it, bound to whose it is. What was sealed with a key that we do not have stays as it is, so that all the rest
can be read, listed and written; whoever would use it asks `locked` first.
"""

import base64
import binascii
from dataclasses import replace
from typing import Protocol

from pydantic import TypeAdapter

from gateway.records import Identity, SessionRecord, SessionSpec, Upstream
from gateway.store.profiles import Profile

MARK = "\x01sealed:"  # no header and no password that anyone types begins so
_record = TypeAdapter(SessionRecord)
_identity = TypeAdapter(Identity)
_profile = TypeAdapter(Profile)


class Lock(Protocol):
    """What seals (`snapshot/seal.py`)."""

    @property
    def seals(self) -> bool:
        """Whether there is a key."""

    def enclosed(self, data: bytes, name: str) -> bytes:
        """Sealed, for that name alone."""

    def disclosed(self, data: bytes, name: str) -> bytes:
        """What was enclosed. Raises ValueError: no such key, damage, another name."""


class Codec:
    """Without a `lock`, or one without a key, secrets are written as they are."""

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock

    def record(self, record: SessionRecord) -> bytes:
        """As it is kept."""
        return _record.dump_json(replace(record, spec=self._spec(record.spec, record.id, self._seal)))

    def read_record(self, text: bytes | str) -> SessionRecord:
        """What `record` wrote."""
        record = _record.validate_json(text)
        return replace(record, spec=self._spec(record.spec, record.id, self._open))

    def identity(self, identity: Identity, tenant: str, name: str) -> bytes:
        """As it is kept."""
        return _identity.dump_json(_headers(identity, self._seal, f"{tenant}/{name}"))

    def read_identity(self, text: bytes | str, tenant: str, name: str) -> Identity:
        """What `identity` wrote."""
        return _headers(_identity.validate_json(text), self._open, f"{tenant}/{name}")

    def profile(self, profile: Profile) -> bytes:
        """As it is kept."""
        return _profile.dump_json(replace(profile, upstream=_password(profile.upstream, self._seal, profile.id)))

    def read_profile(self, text: bytes | str) -> Profile:
        """What `profile` wrote."""
        profile = _profile.validate_json(text)
        return replace(profile, upstream=_password(profile.upstream, self._open, profile.id))

    # --- within ---

    def _spec(self, spec: SessionSpec, owner: str, turn: "Turn") -> SessionSpec:
        if spec.egress.upstream is None and spec.identity is None:
            return spec
        egress = replace(spec.egress, upstream=_password(spec.egress.upstream, turn, owner))
        identity = None if spec.identity is None else _headers(spec.identity, turn, owner)
        return replace(spec, egress=egress, identity=identity)

    def _seal(self, text: str, owner: str) -> str:
        if self._lock is None or not self._lock.seals or text.startswith(MARK):
            return text
        return MARK + base64.b64encode(self._lock.enclosed(text.encode(), f"{owner}/secret")).decode()

    def _open(self, text: str, owner: str) -> str:
        if self._lock is None or not text.startswith(MARK):
            return text
        try:
            sealed = base64.b64decode(text.removeprefix(MARK), validate=True)
            return self._lock.disclosed(sealed, f"{owner}/secret").decode()
        except (ValueError, binascii.Error):
            return text  # see `locked`


class Turn(Protocol):
    """From a secret to what is kept of it, or back."""

    def __call__(self, text: str, owner: str) -> str: ...


def locked(spec: SessionSpec) -> bool:
    """Whether it has a secret that could not be opened."""
    upstream, identity = spec.egress.upstream, spec.identity
    secrets = [] if upstream is None or upstream.password is None else [upstream.password]
    secrets += [] if identity is None else [value for _, value in identity.extra_headers]
    return any(secret.startswith(MARK) for secret in secrets)


def _password(upstream: Upstream | None, turn: Turn, owner: str) -> Upstream | None:
    if upstream is None or upstream.password is None:
        return upstream
    return replace(upstream, password=turn(upstream.password, owner))


def _headers(identity: Identity, turn: Turn, owner: str) -> Identity:
    if not identity.extra_headers:
        return identity
    return replace(identity, extra_headers=tuple((name, turn(value, owner)) for name, value in identity.extra_headers))
