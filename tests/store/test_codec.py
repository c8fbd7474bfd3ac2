"""Packed records: they come back as they went in, strangers' fields are ignored, anything else is corrupt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth.records import AccessToken, Account, Chain, Client, Code, Credential, Registration
from gateway.store import codec

CLIENT = Client(
    client_id="gwc_abcAAAAAAAAAAAAAAAAAAAAAA", account="a@b.c", enabled=False, scopes=frozenset({"b", "a"}),
    permissions=frozenset({"introspect:any"}), epoch=3, keys=("gwk_1", "gwk_2"), retired={"gwk_0": 5},
    issued_at=1_800_000_000_000, grants=frozenset({"client_credentials"}), redirect_uris=("https://e.com/cb", "app.x:/"),
    public=True, name="Nächte", access_ttl_ms=1, refresh_ttl_ms=2, max_live_chains=3,
)  # fmt: skip
KEY = "gwk_abcBBBBBBBBBBBBBBBBBBBBBB"
CREDENTIAL = Credential("gwk_1", CLIENT.client_id, bytes(range(128, 160)), 1, 1_800_000_000_000)
ACCOUNT = Account("a@b.c", "$argon2id$v=19$x", ("gwc_1",), 7, "gwu_x")
CODE = Code(CLIENT.client_id, "gwu_x", frozenset({"a"}), "https://e.com/cb?x=1", "C" * 43, 4, 3, frozenset({"https://a/x"}))
TOKEN = AccessToken(CLIENT.client_id, KEY, "C" * 21 + "A", frozenset({"x:y", "z"}), 2, 10, 20, "gwu_x", frozenset({"https://a/x"}))
REGISTRATION = Registration(CLIENT.client_id, bytes(range(32)), b'{"client_name":"x"}')
OPTIONAL = {
    codec.decode_client: dict.fromkeys((b"o", b"u", b"m", b"N", b"A", b"R", b"M"), "none, or as configured"),
    codec.decode_account: {b"m": "only the scripts read it", b"s": "made before there were any"},
}
DECODERS = [
    (partial(codec.decode_registration, client_id=CLIENT.client_id), codec.encode_registration(REGISTRATION)),
    (codec.decode_client, codec.encode_client(CLIENT)),
    (codec.decode_credential, codec.encode_credential(CREDENTIAL)),
    (codec.decode_account, codec.encode_account(ACCOUNT)),
    (partial(codec.decode_token, partition="abc"), codec.encode_token(replace(TOKEN, subject="", audience=frozenset()))),
    (partial(codec.decode_code, partition="abc"), codec.encode_code(replace(CODE, audience=frozenset()))),
]


def test_records_come_back_as_they_went_in() -> None:
    assert codec.decode_client(codec.encode_client(CLIENT)) == CLIENT
    assert codec.decode_credential(codec.encode_credential(CREDENTIAL)) == CREDENTIAL
    assert codec.decode_registration(codec.encode_registration(REGISTRATION), CLIENT.client_id) == REGISTRATION
    assert codec.decode_account(codec.encode_account(ACCOUNT, "claim")) == ACCOUNT
    assert codec.decode_token(codec.encode_token(TOKEN), "abc") == TOKEN
    assert codec.decode_code(codec.encode_code(CODE), "abc") == CODE


@given(st.binary(min_size=32, max_size=32))
def test_any_digest_survives(digest: bytes) -> None:
    credential = Credential("gwk_1", "gwc_1", digest)
    assert codec.decode_credential(codec.encode_credential(credential)).secret_digest == digest


def test_a_chain_is_read_from_what_lua_packs() -> None:
    packed = msgpack.packb(
        {"c": "A" * 22, "k": "B" * 22, "s": "a b", "e": 1, "i": 2, "x": 3, "d": b"\xff" * 32, "a": []}, use_bin_type=False
    )
    assert codec.decode_chain(packed, "abc", "id") == Chain(CLIENT.client_id, KEY, "id", frozenset("ab"), 1, 2, 3, b"\xff" * 32)


def test_lua_writes_an_empty_map_as_an_array() -> None:
    fields = msgpack.unpackb(codec.encode_client(CLIENT)) | {"r": []}
    assert codec.decode_client(msgpack.packb(fields)).retired == {}


@pytest.mark.parametrize(("decode", "packed"), DECODERS)
def test_an_unknown_field_of_a_newer_version_is_ignored(decode: Callable[[bytes], Any], packed: bytes) -> None:
    newer = msgpack.packb(msgpack.unpackb(packed, raw=True) | {b"new": [1, {b"x": None}]}, use_bin_type=False)
    assert decode(newer) == decode(packed)


@pytest.mark.parametrize(("decode", "packed"), DECODERS)
def test_a_record_without_one_of_its_fields_is_corrupt(decode: Callable[[bytes], Any], packed: bytes) -> None:
    fields = msgpack.unpackb(packed, raw=True)
    for missing in fields.keys() - OPTIONAL.get(decode, {}).keys():
        with pytest.raises(codec.CorruptRecord):
            decode(msgpack.packb({name: value for name, value in fields.items() if name != missing}, use_bin_type=False))


@given(st.binary(max_size=64))
def test_garbage_is_corrupt_and_never_shown(value: bytes) -> None:
    for decode, _ in DECODERS:
        with pytest.raises(codec.CorruptRecord, match=r"^corrupt (client|credential|account|token|registration|code) record$"):
            decode(value)


@pytest.mark.parametrize("value", [b"\x81\x91\x01\x02", b"\x80", b"\xc0", b"\xa3abc", b"\xc7\x01\x05x", b"\xd9"])
def test_other_msgpack_is_corrupt(value: bytes) -> None:
    for decode, _ in DECODERS:
        with pytest.raises(codec.CorruptRecord):
            decode(value)
