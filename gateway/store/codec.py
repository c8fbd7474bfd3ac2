"""
Packed records: msgpack maps with keys of one letter, integers for times, space-separated scopes.

Both sides write them, Python and the scripts.  Lua knows one kind of string and packs an empty table as an array, so
everything is read as raw bytes here, ``[]`` counts as an empty map, and Python packs bytes as strings too.  A field that
is not known is ignored here and kept by the scripts, so that versions N and N+1 can share a store.

Of access tokens and chains there are millions, so they leave out what their key says: their ids of clients and credentials
lack the first seven characters (``gwc_ppp``), and a chain id is its 16 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgpack

from gateway.oauth.records import (
    FIXABLE,
    AccessToken,
    Account,
    Chain,
    Client,
    Code,
    Consent,
    Credential,
    Registration,
    SignIn,
    Use,
)
from gateway.oauth.signing_keys import Ring, SigningKey
from gateway.oauth.tokens import old_subject, raw, text

_DISABLED, _ENABLED, _PENDING = 0, 1, 2
"""What ``n`` of a client says; whoever knows no 2 takes it for disabled."""
_KEPT = 1024
"""Of so many clients, credentials and sets of scopes it is remembered what their bytes say: most tokens are of few clients."""
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException)
"""What reading a foreign value raises."""


class CorruptRecord(Exception):
    """A stored value is not the record that its key promises; ``kind`` says of what, the value is never shown."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"corrupt {kind} record")
        self.kind = kind


@lru_cache(_KEPT)
def join(words: frozenset[str]) -> str:
    """Write a set of scopes or permissions in its one normal form: sorted, single spaces."""
    return " ".join(sorted(words))


def shorten(client_id_or_key: str) -> str:
    """What a token's record keeps of an id: all but the kind and the partition."""
    return client_id_or_key[7:]


def encode_client(client: Client) -> bytes:
    """Pack a client."""
    return _pack({
        "c": client.client_id,
        "a": client.account,
        "n": _PENDING if client.pending else int(client.enabled),
        "s": join(client.scopes),
        "p": join(client.permissions),
        "e": client.epoch,
        "k": list(client.keys),
        "r": dict(client.retired),
        "i": client.issued_at,
        "o": join(client.grants),
        **({"u": list(client.redirect_uris)} if client.redirect_uris else {}),
        **({"m": 1} if client.public else {}),
        **({"N": client.name} if client.name else {}),
        **{letter: value for letter, value in _limits(client) if value},
        **({"f": client.access_token_format} if client.access_token_format else {}),
        **({"P": client.plan} if client.plan else {}),
        **({"O": _letters(client.fixed)} if client.fixed else {}),
    })  # fmt: skip


def encode_changes(changes: Mapping[str, object]) -> bytes:
    """Pack what is to be changed of a client, by the names of `Client`; a script puts it into the record."""
    known: dict[str, object] = {}
    for name, value in changes.items():
        if isinstance(value, frozenset):
            value = _letters(value) if name == "fixed" else join(value)
        elif isinstance(value, tuple):
            value = list(value)
        known[_LETTERS[name]] = int(value) if isinstance(value, bool) else value
    return _pack(known)


@lru_cache(_KEPT)
def decode_client(value: bytes) -> Client:
    """
    Unpack a client.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        return Client(
            client_id=str(get(b"c"), "ascii"),
            account=str(get(b"a"), "ascii"),
            enabled=_number(get(b"n")) == _ENABLED,
            scopes=_words(get(b"s")),
            permissions=_words(get(b"p")),
            epoch=_number(get(b"e")),
            keys=_texts(get(b"k")),
            retired=_times(get(b"r")),
            issued_at=_number(get(b"i")),
            grants=_words(fields.get(b"o", b"")),
            pending=get(b"n") == _PENDING,
            redirect_uris=_texts(fields.get(b"u", [])),
            public=fields.get(b"m", 0) == 1,
            name=str(fields.get(b"N", b""), "utf-8"),
            access_ttl_ms=_number(fields.get(b"A", 0)),
            refresh_ttl_ms=_number(fields.get(b"R", 0)),
            max_live_chains=_number(fields.get(b"M", 0)),
            max_live_tokens=_number(fields.get(b"L", 0)),
            access_token_format=str(fields.get(b"f", b""), "ascii"),
            plan=str(fields.get(b"P", b""), "ascii"),
            fixed=frozenset(name for name in FIXABLE if _LETTERS[name] in _words(fields.get(b"O", b""))),
        )
    except _BROKEN:
        raise CorruptRecord("client") from None


def encode_credential(credential: Credential) -> bytes:
    """Pack a credential."""
    return _pack({
        "c": credential.client_id,
        "k": credential.client_key,
        "d": credential.secret_digest,
        "i": credential.issued_at,
        "x": credential.expires_at,
        **({"j": credential.jwk} if credential.jwk else {}),
    })  # fmt: skip


@lru_cache(_KEPT)
def decode_credential(value: bytes) -> Credential:
    """
    Unpack a credential.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        return Credential(
            client_key=str(get(b"k"), "ascii"),
            client_id=str(get(b"c"), "ascii"),
            secret_digest=_digest(get(b"d")),
            issued_at=_number(get(b"i")),
            expires_at=_number(get(b"x")),
            jwk=_bytes(fields.get(b"j", b"")),
        )
    except _BROKEN:
        raise CorruptRecord("credential") from None


