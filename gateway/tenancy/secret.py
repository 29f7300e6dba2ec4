"""Secrets are compared in constant time, and remembered as digests."""

import hashlib
import hmac


def digest(secret: str) -> str:
    """What is remembered of a secret: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
