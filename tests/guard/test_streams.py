"""The index of live streams, on a real verdict cache whose store answers and changes in exactly the order that a test names."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest

from gateway.config.model import Config
from gateway.errors import StoreUnavailable, TooManyRequests
from gateway.guard.permit import permit, permit_public
from gateway.guard.streams import EXPIRED, MAX_ASKING, RETRY, REVOKED, ROUND, SCOPE_LOST, Stream, Streams
from gateway.routing import Match, Router
from tests.guard.test_verdicts import CLIENT, NOW, READ, TOKEN, Bench, a_ref

ROUTER = Router(Config.model_validate({
    "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}},
    "routes": [
        {"path": "/ws", "upstream": "a", "streams": {"max_per_client": 2}},
        {"path": "/read", "upstream": "a", "streams": {}, "scopes": [READ]},
        {"path": "/begin", "upstream": "a", "streams": {"until": "close"}},
        {"path": "/public", "upstream": "a", "streams": {"max_per_client": 2}, "public": True},
        {"path": "/plain", "upstream": "a"},
    ],
}))  # fmt: skip
DEADLINE = 2000.0
"""When `TOKEN` is dead."""


class Live(Bench):
    """Streams beside the cache; ``ended`` is what the index said to each."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__(limit)
        self.streams = Streams(self.verdicts, self.registry)
        self.ended: list[tuple[str, str]] = []
        self.streams.tick(NOW)

    def open(self, name: str = "one", path: str = "/ws", number: int = 1, kind: str = "websocket") -> Stream:
        """A stream on a token that is kept."""
        match = ROUTER.match("", "GET", path)
        verdict = self.found(number) or self.keep(number)
        stream = self.streams.admit(match, verdict.client_id, a_ref(number), permit(match, verdict, self.now), self.end(name))
        if kind:
            self.streams.began(stream, kind)
        return stream

    def end(self, name: str) -> Any:
        return lambda reason: self.ended.append((name, reason))

    def tick(self, now: float) -> None:
        self.now = now
        self.streams.tick(now)


@pytest.fixture
def live() -> Live:
    return Live()


def test_at_its_deadline_a_stream_ends(live: Live) -> None:
    """Not before; and once."""
    live.open()
    live.tick(DEADLINE - 0.01)
    assert live.ended == []
    live.tick(DEADLINE)
    live.tick(DEADLINE + 1)
    assert live.ended == [("one", EXPIRED)]


def test_the_first_of_several_deadlines_is_not_missed(live: Live) -> None:
    live.keep(2, replace(TOKEN, expires_at=1_500_000))
    live.open("late")
    live.open("early", number=2)
    live.tick(1500.0)
    assert live.ended == [("early", EXPIRED)]
    live.tick(DEADLINE)
    assert live.ended[1:] == [("late", EXPIRED)]


def test_a_revoked_token_ends_all_its_streams_and_no_other(live: Live) -> None:
    live.open("one")
    live.open("two")
    live.open("other", "/read", number=2)
    live.verdicts.token_changed(a_ref(1).digest)
    live.facts.answer_token(None)
    assert sorted(live.ended) == [("one", REVOKED), ("two", REVOKED)]


def test_a_token_that_is_gone_at_its_hour_has_expired(live: Live) -> None:
    """The store drops the record and says so before our tick comes."""
    live.open()
    live.tick(DEADLINE - 0.5)
    live.verdicts.token_changed(a_ref().digest)
    live.facts.answer_token(None)
    assert live.ended == [("one", EXPIRED)]


@pytest.mark.parametrize("client", [None, replace(CLIENT, enabled=False), replace(CLIENT, epoch=9)])
def test_a_client_that_no_longer_backs_its_tokens_ends_their_streams(live: Live, client: Any) -> None:
    live.open("one", number=1)
    live.open("two", number=2)
    live.verdicts.client_changed("gwc_one")
    live.facts.answer_token()
    live.facts.answer_token()
    live.facts.answer_client(client)
    assert sorted(live.ended) == [("one", REVOKED), ("two", REVOKED)]


