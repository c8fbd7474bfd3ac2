"""Whose a token can be, and what is kept of those that were verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import GatewayError, InvalidToken, IssuerUnavailable
from gateway.guard.issuers import Checked, Claim, Issuer, Issuers, Lookups
from gateway.guard.ports import ForeignRef, Nobody
from gateway.guard.verdict import Verdict
from gateway.oauth.foreign import Holder
from gateway.oauth.tokens import AccessRef, digest_access, mint_access
from gateway.telemetry.metrics import Registry
from tests.oauth.test_foreign import jwt

OURS = mint_access("abc", bytes(32)).encode()
CLAIMS = {
    "jwts": Claim("https://jwts"), "same": Claim("https://jwts"), "plain": Claim("https://plain", takes_opaque=True),
    "marked": Claim("https://marked", takes_opaque=True, prefix=b"mk_"),
}  # fmt: skip


class Verifier:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[ForeignRef, Callable[[Checked | GatewayError], None]]] = []

    def check(self, ref: ForeignRef, done: Callable[[Checked | GatewayError], None]) -> None:
        self.asked.append((ref, done))

    def say(self, answer: Checked | GatewayError) -> None:
        self.asked.pop(0)[1](answer)


class Rig:
    """One issuer, its clocks, and what it was asked."""

    def __init__(self, limit: int = 200) -> None:
        self.now = 0.0
        self.wall = 1000.0
        self.verifier = Verifier()
        self.registry = Registry()
        self.issuer = Issuer(
            "idp", "https://idp", self.verifier, clock=lambda: self.now, wall=lambda: self.wall,
            registry=self.registry, limit=limit,
        )  # fmt: skip
        self.answers: list[Any] = []

    def fetch(self, token: bytes = b"t") -> bytes:
        digest = digest_access(token)
        self.issuer.fetch(ForeignRef("idp", digest, token), self.answers.append)
        return digest

    def good(self, *, ends: float = 2000.0, keep: float = 60.0) -> Checked:
        return Checked(Holder("app", "ann", frozenset(("b", "a")), ends), keep)


def issuers() -> Issuers:
    made = (Issuer(n, c.iss, Verifier(), clock=lambda: 0.0, wall=lambda: 0.0, registry=Registry()) for n, c in CLAIMS.items())
    return Issuers(made, CLAIMS)


@pytest.mark.parametrize(("trusted", "token", "whose"), [
    ("own", OURS, "own"), ("own jwts plain", OURS, "own"), ("jwts plain", OURS, ""), ("plain", OURS[:-1] + b"!", ""),
    ("plain", b"gwr_abcdef", ""), ("plain", b"gws_abcdef", ""), ("own jwts", jwt({"iss": "https://jwts"}), "jwts"),
    ("own same", jwt({"iss": "https://jwts"}), "same"), ("own plain", jwt({"iss": "https://jwts"}), ""),
    ("own plain marked", jwt({"iss": "https://marked"}), "marked"), ("plain", jwt({"iss": "https://plain"}), "plain"),
    ("plain", jwt({}), ""), ("plain", jwt([]), ""), ("plain", b"mk_x", ""), ("own plain marked", b"mk_x", "marked"),
    ("plain marked", b"mkx", "plain"), ("marked", b"mkx", ""), ("jwts", b"mkx", ""),
    ("own", b"mkx", ""), ("plain", b"a.b.c", "plain"),
])  # fmt: skip
def test_a_token_goes_to_the_one_that_it_can_be_from_or_to_nobody(trusted: str, token: bytes, whose: str) -> None:
    """Not to one that takes any, when it is somebody else's by its looks, even where that one is not trusted."""
    names = trusted.split()
    ref = issuers().find_ref("own" in names, [name for name in names if name != "own"], token)
    assert {AccessRef: "own", type(None): ""}.get(type(ref), getattr(ref, "issuer", "")) == whose
    if ref is not None:
        assert ref.digest == digest_access(token)
    assert token.decode() not in repr(ref)


