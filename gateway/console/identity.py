"""What of a session is secret, and what is kept of it.  Pure."""

from __future__ import annotations

import re
from hashlib import sha256

from gateway.oauth.tokens import text

ENTROPY = 32
"""Random bytes in a session id."""

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def mint_session(entropy: bytes) -> str:
    """A session id, from `ENTROPY` random bytes: what the cookie holds, and nothing else does."""
    return text(entropy)


def is_session(value: str) -> bool:
    """Whether a cookie's value has the form of a session id."""
    return _SESSION_ID.fullmatch(value) is not None


def digest_session(session_id: str) -> bytes:
    """What the store keeps of a session id: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"session:" + session_id.encode("ascii")).digest()


def form_token(session_id: str) -> str:
    """What a page's forms carry (C01): who has not got the cookie can't make it, and it does not lead back to the cookie."""
    return text(sha256(b"form:" + session_id.encode("ascii")).digest())


def proof_of(password_hash: str) -> bytes:
    """What a session keeps of the password that it was begun with: 32 bytes that another password's hash does not give."""
    return sha256(b"password:" + password_hash.encode("utf-8")).digest()
