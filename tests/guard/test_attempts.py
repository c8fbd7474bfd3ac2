"""Who may try another secret, on a clock of the test's own (O11)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import AttemptLimits
from gateway.errors import TooManyRequests
from gateway.guard import attempts as module
from gateway.guard.attempts import BEYOND, GENERATED, MOST_REMEMBERED, REMEMBERED, UNDER_ATTACK, Attempts, Kind

HERE, THERE = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"
NOW = 1000.0
GENERATED_KINDS = [kind for kind in Kind if kind is not Kind.ACCOUNT]


def some_attempts(**limits: int) -> Attempts:
    return Attempts(AttemptLimits(**{"per_credential": 10, **limits}), key=b"of the test")


def wrong(
    attempts: Attempts, count: int, kind: Kind = Kind.ACCOUNT, source: bytes = HERE, who: str = "ann", now: float = NOW
) -> int:  # fmt: skip
    """Try that many wrong secrets; gives how many were let through."""
    for number in range(count):
        try:
            attempt = attempts.admit(kind, source, who, f"wrong-{number}-{now}", now)
        except TooManyRequests:
            return number
        attempts.fail(attempt, now)
    return count


def right(
    attempts: Attempts, kind: Kind = Kind.ACCOUNT, source: bytes = HERE, who: str = "ann", now: float = NOW, proof: str = "hash"
) -> str:  # fmt: skip
    """Try the right secret; gives what an earlier success had noted."""
    attempt = attempts.admit(kind, source, who, "right", now)
    noted = attempt.proof
    attempt.proof = proof
    attempts.succeed(attempt, now)
    return noted


def refused(attempts: Attempts, *args: Any, **kwargs: Any) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as caught:
        right(attempts, *args, **kwargs)
    return caught.value


@pytest.mark.parametrize("kind", Kind)
def test_o11_ten_wrong_ones_of_one_credential_and_then_one_in_six_seconds(kind: Kind) -> None:
    attempts = some_attempts()
    assert wrong(attempts, 99, kind) == 10
    error = refused(attempts, kind)
    assert (error.reason, dict(error.headers)["Retry-After"]) == ("per_credential", "6")
    assert wrong(attempts, 99, kind, now=NOW + 6.01) == 1
    assert wrong(attempts, 99, kind, now=NOW + 66.01) == 10


def test_o11_many_at_once_gain_nothing() -> None:
    """CVE-2024-4629: an attempt is paid before it is verified."""
    attempts = some_attempts()
    for number in range(10):
        attempts.admit(Kind.ACCOUNT, HERE, "ann", f"guess {number}", NOW)
    assert refused(attempts).reason == "per_credential"


@pytest.mark.parametrize("kind", GENERATED_KINDS)
def test_a_client_may_ask_many_times_at_once_from_the_start(kind: Kind) -> None:
    """The same generated secret is one guess; right or wrong, what it cost is right in the end."""
    attempts = some_attempts()
    under_way = [attempts.admit(kind, HERE, "gwk", "right", NOW) for _ in range(200)]
    for attempt in under_way:
        attempts.succeed(attempt, NOW)
    assert wrong(attempts, 99, kind, who="gwk") == 10
    attempts = some_attempts()
    for attempt in [attempts.admit(kind, HERE, "gwk", "wrong", NOW) for _ in range(200)]:
        attempts.fail(attempt, NOW)
    assert wrong(attempts, 99, kind, who="gwk") == 0
    assert attempts._under_way == {}


def test_o11_being_right_resets_nothing() -> None:
    """Or an attacker's own account would buy it guesses at others, and his own guesses at one would never end."""
    attempts = some_attempts(per_source=12)
    assert wrong(attempts, 9) == 9
    for _ in range(50):
        right(attempts, who="mallory")
        right(attempts)
    assert wrong(attempts, 99) == 1
    assert wrong(attempts, 99, who="bob") == 2


@pytest.mark.parametrize("kind", Kind)
def test_o11_a_stranger_at_the_same_address_locks_nobody_out_who_was_right_there(kind: Kind) -> None:
    attempts = some_attempts()
    right(attempts, kind)
    for second in range(0, 600, 10):
        wrong(attempts, 99, kind, now=NOW + second)
        wrong(attempts, 9, kind, who=f"other {second}", now=NOW + second)
        right(attempts, kind, now=NOW + second)


@pytest.mark.parametrize("kind", Kind)
def test_o11_nobody_is_locked_out_elsewhere(kind: Kind) -> None:
    """A limit is the attacker's address's, also for an owner who was never seen."""
    attempts = some_attempts()
    wrong(attempts, 99, kind)
    assert refused(attempts, kind)
    right(attempts, kind, source=THERE)


def test_o11_a_spray_over_many_accounts_ends_with_its_address() -> None:
    """Sixty passwords, whatever names they are for."""
    attempts = some_attempts()
    assert sum(wrong(attempts, 1, who=f"user{number}") for number in range(200)) == 60
    assert refused(attempts, who="somebody").reason == "per_source"
    right(attempts, source=THERE, who="somebody")


@pytest.mark.parametrize("kind", GENERATED_KINDS)
def test_of_generated_secrets_an_address_has_ten_times_as_many(kind: Kind) -> None:
    """Broken deployments behind one address must not keep the sound ones there from starting."""
    attempts = some_attempts()
    assert sum(wrong(attempts, 1, kind, who=f"client {number}") for number in range(2000)) == pytest.approx(60 / GENERATED, abs=1)
    attempts = some_attempts()
    for second in range(0, 120, 2):
        for broken in range(20):
            wrong(attempts, 99, kind, who=f"broken {broken}", now=NOW + second)
        right(attempts, kind, who=f"starts at {second}", now=NOW + second)