def test_a_change_that_takes_nothing_away_ends_nothing(live: Live) -> None:
    """And the next change is heard of, since the records were read again."""
    live.open("one", "/read")
    live.verdicts.client_changed("gwc_one")
    live.facts.answer_token()
    live.facts.answer_client(replace(CLIENT, keys=("gwk_new",)))
    assert live.ended == []
    assert live.found() is not None
    live.verdicts.token_changed(a_ref().digest)
    live.facts.answer_token(None)
    assert live.ended == [("one", REVOKED)]


def test_a_scope_that_was_taken_away_ends_only_streams_that_need_it(live: Live) -> None:
    live.open("needs", "/read")
    live.open("does not", "/ws")
    live.verdicts.client_changed("gwc_one")
    live.facts.answer_token()
    live.facts.answer_client(replace(CLIENT, scopes=frozenset()))
    assert live.ended == [("needs", SCOPE_LOST)]


def test_eviction_hides_no_stream() -> None:
    """The cache has room for one; the push of the evicted token still ends its stream, and so does its client's."""
    live = Live(limit=1)
    live.open("first", number=1)
    live.open("second", number=2)
    assert live.found(1) is None
    live.verdicts.token_changed(a_ref(1).digest)
    live.facts.answer_token(None)
    assert live.ended == [("first", REVOKED)]
    live.keep(3)
    assert live.found(2) is None
    live.verdicts.client_changed("gwc_one")
    live.facts.answer_token()
    live.facts.answer_client(None)
    assert live.ended[1:] == [("second", REVOKED)]


def test_everything_is_looked_at_again_after_a_flush(live: Live) -> None:
    for number in (1, 2):
        live.open(str(number), number=number)
    live.verdicts.everything_changed()
    live.tick(NOW + 0.1)
    live.facts.answer_token(None)
    live.facts.answer_token(None)
    assert sorted(live.ended) == [("1", REVOKED), ("2", REVOKED)]


def test_while_the_store_is_away_streams_go_on_but_not_past_their_hour(live: Live) -> None:
    """Each second it is asked again; the deadline needs no store."""
    live.open()
    live.verdicts.everything_changed()
    live.tick(NOW + 0.1)
    live.facts.answer_token(StoreUnavailable("down"))
    live.tick(NOW + 0.2)
    assert live.facts.tokens == []
    live.tick(NOW + 0.2 + RETRY)
    live.facts.answer_token(StoreUnavailable("down"))
    assert live.ended == []
    live.tick(DEADLINE)
    assert live.ended == [("one", EXPIRED)]


def test_a_store_that_comes_back_has_the_last_word(live: Live) -> None:
    live.open()
    live.verdicts.everything_changed()
    live.tick(NOW + 0.1)
    live.facts.answer_token(StoreUnavailable("down"))
    live.verdicts.everything_changed()
    live.tick(NOW + 0.2)
    live.facts.answer_token(None)
    assert live.ended == [("one", REVOKED)]


def test_a_token_that_died_before_its_stream_was_known_ends_it(live: Live) -> None:
    """The head of an answer comes later than its request: what is no longer kept is asked for."""
    match = ROUTER.match("", "GET", "/plain")
    granted = permit(match, live.keep(), NOW)
    live.verdicts.token_changed(a_ref().digest)
    live.streams.admit(match, "gwc_one", a_ref(), granted, live.end("late"))
    live.tick(NOW + 0.1)
    live.facts.answer_token(None)
    assert live.ended == [("late", REVOKED)]


def test_where_nothing_tells_of_changes_they_are_asked_after(live: Live) -> None:
    live.open()
    live.facts.caching = False
    live.verdicts.everything_changed()
    live.tick(NOW + 0.1)
    live.facts.answer_token()
    live.facts.answer_client()
    live.tick(NOW + 0.2)
    assert live.facts.tokens == []
    live.tick(NOW + ROUND + 1)
    live.facts.answer_token(None)
    assert live.ended == [("one", REVOKED)]


def test_only_so_many_are_asked_at_a_time(live: Live) -> None:
    for number in range(MAX_ASKING + 10):
        live.open(str(number), "/plain", number)
    live.verdicts.everything_changed()
    live.tick(NOW + 0.1)
    assert len(live.facts.tokens) == MAX_ASKING
    live.facts.answer_token(None)
    assert len(live.facts.tokens) == MAX_ASKING
    while live.facts.tokens:
        live.facts.answer_token(None)
    assert len(live.ended) == MAX_ASKING + 10