def test_a_verdict_names_client_and_subject_by_their_issuer() -> None:
    rig = Rig()
    rig.fetch()
    rig.verifier.say(rig.good())
    (verdict,) = rig.answers
    assert (verdict.client_id, verdict.issuer, verdict.scopes, verdict.deadline) == ("idp:app", "idp", {"a", "b"}, 1000.0)
    assert verdict.identity == (
        b"X-Client-Id: idp:app\r\nX-Client-Scopes: a b\r\nX-Token-Subject: idp:ann\r\nX-Token-Issuer: https://idp\r\n"
    )


def test_a_verdict_is_kept_as_long_as_its_verifier_says_and_never_past_the_token_s_end() -> None:
    """RFC 7662 section 4; the end is found by what both clocks say now, so a jump of the wall clock moves nothing (F23)."""
    rig = Rig()
    for token, ends, keep, until in ((b"1", 2000.0, 60.0, 60.0), (b"2", 1030.0, 60.0, 30.0), (b"3", float("inf"), 60.0, 60.0)):
        digest = rig.fetch(token)
        rig.verifier.say(rig.good(ends=ends, keep=keep))
        rig.wall += 3600
        assert rig.issuer.find(digest, until - 0.1) is rig.answers[-1]
        assert rig.issuer.find(digest, until) is None
        rig.wall -= 3600


def test_those_who_ask_at_a_time_get_one_answer() -> None:
    rig = Rig()
    for _ in range(5):
        rig.fetch()
    assert len(rig.verifier.asked) == 1
    rig.verifier.say(rig.good())
    assert len({id(answer) for answer in rig.answers}) == 1
    assert len(rig.answers) == 5


@pytest.mark.parametrize("refused", [InvalidToken(reason="aud"), IssuerUnavailable("keys")])
def test_nothing_negative_is_kept_and_the_log_learns_who_said_it(refused: GatewayError) -> None:
    rig = Rig()
    digest = rig.fetch()
    rig.verifier.say(refused)
    assert rig.answers == [refused]
    assert refused.reason.startswith("issuer idp: ")
    assert rig.issuer.find(digest, 0.0) is None
    rig.fetch()
    assert len(rig.verifier.asked) == 1


def test_the_cache_is_bounded_and_the_oldest_go_first() -> None:
    rig = Rig(limit=100)
    digests = []
    for number in range(150):
        digests.append(rig.fetch(str(number).encode()))
        rig.verifier.say(rig.good())
    assert [rig.issuer.find(digest, 1.0) is not None for digest in digests] == [False] * 50 + [True] * 100


def test_one_caller_s_bug_leaves_no_other_without_an_answer() -> None:
    rig = Rig()
    rig.issuer.fetch(ForeignRef("idp", digest_access(b"t"), b"t"), lambda answer: 1 / 0)  # type: ignore[arg-type, return-value]
    rig.fetch()
    rig.verifier.say(rig.good())
    assert len(rig.answers) == 1


def test_lookups_find_both_kinds_and_ask_whoever_knows() -> None:
    """What streams and the edge look their tokens up with."""

    class Store:
        watcher = Nobody()

        def find(self, digest: bytes, now: float) -> Verdict | None:
            return None

        def fetch(self, ref: AccessRef, done: Any) -> None:
            asked.append(ref)

    rig, asked = Rig(), list[AccessRef]()
    lookups = Lookups(Store(), Issuers([rig.issuer], {"idp": Claim("https://idp")}))
    ref = ForeignRef("idp", digest_access(b"t"), b"t")
    lookups.fetch(ref, rig.answers.append)
    rig.verifier.say(rig.good())
    assert lookups.find(ref.digest, 0.0) is rig.answers[0]
    own = AccessRef("abc", bytes(32))
    lookups.fetch(own, rig.answers.append)
    assert asked == [own]
    assert Lookups(Store(), None).find(ref.digest, 0.0) is None