def encode_registration(registration: Registration) -> bytes:
    """Pack what a client registered."""
    return _pack({"t": registration.manager_digest, "m": registration.metadata})


def decode_registration(value: bytes, client_id: str) -> Registration:
    """
    Unpack what a client registered.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        get = msgpack.unpackb(value, raw=True).__getitem__
        return Registration(client_id, _digest(get(b"t")), _bytes(get(b"m")))
    except _BROKEN:
        raise CorruptRecord("registration") from None


def encode_account(account: Account, claim: str = "") -> bytes:
    """Pack an account with the claim that it grew from, which makes confirming it repeatable."""
    return _pack({
        "u": account.username,
        "h": account.password_hash,
        "c": list(account.client_ids),
        "i": account.issued_at,
        "m": claim,
        **({"s": account.subject} if account.subject else {}),
    })  # fmt: skip


def decode_account(value: bytes) -> Account:
    """
    Unpack an account.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        username, issued_at = str(get(b"u"), "ascii"), _number(get(b"i"))
        return Account(
            username=username,
            password_hash=str(get(b"h"), "ascii"),
            client_ids=_texts(get(b"c")),
            issued_at=issued_at,
            subject=str(fields.get(b"s", b""), "ascii") or old_subject(username, issued_at),
        )
    except _BROKEN:
        raise CorruptRecord("account") from None


def encode_session(session: SignIn) -> bytes:
    """Pack a session."""
    return _pack({"u": session.username, "p": session.proof, "i": session.began_at, "t": session.seen_at})


def decode_session(value: bytes, digest: bytes) -> SignIn:
    """
    Unpack the session with a digest.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        get = msgpack.unpackb(value, raw=True).__getitem__
        return SignIn(digest, str(get(b"u"), "ascii"), _digest(get(b"p")), _number(get(b"i")), _number(get(b"t")))
    except _BROKEN:
        raise CorruptRecord("session") from None


def encode_token(token: AccessToken) -> bytes:
    """Pack an access token, as the scripts do."""
    return _pack({
        "c": shorten(token.client_id),
        "k": shorten(token.client_key),
        "h": raw(token.chain_id),
        "s": join(token.scopes),
        "e": token.epoch,
        "i": token.issued_at,
        "x": token.expires_at,
        **({"u": token.subject} if token.subject else {}),
        **({"w": join(token.audience)} if token.audience else {}),
    })  # fmt: skip


def decode_token(value: bytes, partition: str) -> AccessToken:
    """
    Unpack an access token that lay in a partition.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        return AccessToken(
            f"gwc_{partition}{_rest(get(b'c'))}",
            f"gwk_{partition}{_rest(get(b'k'))}",
            _chain_id(get(b"h")),
            _words(get(b"s")),
            _number(get(b"e")),
            _number(get(b"i")),
            _number(get(b"x")),
            _subject(fields.get(b"u", b"")),
            _words(fields.get(b"w", b"")),
        )
    except _BROKEN:
        raise CorruptRecord("token") from None


def decode_chain(value: bytes, partition: str, chain_id: str) -> Chain:
    """
    Unpack what introspection sees of a chain that lay in a partition; only the scripts write one.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        return Chain(
            client_id=f"gwc_{partition}{_rest(get(b'c'))}",
            client_key=f"gwk_{partition}{_rest(get(b'k'))}",
            chain_id=chain_id,
            scopes=_words(get(b"s")),
            epoch=_number(get(b"e")),
            issued_at=_number(get(b"i")),
            expires_at=_number(get(b"x")),
            current=_digest(get(b"d")),
            subject=_subject(fields.get(b"u", b"")),
            audience=_words(fields.get(b"w", b"")),
        )
    except _BROKEN:
        raise CorruptRecord("chain") from None


def encode_code(code: Code) -> bytes:
    """Pack what an authorization code stands for."""
    return _pack({
        "c": shorten(code.client_id),
        "u": code.subject,
        "s": join(code.scopes),
        "r": code.redirect_uri,
        "v": code.challenge,
        "g": code.consent,
        "e": code.epoch,
        **({"w": join(code.audience)} if code.audience else {}),
    })  # fmt: skip


def decode_code(value: bytes, partition: str) -> Code:
    """
    Unpack what an authorization code of a partition stands for.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        fields = msgpack.unpackb(value, raw=True)
        get = fields.__getitem__
        return Code(
            client_id=f"gwc_{partition}{_rest(get(b'c'))}",
            subject=_subject(get(b"u")),
            scopes=_words(get(b"s")),
            redirect_uri=str(get(b"r"), "ascii"),
            challenge=str(get(b"v"), "ascii"),
            consent=_number(get(b"g")),
            epoch=_number(get(b"e")),
            audience=_words(fields.get(b"w", b"")),
        )
    except _BROKEN:
        raise CorruptRecord("code") from None


