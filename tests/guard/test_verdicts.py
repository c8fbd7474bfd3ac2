"""The verdict cache against a scripted store, whose answers and changes come in exactly the order that a test names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from gateway.errors import GatewayError, InvalidToken, StoreUnavailable
from gateway.guard.ports import ClientDone, Listener, TokenDone
from gateway.guard.verdict import Verdict
from gateway.guard.verdicts import MAX_READS, Verdicts
from gateway.oauth.records import AccessToken, Client
from gateway.oauth.tokens import AccessRef
from gateway.telemetry.metrics import Registry

NOW = 1000.0
READ, WRITE = "orders:read", "orders:write"
CLIENT = Client("gwc_one", "someone", scopes=frozenset((READ, WRITE)), epoch=3)
TOKEN = AccessToken("gwc_one", "gwk_one", "chain", frozenset((READ,)), 3, 0, expires_at=2_000_000)


class ScriptedFacts:
    """A store whose clock is the loop's; each look-up waits in a list until the test answers it."""

    listener: Listener

    def __init__(self) -> None:
        self.caching = True
        self.tokens: list[tuple[AccessRef, TokenDone]] = []
        self.clients: list[tuple[str, ClientDone]] = []

    def fetch_token(self, ref: AccessRef, done: TokenDone) -> None:
        self.tokens.append((ref, done))

    def fetch_client(self, client_id: str, done: ClientDone) -> None:
        self.clients.append((client_id, done))

    def monotonic(self, store_ms: int) -> float:
        return store_ms / 1000

    def answer_token(self, found: AccessToken | GatewayError | None = TOKEN) -> None:
        self.tokens.pop(0)[1](found)

    def answer_client(self, found: Client | GatewayError | None = CLIENT) -> None:
        self.clients.pop(0)[1](found)


class Bench:
    """Verdicts on scripted facts at a clock that a test sets."""

    def __init__(self, limit: int = 1000) -> None:
        self.now = NOW
        self.facts = ScriptedFacts()
        self.registry = Registry()
        self.verdicts = Verdicts(self.facts, clock=lambda: self.now, limit=limit, registry=self.registry)
        self.answers: list[Verdict | GatewayError] = []

    def fetch(self, number: int = 1) -> None:
        self.verdicts.fetch(a_ref(number), self.answers.append)

    def found(self, number: int = 1) -> Verdict | None:
        return self.verdicts.find(a_ref(number).digest, self.now)

    def keep(self, number: int = 1, token: AccessToken = TOKEN) -> Verdict:
        """Look a token up and keep it."""
        self.fetch(number)
        self.facts.answer_token(token)
        if self.facts.clients:
            self.facts.answer_client()
        verdict = self.answers.pop()
        assert isinstance(verdict, Verdict)
        return verdict

    def metric(self, name: str) -> dict[str, Any]:
        series: dict[str, Any] = self.registry.snapshot()[name]["series"]
        return series


@pytest.fixture
def bench() -> Bench:
    return Bench()


def a_ref(number: int = 1) -> AccessRef:
    return AccessRef("abc", sha256(str(number).encode()).digest())


def test_a_verdict_joins_token_and_client_and_is_kept(bench: Bench) -> None:
    """The second use asks nobody."""
    verdict = bench.keep()
    assert (verdict.client_id, verdict.scopes, verdict.deadline) == ("gwc_one", {READ}, 2000.0)
    assert bench.found() is verdict
    assert bench.metric("gateway_verdict_cache_entries") == {"": 1}


def test_done_is_never_called_within_fetch(bench: Bench) -> None:
    bench.fetch()
    assert bench.answers == []


def test_the_facts_of_a_client_serve_its_next_token(bench: Bench) -> None:
    bench.keep(1)
    bench.fetch(2)
    bench.facts.answer_token()
    assert isinstance(bench.answers.pop(), Verdict)
    assert bench.facts.clients == []


def test_scopes_are_what_the_client_may_still_have(bench: Bench) -> None:
    """The operator took a scope away after the token was issued."""
    bench.fetch()
    bench.facts.answer_token(replace(TOKEN, scopes=frozenset((READ, "gone"))))
    bench.facts.answer_client()
    verdict = bench.answers.pop()
    assert isinstance(verdict, Verdict)
    assert verdict.scopes == {READ}


