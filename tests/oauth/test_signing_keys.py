"""The keys that sign JWT access tokens: sealed, and changed so that whoever caches the key set finds each one."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from gateway.oauth.signing_keys import (
    AHEAD_MS,
    MAX_KEYS,
    SEAL_ENTROPY,
    Ring,
    SigningKey,
    choose,
    is_current,
    key_set,
    make_key,
    open_key,
    prune,
    renew,
    reseal,
)

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
HOUR, DAY = 3_600_000, 24 * 3_600_000


def entropy(byte: int = 1) -> bytes:
    return bytes([byte]) * SEAL_ENTROPY


def key(made_at: int, longest_ms: int = 0, kid: str = "") -> SigningKey:
    return SigningKey(kid or f"k{made_at}", b"{}", b"", made_at, longest_ms)


def test_only_the_secret_opens_a_key() -> None:
    made = make_key(OLD, entropy(), 0, 0)
    assert open_key(made, [OLD]) is not None
    assert open_key(made, [OTHER, OLD]) is not None
    assert open_key(made, [OTHER]) is None
    assert open_key(made, []) is None


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(28), bytes(200)])
def test_a_damaged_seal_opens_with_nothing(sealed: bytes) -> None:
    assert open_key(replace(make_key(OLD, entropy(), 0, 0), sealed=sealed), [OLD]) is None


def test_a_seal_is_of_one_key_only() -> None:
    """Whoever writes to the store can't put one key's seal below another's name."""
    one, two = make_key(OLD, entropy(1), 0, 0), make_key(OLD, entropy(2), 0, 0)
    assert open_key(replace(one, sealed=two.sealed), [OLD]) is None


def test_a_key_is_sealed_anew_with_the_current_secret_and_stays_the_same() -> None:
    made = make_key(OLD, entropy(), 0, 0)
    assert is_current(made, OLD)
    assert not is_current(made, NEW)
    resealed = reseal(made, [NEW, OLD], entropy(2))
    assert is_current(resealed, NEW)
    assert open_key(resealed, [OLD]) is None
    assert (resealed.kid, resealed.jwk) == (made.kid, made.jwk)


def test_what_is_published_verifies_what_is_signed_and_holds_nothing_private() -> None:
    ring = (make_key(OLD, entropy(1), 0, 0), make_key(OLD, entropy(2), 0, 0))
    published = json.loads(key_set(ring))
    for made, member in zip(ring, published["keys"], strict=True):
        assert member.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (member["kty"], member["crv"], member["alg"], member["use"]) == ("EC", "P-256", "ES256", "sig")
        signer = open_key(made, [OLD])
        assert signer is not None
        verified = jws.deserialize_compact(signer.sign(b'{"a":1}'), KeySet.import_key_set(published), algorithms=["ES256"])
        assert verified.headers() == {"alg": "ES256", "typ": "at+jwt", "kid": member["kid"]}
        assert b'"d"' not in made.jwk


def test_no_keys_are_an_empty_set() -> None:
    assert json.loads(key_set(())) == {"keys": []}


def test_the_first_key_signs_at_once_and_a_later_one_when_it_was_published_long_enough() -> None:
    first, second = key(0), key(DAY)
    assert choose([first], 0) is first
    assert choose([first, second], DAY + AHEAD_MS - 1) is first
    assert choose([first, second], DAY + AHEAD_MS) is second
    assert choose([], 0) is None


def test_a_key_goes_when_its_last_token_is_dead() -> None:
    first, second = key(0, longest_ms=HOUR), key(DAY)
    assert prune((first, second), DAY + AHEAD_MS + HOUR) == (first, second)
    assert prune((first, second), DAY + AHEAD_MS + HOUR + 60_001) == (second,)
    assert prune((first,), 1000 * DAY) == (first,)


def test_instances_that_cannot_read_each_others_keys_do_not_make_keys_without_end() -> None:
    """Each signs with its own; the ring has an end whatever happens."""
    serial, ring = itertools.count(), ()
    for round_ in range(200):
        for owner in "ab":
            def make(owner: str = owner, at: int = round_ * 60_000) -> SigningKey:
                return key(at, kid=f"{owner}{next(serial)}")

            ring = renew(
                ring, lambda found, owner=owner: found.kid.startswith(owner), make, now_ms=round_ * 60_000, life_ms=DAY, ttl_ms=0
            )  # fmt: skip
    assert next(serial) < 20
    crowded: Ring = tuple(key(n, longest_ms=1000 * DAY) for n in range(100))
    assert len(renew(crowded, lambda _: False, lambda: key(1000), now_ms=1000, life_ms=DAY, ttl_ms=0)) == MAX_KEYS


def test_what_is_as_it_should_be_is_not_written_again() -> None:
    ring = (key(0, longest_ms=HOUR),)
    assert renew(ring, lambda _: True, lambda: key(1), now_ms=DAY, life_ms=30 * DAY, ttl_ms=HOUR) is ring


@given(st.lists(st.tuples(st.integers(1, 40 * HOUR), st.sampled_from([0, 60_000, HOUR, 9 * DAY])), max_size=60))
def test_every_token_can_be_verified_for_as_long_as_it_lives(steps: list[tuple[int, int]]) -> None:
    """At any time, by whoever fetched the key set within the last hour: its key is in there."""
    serial, ring, now = itertools.count(), (), 0
    snapshots: list[tuple[int, frozenset[str]]] = []
    alive: list[tuple[str, int]] = []
    for pause, ttl in steps:
        now += pause
        ring = renew(
            ring, lambda _: True, lambda at=now: key(at, kid=f"k{next(serial)}"), now_ms=now, life_ms=DAY, ttl_ms=ttl
        )
        published = frozenset(found.kid for found in ring)
        snapshots.append((now, published))
        if ttl:
            signing = choose(ring, now)
            assert signing is not None
            cached = [kids for at, kids in snapshots if now - AHEAD_MS < at]
            assert all(signing.kid in kids for kids in cached), "a resource server that caches would not know it"
            alive.append((signing.kid, now + ttl))
        assert all(kid in published for kid, until in alive if now <= until)