def test_o11_an_account_under_attack_from_everywhere_is_never_locked() -> None:
    """A new address gets two attempts in place of ten, and then one in half a minute; one that was right before has its ten."""
    attempts = some_attempts()
    right(attempts, source=b"home")
    for number in range(100):
        wrong(attempts, 1, source=number.to_bytes(4, "big"))
    assert wrong(attempts, 99, source=THERE) == 10 // UNDER_ATTACK
    error = refused(attempts, source=THERE)
    assert (error.reason, dict(error.headers)["Retry-After"]) == ("per_account", "30")
    assert wrong(attempts, 99, source=b"home") == 10
    right(attempts, source=b"home")
    right(attempts, source=b"away")
    assert wrong(attempts, 99, source=THERE, who="bob") == 10


def test_o11_a_password_can_t_be_guessed_through_the_right_one_s_way_in() -> None:
    """Whoever knows the address could tell from 200 or 429 which is right: a hundred a minute, then it is 429 for all."""
    attempts = some_attempts()
    right(attempts)
    wrong(attempts, 99)
    for number in range(BEYOND - 2):
        with pytest.raises(TooManyRequests):
            attempts.admit(Kind.ACCOUNT, HERE, "ann", f"guess {number}", NOW)
        right(attempts)
    for number in range(BEYOND):
        with pytest.raises(TooManyRequests):
            attempts.admit(Kind.ACCOUNT, HERE, "ann", f"more {number}", NOW)
    assert refused(attempts)
    right(attempts, now=NOW + 6.1)


def test_a_retired_secret_loses_its_way_in() -> None:
    attempts = some_attempts()
    right(attempts, Kind.CLIENT)
    for _ in range(2):
        attempts.fail(attempts.admit(Kind.CLIENT, HERE, "ann", "right", NOW), NOW)
    assert wrong(attempts, 99, Kind.CLIENT) == 8


def test_a_stranger_s_assertion_does_not_end_what_the_client_s_own_earned() -> None:
    """Of a JWT only the client id is known before it is verified."""
    attempts = some_attempts()
    attempts.succeed(attempts.admit(Kind.ASSERTION, HERE, "gwc", "", NOW), NOW)
    for _ in range(100):
        attempts.fail(attempts.admit(Kind.ASSERTION, HERE, "gwc", "", NOW), NOW)
    attempts.succeed(attempts.admit(Kind.ASSERTION, HERE, "gwc", "", NOW), NOW)


def test_an_outage_is_nobody_s_failure() -> None:
    attempts = some_attempts()
    for number in range(100):
        attempts.forgive(attempts.admit(Kind.ACCOUNT, HERE, "ann", f"{number}", NOW))
    assert wrong(attempts, 99) == 10
    assert attempts._under_way == {}


def test_what_a_success_was_verified_against_is_kept_for_a_day_and_for_that_secret() -> None:
    attempts = some_attempts()
    assert right(attempts, proof="hash") == ""
    assert right(attempts, proof="hash") == "hash"
    assert right(attempts, source=THERE) == ""
    assert right(attempts, who="bob") == ""
    assert attempts.admit(Kind.ACCOUNT, HERE, "ann", "righ", NOW).proof == ""
    assert right(attempts, now=NOW + REMEMBERED - 1) == "hash"
    assert right(attempts, now=NOW + 2 * REMEMBERED) == ""


def test_g05_registrations_of_one_address() -> None:
    attempts = some_attempts(registrations=3)
    for _ in range(3):
        attempts.register(HERE, NOW)
    with pytest.raises(TooManyRequests) as caught:
        attempts.register(HERE, NOW)
    assert (caught.value.reason, dict(caught.value.headers)["Retry-After"]) == ("registrations", "20")
    attempts.register(THERE, NOW)
    attempts.register(HERE, NOW + 20.1)


def test_zero_is_any_number() -> None:
    attempts = some_attempts(per_credential=0, per_source=0, per_account=0, registrations=0)
    assert wrong(attempts, 2000) == 2000
    for _ in range(100):
        attempts.register(HERE, NOW)


def test_strangers_make_nothing_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of fixed size; only who is right is remembered, the latest of them."""
    assert MOST_REMEMBERED == 20_000
    monkeypatch.setattr(module, "MOST_REMEMBERED", 10)
    attempts = some_attempts()
    for number in range(1000):
        wrong(attempts, 1, who=f"user{number}", source=number.to_bytes(4, "big"))
    assert (attempts._right, attempts._under_way) == ({}, {})
    for number in range(20):
        right(attempts, who=f"user{number}")
    assert len(attempts._right) == 10
    assert right(attempts, who="user19") == "hash"
    assert right(attempts, who="user0") == ""


def test_nothing_that_was_sent_is_kept() -> None:
    """Digests under the process's own key; another key, others."""
    attempts, other = some_attempts(), Attempts(AttemptLimits(), key=b"another")
    right(attempts, proof="")
    right(other, proof="")
    assert all(len(digest) == 16 for digest in attempts._right)
    assert not set(attempts._right) & set(other._right)


def test_any_name_can_be_tried() -> None:
    """The ``sub`` of a JWT may hold half a surrogate pair."""
    assert wrong(some_attempts(), 99, Kind.ASSERTION, who="\ud800") == 10