def test_tokens_of_a_client_with_other_scopes_do_not_share(bench: Bench) -> None:
    first, second = bench.keep(1), bench.keep(2, replace(TOKEN, scopes=frozenset((WRITE,))))
    assert first.identity != second.identity
    assert (first.scopes, second.scopes) == ({READ}, {WRITE})


def test_rfc8707_tokens_of_a_client_for_other_resources_do_not_share(bench: Bench) -> None:
    for number, audience in enumerate((("https://a/x",), (), ("https://a/y",)), start=1):
        kept = bench.keep(number, replace(TOKEN, audience=frozenset(audience)))
        assert kept.audience == set(audience)


def test_tokens_of_a_client_for_other_people_do_not_share(bench: Bench) -> None:
    """Nor do those of nobody with those of somebody."""
    tokens = [replace(TOKEN, subject=subject) for subject in ("gwu_ann", "gwu_bob", "", "gwu_ann")]
    kept = [bench.keep(number, token) for number, token in enumerate(tokens, start=1)]
    for verdict, token in zip(kept, tokens, strict=True):
        line = f"X-Token-Subject: {token.subject}\r\n".encode()
        assert verdict.identity.endswith(line) if token.subject else b"X-Token-Subject" not in verdict.identity


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(None, id="gone"),
        pytest.param(replace(CLIENT, enabled=False), id="disabled"),
        pytest.param(replace(CLIENT, epoch=4), id="its tokens were ended"),
        pytest.param(replace(CLIENT, retired={"gwk_one": 5}), id="the key was retired with its tokens"),
        pytest.param(replace(CLIENT, client_id="gwc_two"), id="another client's record"),
    ],
)
def test_rfc6750_3_1_a_token_that_its_client_does_not_back_is_invalid(bench: Bench, client: Client | None) -> None:
    bench.fetch()
    bench.facts.answer_token()
    bench.facts.answer_client(client)
    assert isinstance(bench.answers.pop(), InvalidToken)
    assert bench.found() is None


def test_nothing_negative_is_kept(bench: Bench) -> None:
    """Unknown now says nothing about the next time."""
    bench.fetch()
    bench.facts.answer_token(None)
    assert isinstance(bench.answers.pop(), InvalidToken)
    assert isinstance(bench.keep(), Verdict)


@pytest.mark.parametrize("leg", ["token", "client"])
def test_an_outage_is_told_as_such_and_not_kept(bench: Bench, leg: str) -> None:
    """Never 401 for an outage."""
    bench.fetch()
    if leg == "token":
        bench.facts.answer_token(StoreUnavailable())
    else:
        bench.facts.answer_token()
        bench.facts.answer_client(StoreUnavailable())
    assert isinstance(bench.answers.pop(), StoreUnavailable)
    assert isinstance(bench.keep(), Verdict)


@pytest.mark.parametrize(("offset_ms", "alive"), [(-1, True), (0, False), (1, False)])
def test_a_token_is_dead_at_its_expiry(bench: Bench, offset_ms: int, alive: bool) -> None:
    """TTL-1, TTL, TTL+1 ms: from the cache, and by a fresh look-up."""
    bench.keep()
    bench.now = (TOKEN.expires_at + offset_ms) / 1000
    assert (bench.found() is not None) is alive
    bench.fetch(2)
    bench.facts.answer_token()
    assert isinstance(bench.answers.pop(), Verdict if alive else InvalidToken)


def test_two_look_ups_of_one_token_are_one(bench: Bench) -> None:
    for _ in range(5):
        bench.fetch()
    bench.facts.answer_token()
    bench.facts.answer_client()
    assert len(bench.answers) == 5
    assert len(set(map(id, bench.answers))) == 1
    assert (bench.facts.tokens, bench.facts.clients) == ([], [])


def test_two_tokens_of_one_client_read_it_once(bench: Bench) -> None:
    bench.fetch(1)
    bench.fetch(2)
    bench.facts.answer_token()
    bench.facts.answer_token()
    assert len(bench.facts.clients) == 1
    bench.facts.answer_client()
    assert [type(answer) for answer in bench.answers] == [Verdict, Verdict]