def decode_consent(value: bytes, client_id: str, subject: str) -> Consent:
    """
    Unpack a consent; only the scripts write one.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        get = msgpack.unpackb(value, raw=True).__getitem__
        return Consent(client_id, subject, _words(get(b"s")), _number(get(b"e")))
    except _BROKEN:
        raise CorruptRecord("consent") from None


_LETTERS = {
    "enabled": "n", "scopes": "s", "permissions": "p", "grants": "o", "redirect_uris": "u", "name": "N", "access_ttl_ms": "A",
    "refresh_ttl_ms": "R", "max_live_chains": "M", "max_live_tokens": "L", "access_token_format": "f", "plan": "P",
    "fixed": "O",
}  # fmt: skip
"""What of a client can be changed."""


def _letters(names: frozenset[str]) -> str:
    """Which fields are meant, in the one normal form."""
    return join(frozenset(_LETTERS[name] for name in names))


def _limits(client: Client) -> tuple[tuple[str, int], ...]:
    return ("A", client.access_ttl_ms), ("R", client.refresh_ttl_ms), ("M", client.max_live_chains), ("L", client.max_live_tokens)


def encode_ring(ring: Ring) -> bytes:
    """Pack the keys that sign JWT access tokens; no keys are no bytes."""
    return _pack_list([[key.kid, key.jwk, key.sealed, key.made_at, key.longest_ms] for key in ring]) if ring else b""


def decode_ring(value: bytes | None) -> Ring:
    """
    Unpack the keys that sign JWT access tokens.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    try:
        found = msgpack.unpackb(value, raw=True) if value else []
        if type(found) is not list:
            raise TypeError
        return tuple(
            SigningKey(str(kid, "ascii"), _bytes(jwk), _bytes(sealed), _number(made_at), _number(longest_ms))
            for kid, jwk, sealed, made_at, longest_ms in found
        )
    except _BROKEN:
        raise CorruptRecord("signing key") from None


def decode_use(value: bytes) -> Use:
    """
    Read when and from how many places a credential was used: digits, and behind a space two bytes each.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    at, _, marks = value.partition(b" ")
    try:
        return Use(int(at), len(marks) // 2)
    except ValueError:
        raise CorruptRecord("use") from None


def _pack(fields: Mapping[str, object]) -> bytes:
    packed: bytes = msgpack.packb(fields, use_bin_type=False)
    return packed


def _pack_list(items: list[list[object]]) -> bytes:
    packed: bytes = msgpack.packb(items, use_bin_type=False)
    return packed


def _rest(value: Any) -> str:
    """The part of an id that a token's record keeps: 22 characters."""
    if len(value) != 22:
        raise ValueError
    return str(value, "ascii")


def _chain_id(value: Any) -> str:
    if len(value) not in (0, 16):
        raise ValueError
    return text(value)


@lru_cache(_KEPT)
def _subject(value: Any) -> str:
    """It goes into a header line, where no control character may stand."""
    subject = str(value, "ascii")
    if not subject.isprintable():
        raise ValueError
    return subject


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


@lru_cache(_KEPT)
def _words(value: Any) -> frozenset[str]:
    """One set for all records that say the same; a scope goes into a header line, where no control character may stand."""
    words = str(value, "ascii")
    if not words.isprintable():
        raise ValueError
    return frozenset(words.split())


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError
    return tuple([str(item, "ascii") for item in value])


def _times(value: Any) -> Mapping[str, int]:
    if value == []:
        return MappingProxyType({})
    if type(value) is not dict:
        raise TypeError
    return MappingProxyType({str(key, "ascii"): _number(time) for key, time in value.items()})


def _digest(value: Any) -> bytes:
    if type(value) is not bytes or len(value) not in (0, 32):
        raise TypeError
    return value
