"""Key names: one hash tag a script, and a way back from what an invalidation names."""

from __future__ import annotations

import re

import pytest

from gateway.oauth.tokens import AccessRef
from gateway.store.keys import Keys

CLIENT_ID = "gwc_abcAAAAAAAAAAAAAAAAAAAAAA"
CLIENT_KEY = "gwk_abcBBBBBBBBBBBBBBBBBBBBBB"
REF = AccessRef("abc", bytes(range(32)))
KEYS = Keys()


def test_the_names_are_the_published_ones() -> None:
    assert KEYS.token(REF) == b"gw:at:{abc}:" + bytes(range(32))
    assert KEYS.chain("abc", "AAECAwQFBgcICQoLDA0ODw") == b"gw:ch:{abc}:" + bytes(range(16))
    assert KEYS.client(CLIENT_ID) == b"gw:cl:{abc}:" + CLIENT_ID.encode()
    assert KEYS.credential(CLIENT_KEY) == b"gw:ck:{abc}:" + CLIENT_KEY.encode()
    assert KEYS.live_chains(CLIENT_ID) == b"gw:cx:{abc}:" + CLIENT_ID.encode()
    assert KEYS.last_used(CLIENT_KEY) == b"gw:lu:{abc}:" + CLIENT_KEY.encode()
    assert KEYS.account("a@b.c") == b"gw:ac:{a@b.c}"
    assert KEYS.claim("a@b.c") == b"gw:cm:{a@b.c}"
    assert KEYS.sessions("a@b.c") == b"gw:sx:{a@b.c}"
    assert KEYS.session(bytes(range(32))) == b"gw:ss:" + bytes(range(32))


def test_all_of_a_client_shares_one_hash_tag() -> None:
    names = [
        KEYS.token(REF), KEYS.chain("abc", "AAAA"), KEYS.client(CLIENT_ID), KEYS.credential(CLIENT_KEY),
        KEYS.live_chains(CLIENT_ID), KEYS.last_used(CLIENT_KEY), KEYS.tokens("abc"), KEYS.chains("abc"),
        KEYS.clients("abc"), KEYS.credentials("abc"),
    ]  # fmt: skip
    assert {re.findall(rb"\{([^}]*)\}", name)[0] for name in names} == {b"abc"}


def test_parse_reads_what_an_invalidation_names() -> None:
    assert KEYS.parse(KEYS.token(REF)) == ("token", REF.digest)
    assert KEYS.parse(KEYS.client(CLIENT_ID)) == ("client", CLIENT_ID)


@pytest.mark.parametrize(
    "key",
    [b"", b"gw:at:", b"gw:at:{abc}:short", b"gw:at:{abc}:A", b"gw:ch:{abc}:x", b"other:at:{abc}:x", b"\xff\x00"],
)
def test_parse_ignores_other_keys(key: bytes) -> None:
    assert KEYS.parse(key) is None


def test_a_prefix_separates_gateways() -> None:
    other = Keys("gw2")
    assert other.token(REF).startswith(b"gw2:at:")
    assert other.parse(KEYS.token(REF)) is None
    assert other.parse(other.token(REF)) == ("token", REF.digest)


def test_a_string_that_is_no_id_has_no_key() -> None:
    with pytest.raises(ValueError, match="not a client id"):
        KEYS.client("gwc_ab*")