def test_a_look_up_from_within_done_is_a_new_one(bench: Bench) -> None:
    bench.verdicts.fetch(a_ref(), lambda _: bench.fetch())
    bench.facts.answer_token(None)
    assert len(bench.facts.tokens) == 1


def test_one_raising_callback_costs_the_others_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("bug")

    bench.verdicts.fetch(a_ref(), broken)
    bench.fetch()
    with caplog.at_level(logging.ERROR, "gateway.guard"):
        bench.facts.answer_token(None)
    assert len(bench.answers) == 1
    assert [record.message for record in caplog.records] == ["verdict.callback_failed"]


# --- invalidation ------------------------------------------------------------------------------------------------------


def change_token(facts: ScriptedFacts) -> None:
    facts.listener.token_changed(a_ref().digest)


def change_client(facts: ScriptedFacts) -> None:
    facts.listener.client_changed("gwc_one")


def change_everything(facts: ScriptedFacts) -> None:
    facts.listener.everything_changed()


CHANGES = pytest.mark.parametrize("change", [change_token, change_client, change_everything])
Change = Callable[[ScriptedFacts], None]


@CHANGES
def test_a_change_drops_what_was_kept(bench: Bench, change: Change) -> None:
    bench.keep()
    change(bench.facts)
    assert bench.found() is None
    assert sum(bench.metric("gateway_invalidations_total").values()) == 1


def test_a_change_of_a_client_drops_all_its_tokens_and_no_others(bench: Bench) -> None:
    for number in range(10):
        bench.keep(number)
    bench.fetch(99)
    bench.facts.answer_token(replace(TOKEN, client_id="gwc_two"))
    bench.facts.answer_client(replace(CLIENT, client_id="gwc_two"))
    change_client(bench.facts)
    assert [number for number in (*range(10), 99) if bench.found(number)] == [99]
    bench.fetch(1)
    bench.facts.answer_token()
    assert len(bench.facts.clients) == 1, "the client must be read again too"


@pytest.mark.parametrize("change", [change_token, change_everything])
def test_a_token_that_changes_between_its_reading_and_the_join_is_read_again(bench: Bench, change: Change) -> None:
    """The race of a revocation against a first look-up: token read, revoked, client read."""
    bench.fetch()
    bench.facts.answer_token()
    change(bench.facts)
    bench.facts.answer_client()
    assert bench.answers == []
    bench.facts.answer_token(None)
    assert isinstance(bench.answers.pop(), InvalidToken)
    assert bench.found() is None


def test_a_client_that_changes_during_a_second_reading_of_the_token_is_read_again(bench: Bench) -> None:
    """Token read, token changed, client read, client changed, token read: neither old record may be joined."""
    bench.keep(2)
    change_client(bench.facts)
    bench.fetch()
    bench.facts.answer_token()
    change_token(bench.facts)
    bench.facts.answer_client()
    change_client(bench.facts)
    bench.facts.answer_token()
    bench.facts.answer_client(replace(CLIENT, enabled=False))
    assert isinstance(bench.answers.pop(), InvalidToken)


@CHANGES
def test_a_change_that_precedes_the_answer_is_part_of_it(bench: Bench, change: Change) -> None:
    """The push concerns an older reading: no second look-up is needed."""
    bench.fetch()
    change(bench.facts)
    bench.facts.answer_token()
    change_client(bench.facts)
    bench.facts.answer_client()
    assert isinstance(bench.answers.pop(), Verdict)
    assert bench.facts.tokens == []


def test_a_token_that_never_holds_still_is_unavailable_in_the_end(bench: Bench) -> None:
    """Bounded: a storm of changes can't keep a request for ever."""
    bench.fetch()
    for _ in range(MAX_READS):
        bench.facts.answer_token()
        change_token(bench.facts)
        bench.facts.answer_client()
        change_client(bench.facts)
    assert [type(answer) for answer in bench.answers] == [StoreUnavailable]
    assert bench.facts.tokens == []


def test_a_change_of_what_nobody_knows_does_nothing(bench: Bench) -> None:
    verdict = bench.keep()
    bench.facts.listener.token_changed(a_ref(2).digest)
    bench.facts.listener.client_changed("gwc_two")
    assert bench.found() is verdict


