"""
What tokens, secrets and identifiers look like, how they are made from entropy and what is kept of them.

Every string is a prefix that secret scanners recognise, the client's partition where a look-up must find its slot, random
base64url, and (for secrets) a checksum, so that a mistyped or foreign string is refused without a look-up::

    access token   gwa_ ppp <43: 256 bits>               <6: CRC-32, base62>
    refresh token  gwr_ ppp <22: chain id, 128 bits> <43: 256 bits> <6>
    client secret  gws_ ppp <43: 256 bits>               <6>           (without ppp: made by an early build, still good)
    registration   gwm_ ppp <22: of the client id> <43: 256 bits>        <6>
    initial access gwi_ ppp <43: 256 bits>               <6>
    client id      gwc_ ppp <22: 128 bits>
    client key     gwk_ ppp <22: 128 bits>

All of them use ``[A-Za-z0-9_-]`` only, so that HTTP Basic is the same bytes with and without form-encoding (RFC 6749
section 2.3.1).  256 bits exceed what RFC 6749 section 10.10 asks (2^-160); their digest needs neither salt nor key.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

ENTROPY = 32
"""Bytes of entropy in a token or secret."""
ID_ENTROPY = 16
"""Bytes of entropy in a chain id, client id or client key."""
MAX_ACCESS = 4096
"""Longest access token, bytes: checked before anything is hashed."""
PARTITION_ENTROPY = 2
"""Bytes of entropy from which a partition is made."""

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _BASE62 for low in _BASE62)
"""The 3,844 numbers of two base62 digits."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")

PATTERN = (
    r"gw(?:[ai]_[a-z2-7]{3}[A-Za-z0-9_-]{43}|[rm]_[a-z2-7]{3}[A-Za-z0-9_-]{65}|s_(?:[a-z2-7]{3})?[A-Za-z0-9_-]{43})[0-9A-Za-z]{6}"
)
"""The published regular expression of everything that is secret here (docs/clients.md), JWT access tokens apart."""