def test_a_change_during_a_look_up_is_looked_at_after_it(live: Live) -> None:
    """The answer that is on its way may be older than the change."""
    live.open()
    live.verdicts.token_changed(a_ref().digest)
    live.verdicts.token_changed(a_ref().digest)
    live.facts.answer_token()
    live.facts.answer_client()
    assert (live.ended, len(live.facts.tokens)) == ([], 1)
    live.facts.answer_token(None)
    assert live.ended == [("one", REVOKED)]


def test_a_scope_that_was_lost_before_the_stream_was_known_ends_it(live: Live) -> None:
    """An answer turns out to be a stream late; by then another request had the cache read what the client may still do."""
    match = ROUTER.match("", "GET", "/read")
    granted = permit(match, live.keep(), live.now)
    live.verdicts.client_changed("gwc_one")
    live.fetch()
    live.facts.answer_token()
    live.facts.answer_client(replace(CLIENT, scopes=frozenset()))
    assert live.found() is not None
    live.streams.began(live.streams.admit(match, "gwc_one", a_ref(), granted, live.end("one")), "events")
    live.tick(NOW + 0.1)
    live.facts.answer_token()
    assert live.ended == [("one", SCOPE_LOST)]


def test_until_close_outlives_its_token(live: Live) -> None:
    live.open(path="/begin")
    live.verdicts.token_changed(a_ref().digest)
    live.tick(DEADLINE + 1)
    assert live.facts.tokens == []
    assert live.ended == []


def test_a_closed_stream_is_forgotten(live: Live) -> None:
    stream = live.open()
    live.streams.close(stream, "finished")
    live.streams.close(stream, "finished")
    live.verdicts.token_changed(a_ref().digest)
    live.verdicts.client_changed("gwc_one")
    live.tick(DEADLINE)
    assert live.facts.tokens == []
    assert live.ended == []
    streams = live.streams
    assert not any((streams._tokens, streams._clients, streams._counts, streams._doubted, streams._asking))


def test_what_a_stream_belongs_to_is_freed_with_it(live: Live) -> None:
    """Without a round of the collector, which comes seldom."""

    class Owner:
        def __init__(self) -> None:
            match = ROUTER.match("", "GET", "/ws")
            self.stream = live.streams.admit(match, "gwc_one", a_ref(), permit(match, live.keep(), live.now), self.end)

        def end(self, reason: str) -> None:
            raise AssertionError(reason)

    owner = Owner()
    live.streams.close(owner.stream, "finished")
    left = weakref.ref(owner)
    gc.disable()
    try:
        del owner
        assert left() is None
    finally:
        gc.enable()


def test_the_limit_is_per_client_and_route(live: Live) -> None:
    """One more is refused; one that ended makes room."""
    first = live.open("1")
    live.open("2")
    with pytest.raises(TooManyRequests) as refused:
        live.open("3")
    assert dict(refused.value.headers)["Retry-After"] == "5"
    live.open("elsewhere", "/read")
    live.streams.close(first, "finished")
    live.open("3")


def test_a_public_route_counts_by_address(live: Live) -> None:
    match: Match = ROUTER.match("", "GET", "/public")
    granted = permit_public(match)
    for _ in range(2):
        live.streams.admit(match, "192.0.2.1", None, granted, live.end("public"))
    live.streams.admit(match, "192.0.2.2", None, granted, live.end("public"))
    with pytest.raises(TooManyRequests):
        live.streams.admit(match, "192.0.2.1", None, granted, live.end("public"))


def test_streams_are_counted_while_they_live_and_by_reason_when_they_end(live: Live) -> None:
    """A request that never streamed is none."""
    stream = live.open()
    live.open("events", "/read", kind="events")
    live.streams.close(live.open("short", "/read", kind=""), "finished")
    assert live.metric("gateway_streams") == {'kind="websocket"': 1, 'kind="events"': 1}
    live.streams.close(stream, "idle")
    live.tick(DEADLINE)
    assert live.metric("gateway_streams_ended_total") == {'reason="idle"': 1}
    assert live.metric("gateway_streams")['kind="websocket"'] == 0