def test_without_invalidations_an_answer_is_used_once(bench: Bench) -> None:
    """A server that refuses tracking."""
    bench.facts.caching = False
    assert isinstance(bench.keep(), Verdict)
    assert bench.found() is None
    bench.fetch()
    bench.facts.answer_token()
    assert len(bench.facts.clients) == 1


# --- bounds ------------------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    bench = Bench(limit=200)
    for number in range(1000):
        bench.keep(number)
        assert bench.metric("gateway_verdict_cache_entries")[""] <= 200
    assert bench.found(999) is not None
    assert bench.found(700) is None
    assert bench.metric("gateway_verdict_cache_evicted_total")[""] >= 800


def test_a_client_without_kept_tokens_is_not_kept(bench: Bench) -> None:
    """The facts of clients are bounded by the verdicts."""
    bench.keep()
    change_token(bench.facts)
    bench.fetch()
    bench.facts.answer_token()
    assert len(bench.facts.clients) == 1


def test_an_expired_verdict_gives_way_to_a_new_one(bench: Bench) -> None:
    """The digest of a prolonged record is kept anew, once."""
    bench.keep()
    bench.now = 3000.0
    verdict = bench.keep(1, replace(TOKEN, expires_at=4_000_000))
    assert bench.found() is verdict
    change_client(bench.facts)
    assert bench.found() is None


def test_without_invalidations_no_request_shares_an_older_look_up() -> None:
    """What was read before it began may be revoked since, and nothing would tell."""
    bench = Bench()
    bench.facts.caching = False
    bench.fetch()
    bench.fetch()
    assert len(bench.facts.tokens) == 2
    bench.facts.answer_token()
    bench.facts.answer_token(None)
    assert len(bench.facts.clients) == 1
    bench.facts.answer_client()
    assert [type(answer) for answer in bench.answers] == [InvalidToken, Verdict]


# --- what was known, while the store can't be asked ---------------------------------------------------------------


class Stale(Bench):
    """With a cache that remembers."""

    def __init__(self, *, keeps_stale: bool = True) -> None:
        super().__init__()
        self.verdicts = Verdicts(
            self.facts, clock=lambda: self.now, limit=1000, registry=self.registry, keeps_stale=keeps_stale
        )

    def lose(self) -> None:
        self.facts.caching = False
        self.facts.listener.link_lost()

    def stale(self, number: int = 1, most: float = 60.0) -> Verdict | None:
        return self.verdicts.stale(a_ref(number).digest, self.now, most)


def test_what_was_known_when_the_link_was_lost_can_be_gone_on_with_for_a_while() -> None:
    """As long as the token lives; what nobody asked about before stays unknown, and nothing counts as confirmed."""
    bench = Stale()
    kept = bench.keep(1)
    assert bench.stale() is None, "there is a link"
    bench.lose()
    assert bench.found() is None
    assert bench.stale() is kept
    assert bench.stale(2) is None
    bench.now += 60.0
    assert bench.stale() is kept
    bench.now += 0.001
    assert bench.stale() is None
    assert bench.stale(most=3600.0) is kept
    bench.now = 2000.0
    assert bench.stale(most=36_000.0) is None, "the token is dead"


@pytest.mark.parametrize("change", [
    lambda facts: facts.listener.token_changed(a_ref(1).digest), lambda facts: facts.listener.client_changed("gwc_one"),
    lambda facts: facts.listener.everything_changed(),
])  # fmt: skip
def test_what_had_ended_before_the_link_was_lost_is_not_gone_on_with(change: Callable[[Any], None]) -> None:
    bench = Stale()
    bench.keep(1)
    change(bench.facts)
    bench.lose()
    assert bench.stale() is None


def test_a_link_that_is_up_anew_ends_it() -> None:
    """Also when it is lost again before anything was asked, and when it tells of no changes."""
    bench = Stale()
    bench.keep(1)
    bench.lose()
    bench.facts.listener.everything_changed()
    assert bench.stale() is None
    bench.lose()
    assert bench.stale() is None


def test_where_no_route_wants_it_nothing_is_remembered() -> None:
    bench = Stale(keeps_stale=False)
    bench.keep(1)
    bench.lose()
    assert bench.stale() is None