_ACCESS = re.compile(rb"gwa_[a-z2-7]{3}[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")
_REFRESH = re.compile(rb"gwr_[a-z2-7]{3}[A-Za-z0-9_-]{65}[0-9A-Za-z]{6}")
_SECRET = re.compile(rb"gws_(?:[a-z2-7]{3})?[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")
_SECRET_LENGTH = 56
_MANAGER = re.compile(rb"gwm_[a-z2-7]{3}[A-Za-z0-9_-]{65}[0-9A-Za-z]{6}")
_CODE = re.compile(rb"gwo_[a-z2-7]{3}[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")
_INITIAL = re.compile(rb"gwi_[a-z2-7]{3}[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")
_CLIENT_ID = re.compile(r"gwc_[a-z2-7]{3}[A-Za-z0-9_-]{22}")
_CLIENT_KEY = re.compile(r"gwk_[a-z2-7]{3}[A-Za-z0-9_-]{22}")
_CHAIN_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_CLIENT_ID_OR_KEY = re.compile(r"gw[ck]_[a-z2-7]{3}[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class AccessRef:
    """Where an access token's record lies: partition and digest.  Never the token."""

    partition: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class RefreshRef:
    """Where a refresh token's chain lies, and the digest that tells which token of the chain it is."""

    partition: str
    chain_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a client secret's credential can be found: partition and digest.  Never the secret."""

    partition: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ManagerRef:
    """Which client a registration access token manages, and its digest.  Never the token."""

    client_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class InitialRef:
    """Where an initial access token's record lies: partition and digest.  Never the token."""

    partition: str
    digest: bytes

    @property
    def token_id(self) -> str:
        """What logs and operators call it: the digest's beginning, which leads to no token."""
        return text(self.digest)[:8]


@dataclass(frozen=True, slots=True)
class CodeRef:
    """Where an authorization code's record lies: partition and digest.  Never the code."""

    partition: str
    digest: bytes


def text(digest: bytes) -> str:
    """Write bytes as unpadded base64url (32 bytes give 43 characters)."""
    return b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def raw(value: str) -> bytes:
    """
    Read unpadded base64url, as `text` writes it.

    Raises:
        ValueError: It is none.
    """
    return a2b_base64(value.encode("ascii").translate(_STANDARD) + b"=" * (-len(value) % 4))


def mint_partition(entropy: bytes) -> str:
    """Make a partition (3 base32 characters, 15 bits) from two random bytes."""
    number = int.from_bytes(entropy[:PARTITION_ENTROPY], "big")
    return "".join(_BASE32[number >> shift & 31] for shift in (10, 5, 0))


def mint_client_id(partition: str, entropy: bytes) -> str:
    """Make a client id from 16 random bytes."""
    return f"gwc_{partition}{text(entropy)}"


def mint_client_key(partition: str, entropy: bytes) -> str:
    """Make a client key from 16 random bytes."""
    return f"gwk_{partition}{text(entropy)}"


def mint_chain_id(entropy: bytes) -> str:
    """Make a chain id (22 characters) from 16 random bytes."""
    return text(entropy)


def mint_secret(partition: str, entropy: bytes) -> str:
    """Make a client secret from 32 random bytes."""
    return _sealed(f"gws_{partition}{text(entropy)}")


def mint_access(partition: str, entropy: bytes) -> str:
    """Make an access token from 32 random bytes."""
    return _sealed(f"gwa_{partition}{text(entropy)}")


def mint_refresh(partition: str, chain_id: str, entropy: bytes) -> str:
    """Make a refresh token of a chain from 32 random bytes."""
    return _sealed(f"gwr_{partition}{chain_id}{text(entropy)}")


def mint_manager(client_id: str, entropy: bytes) -> str:
    """Make the registration access token of a client (RFC 7592) from 32 random bytes."""
    return _sealed(f"gwm_{client_id[4:]}{text(entropy)}")


def mint_initial(partition: str, entropy: bytes) -> str:
    """Make an initial access token (RFC 7591 section 3) from 32 random bytes."""
    return _sealed(f"gwi_{partition}{text(entropy)}")


def mint_code(partition: str, entropy: bytes) -> str:
    """Make an authorization code (RFC 6749 section 4.1.2) from 32 random bytes."""
    return _sealed(f"gwo_{partition}{text(entropy)}")


def mint_subject(entropy: bytes) -> str:
    """Make an account's ``sub`` from 16 random bytes: of another kind than any client id (RFC 9700 section 4.15)."""
    return f"gwu_{text(entropy)}"


def old_subject(username: str, issued_at: int) -> str:
    """The ``sub`` of an account that was made before there were any; another account of that name has another one."""
    return mint_subject(sha256(f"subject:{username}:{issued_at}".encode("ascii")).digest()[:ID_ENTROPY])


def find_opaque(token: bytes) -> AccessRef | None:
    """Read an opaque access token; None unless form and checksum are right (any length, any bytes are safe to pass)."""
    if _ACCESS.fullmatch(token) is None or not _whole(token):
        return None
    return AccessRef(token[4:7].decode("ascii"), digest_access(token))


def find_refresh(token: bytes) -> RefreshRef | None:
    """Read a refresh token; None unless form and checksum are right."""
    if _REFRESH.fullmatch(token) is None or not _whole(token):
        return None
    return RefreshRef(token[4:7].decode("ascii"), token[7:29].decode("ascii"), digest_refresh(token))


def find_manager(token: bytes) -> ManagerRef | None:
    """Read a registration access token; None unless form and checksum are right."""
    if _MANAGER.fullmatch(token) is None or not _whole(token):
        return None
    return ManagerRef(f"gwc_{token[4:29].decode('ascii')}", digest_manager(token))


def find_initial(token: bytes) -> InitialRef | None:
    """Read an initial access token; None unless form and checksum are right."""
    if _INITIAL.fullmatch(token) is None or not _whole(token):
        return None
    return InitialRef(token[4:7].decode("ascii"), digest_initial(token))


def find_code(code: bytes) -> CodeRef | None:
    """Read an authorization code; None unless form and checksum are right."""
    if _CODE.fullmatch(code) is None or not _whole(code):
        return None
    return CodeRef(code[4:7].decode("ascii"), digest_code(code))


def is_secret(secret: bytes) -> bool:
    """Whether a string has the form and checksum of a client secret."""
    return _SECRET.fullmatch(secret) is not None and _whole(secret)


def find_secret(secret: bytes) -> SecretRef | None:
    """Read a client secret; None unless form and checksum are right and it names its partition."""
    if len(secret) != _SECRET_LENGTH or not is_secret(secret):
        return None
    return SecretRef(secret[4:7].decode("ascii"), digest_secret(secret))


def find_partition(client_id_or_key: str) -> str | None:
    """The partition of a client id or client key; None when the string is neither."""
    if _CLIENT_ID_OR_KEY.fullmatch(client_id_or_key):
        return client_id_or_key[4:7]
    return None


def is_client_id(value: str) -> bool:
    """Whether a string has the form of a client id."""
    return _CLIENT_ID.fullmatch(value) is not None


def is_client_key(value: str) -> bool:
    """Whether a string has the form of a client key."""
    return _CLIENT_KEY.fullmatch(value) is not None


def is_chain_id(value: str) -> bool:
    """Whether a string has the form of a chain id."""
    return _CHAIN_ID.fullmatch(value) is not None


def digest_access(token: bytes) -> bytes:
    """What is kept of an access token: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"access:" + token).digest()


def digest_refresh(token: bytes) -> bytes:
    """What is kept of a refresh token: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"refresh:" + token).digest()


def digest_secret(secret: bytes) -> bytes:
    """What is kept of a client secret: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"secret:" + secret).digest()


def digest_public_key(jwk: bytes) -> bytes:
    """What stands where a secret's digest would: SHA-256 of a JWK under a label of its kind, 32 bytes."""
    return sha256(b"public key:" + jwk).digest()


def digest_manager(token: bytes) -> bytes:
    """What is kept of a registration access token: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"registration:" + token).digest()


def digest_code(code: bytes) -> bytes:
    """What is kept of an authorization code: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"authorization code:" + code).digest()


def digest_initial(token: bytes) -> bytes:
    """What is kept of an initial access token: SHA-256 under a label of its kind, 32 bytes."""
    return sha256(b"initial access:" + token).digest()


def _sealed(body: str) -> str:
    return body + _checksum(body.encode("ascii"))


def _whole(token: bytes) -> bool:
    return _checksum(token[:-6]).encode("ascii") == token[-6:]


def _checksum(body: bytes) -> str:
    upper, low = divmod(crc32(body), 3844)
    high, middle = divmod(upper, 3844)
    return f"{_PAIRS[high]}{_PAIRS[middle]}{_PAIRS[low]}"
