"""
Packed records: msgpack maps with keys of one letter, integers for times, space-separated scopes.

Both sides write them, Python and the scripts.  Lua knows one kind of string and packs an empty table as an array, so
everything is read as raw bytes here, ``[]`` counts as an empty map, and Python packs bytes as strings too.  A field that
is not known is ignored here and kept by the scripts, so that versions N and N+1 can share a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

from gateway.oauth.records import AccessToken, Account, Chain, Client, Credential

_Fields = Mapping[bytes, Any]


class CorruptRecord(Exception):
    """A stored value is not the record that its key promises; ``kind`` says of what, the value is never shown."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"corrupt {kind} record")
        self.kind = kind


def join(words: Iterable[str]) -> str:
    """Write a set of scopes or permissions in its one normal form: sorted, single spaces."""
    return " ".join(sorted(words))


def encode_client(client: Client) -> bytes:
    """Pack a client."""
    return _pack({
        "c": client.client_id,
        "a": client.account,
        "n": int(client.enabled),
        "s": join(client.scopes),
        "p": join(client.permissions),
        "e": client.epoch,
        "k": list(client.keys),
        "r": dict(client.retired),
        "i": client.issued_at,
    })  # fmt: skip


def decode_client(value: bytes) -> Client:
    """
    Unpack a client.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    record = _Record("client", value)
    return Client(
        client_id=record.text(b"c"),
        account=record.text(b"a"),
        enabled=record.number(b"n") == 1,
        scopes=record.words(b"s"),
        permissions=record.words(b"p"),
        epoch=record.number(b"e"),
        keys=record.texts(b"k"),
        retired=record.times(b"r"),
        issued_at=record.number(b"i"),
    )


def encode_credential(credential: Credential) -> bytes:
    """Pack a credential."""
    return _pack({
        "c": credential.client_id,
        "k": credential.client_key,
        "d": credential.secret_digest,
        "i": credential.issued_at,
        "x": credential.expires_at,
    })  # fmt: skip


def decode_credential(value: bytes) -> Credential:
    """
    Unpack a credential.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    record = _Record("credential", value)
    return Credential(
        client_key=record.text(b"k"),
        client_id=record.text(b"c"),
        secret_digest=record.digest(b"d"),
        issued_at=record.number(b"i"),
        expires_at=record.number(b"x"),
    )


def encode_account(account: Account, claim: str = "") -> bytes:
    """Pack an account with the claim that it grew from, which makes confirming it repeatable."""
    return _pack({
        "u": account.username,
        "h": account.password_hash,
        "c": list(account.client_ids),
        "i": account.issued_at,
        "m": claim,
    })  # fmt: skip


def decode_account(value: bytes) -> Account:
    """
    Unpack an account.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    record = _Record("account", value)
    return Account(
        username=record.text(b"u"),
        password_hash=record.text(b"h"),
        client_ids=record.texts(b"c"),
        issued_at=record.number(b"i"),
    )


def encode_token(token: AccessToken) -> bytes:
    """Pack an access token, as the scripts do."""
    return _pack({
        "c": token.client_id,
        "k": token.client_key,
        "h": token.chain_id,
        "s": join(token.scopes),
        "e": token.epoch,
        "i": token.issued_at,
        "x": token.expires_at,
    })  # fmt: skip


def decode_token(value: bytes) -> AccessToken:
    """
    Unpack an access token.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    record = _Record("token", value)
    return AccessToken(
        client_id=record.text(b"c"),
        client_key=record.text(b"k"),
        chain_id=record.text(b"h"),
        scopes=record.words(b"s"),
        epoch=record.number(b"e"),
        issued_at=record.number(b"i"),
        expires_at=record.number(b"x"),
    )


def decode_chain(value: bytes, chain_id: str) -> Chain:
    """
    Unpack what introspection sees of a chain; only the scripts write one.

    Raises:
        CorruptRecord: If the value is anything else.
    """
    record = _Record("chain", value)
    return Chain(
        client_id=record.text(b"c"),
        client_key=record.text(b"k"),
        chain_id=chain_id,
        scopes=record.words(b"s"),
        epoch=record.number(b"e"),
        issued_at=record.number(b"i"),
        expires_at=record.number(b"x"),
        current=record.digest(b"d"),
    )


def _pack(fields: Mapping[str, object]) -> bytes:
    packed: bytes = msgpack.packb(fields, use_bin_type=False)
    return packed


class _Record:
    """The fields of a packed record; whatever is missing or of another type makes it corrupt."""

    def __init__(self, kind: str, value: bytes) -> None:
        self._kind = kind
        try:
            fields = msgpack.unpackb(value, raw=True)
        except (ValueError, msgpack.UnpackException):
            raise CorruptRecord(kind) from None
        if not isinstance(fields, dict):
            raise CorruptRecord(kind)
        self._fields: _Fields = fields

    def number(self, name: bytes) -> int:
        value = self._fields.get(name)
        if type(value) is not int:
            raise CorruptRecord(self._kind)
        return value

    def text(self, name: bytes) -> str:
        return self._ascii(self._fields.get(name))

    def words(self, name: bytes) -> frozenset[str]:
        return frozenset(self.text(name).split())

    def texts(self, name: bytes) -> tuple[str, ...]:
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise CorruptRecord(self._kind)
        return tuple(self._ascii(item) for item in value)

    def times(self, name: bytes) -> dict[str, int]:
        value = self._fields.get(name)
        if value == []:
            return {}
        if not isinstance(value, dict) or not all(type(time) is int for time in value.values()):
            raise CorruptRecord(self._kind)
        return {self._ascii(key): time for key, time in value.items()}

    def digest(self, name: bytes) -> bytes:
        value = self._fields.get(name)
        if not isinstance(value, bytes) or len(value) not in (0, 32):
            raise CorruptRecord(self._kind)
        return value

    def _ascii(self, value: object) -> str:
        if not isinstance(value, bytes) or not value.isascii():
            raise CorruptRecord(self._kind)
        return value.decode("ascii")
