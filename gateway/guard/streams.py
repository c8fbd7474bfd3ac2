"""
The streams that live on a token: found by digest and by client, so that each ends when its token does.

The index stands beside the verdict cache and hears the same changes: what the cache has no room for is found here all the same.
A change says only that something was written, so the token is looked up again, which also makes the store tell of the next
change; a stream ends when the verdict is no, or when the token's time has come.  While the store does not answer, streams go on
and are looked at again: to that hour, not longer.

This file knows no event loop: `tick` brings the time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from gateway.errors import GatewayError, InsufficientScope, InvalidToken, TooManyRequests
from gateway.guard.permit import Permit, permit
from gateway.guard.ports import Listener, Ref
from gateway.guard.verdict import Verdict
from gateway.routing import Match
from gateway.telemetry.metrics import Gauge, Registry

MAX_ASKING = 256
"""Tokens that are looked up again at a time."""
RETRY = 1.0
"""Seconds until a look-up that failed is tried again."""
ROUND = 10.0
"""Seconds between two looks for tokens that the cache does not keep: where nothing tells of changes, they are asked after."""
SLACK = 1.0
"""Seconds before its deadline in which a token that is gone has expired; the store may say so before our clock does."""
RETRY_AFTER = 5
"""Seconds after which a client with too many streams may come back."""

EXPIRED, REVOKED, SCOPE_LOST = "token_expired", "token_revoked", "scope_lost"


class Verdicts(Protocol):
    """What the index asks of `gateway.guard.verdicts`, or of `gateway.guard.issuers.Lookups` where there are issuers."""

    watcher: Listener

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """A confirmed verdict that is here already."""

    def fetch(self, ref: Ref, done: Callable[[Verdict | GatewayError], None]) -> None:
        """Ask whoever knows; ``done`` is called later, once."""


def _nothing(reason: str) -> None:
    """What the end of a stream that was closed does."""


class Stream:
    """
    One request that may last: from when it is forwarded to its end.

    Attributes:
        kind: What it turned out to be: websocket, events or body; empty while it is a request like any other.
        reason: Why the index ended it; empty when it did not.
    """

    __slots__ = ("client", "digest", "end", "kind", "match", "open", "reason")

    def __init__(self, match: Match, client: str, digest: bytes, end: Callable[[str], None]) -> None:
        self.match = match
        self.client = client
        self.digest = digest
        self.end = end
        self.kind = ""
        self.reason = ""
        self.open = True

    @property
    def lasts(self) -> bool:
        """Whether it is of a kind that goes on as long as both ends like: how long says nothing of anybody's speed."""
        return self.kind in ("websocket", "events")


class _Token:
    """A token that streams live on."""

    __slots__ = ("client_id", "deadline", "ref", "streams")

    def __init__(self, ref: Ref, client_id: str, deadline: float) -> None:
        self.ref = ref
        self.client_id = client_id
        self.deadline = deadline
        self.streams: set[Stream] = set()


class Streams:
    """All streams of a worker.  It is a `Listener`, told by `gateway.guard.verdicts` after that has forgotten what changed."""

    def __init__(self, verdicts: Verdicts, registry: Registry) -> None:
        self._verdicts = verdicts
        self._registry = registry
        self._tokens: dict[bytes, _Token] = {}
        self._clients: dict[str, set[bytes]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._doubted: dict[bytes, None] = {}
        self._asking: set[bytes] = set()
        self._now = 0.0
        self._due = float("inf")
        """No later than the first deadline."""
        self._retry = 0.0
        self._round = 0.0
        verdicts.watcher = self

    # --- what the edge says ------------------------------------------------------------------------------------------

    def admit(self, match: Match, client: str, ref: Ref | None, granted: Permit, end: Callable[[str], None]) -> Stream:
        """
        Take a request in that may last.

        Args:
            match: Its route, whose limit and policy count.
            client: Whose it is, for the limit.
            ref: Its token; None on a public route.
            granted: Its permit.
            end: Called once, later, with the reason, when the token is no longer good for it; `close` is still to be called.

        Raises:
            TooManyRequests: The client has as many here as the route allows.
        """
        rules = match.route.streams
        if rules is not None:
            place = (match.route.name, client)
            count = self._counts.get(place, 0)
            if count >= rules.max_per_client:
                raise TooManyRequests("The client has too many streams here", retry_after=RETRY_AFTER)
            self._counts[place] = count + 1
        stream = Stream(match, client, ref.digest if ref is not None else b"", end)
        if ref is not None and (rules is None or rules.until == "token"):
            self._watch(stream, ref, granted)
        return stream

    def began(self, stream: Stream, kind: str) -> None:
        """It is no request like any other: it streams."""
        stream.kind = kind
        self._live(kind).value += 1

    def close(self, stream: Stream, reason: str) -> None:
        """It has ended; ``reason`` counts unless the index ended it itself."""
        if not stream.open:
            return
        stream.open = False
        stream.end = _nothing  # it leads back to the stream: a circle for each request, which only the collector would undo
        self._unwatch(stream)
        if stream.match.route.streams is not None:
            place = (stream.match.route.name, stream.client)
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]
        if stream.kind:
            self._live(stream.kind).value -= 1
            self._registry.counter(
                "gateway_streams_ended_total", "Streams that ended, by reason.", reason=stream.reason or reason
            ).value += 1

    def tick(self, now: float) -> None:
        """End what has expired and look after what is doubted; to be called a few times a second with event-loop seconds."""
        self._now = now
        if now >= self._due:
            self._expire(now)
        if now >= self._round:
            self._round = now + ROUND
            for digest in self._tokens:
                if digest not in self._asking and self._verdicts.find(digest, now) is None:
                    self._doubted[digest] = None
        if self._doubted and now >= self._retry:
            self._ask()

    # --- Listener: what changed --------------------------------------------------------------------------------------

    def token_changed(self, digest: bytes) -> None:
        """Look at a token again, at once."""
        if digest in self._tokens:
            self._doubted[digest] = None
            self._ask()

    def client_changed(self, client_id: str) -> None:
        """Look at all tokens of a client again, at once."""
        digests = self._clients.get(client_id)
        if digests:
            self._doubted.update(dict.fromkeys(digests))
            self._ask()

    def everything_changed(self) -> None:
        """Look at all tokens again, with the next tick: the link is in between connections, perhaps."""
        self._doubted.update(dict.fromkeys(self._tokens))
        self._retry = 0.0

    def link_lost(self, lost: Callable[[str], bool] | None = None) -> None:
        """The same: what can't be asked is asked again."""
        self.everything_changed()

    # --- within ------------------------------------------------------------------------------------------------------

    def _watch(self, stream: Stream, ref: Ref, granted: Permit) -> None:
        token = self._tokens.get(ref.digest)
        if token is None:
            token = self._tokens[ref.digest] = _Token(ref, granted.client_id, granted.deadline)
            self._clients.setdefault(granted.client_id, set()).add(ref.digest)
            self._due = min(self._due, granted.deadline)
        token.streams.add(stream)
        # Authorized a while ago, as the head of an answer comes later than its request; or the cache keeps nothing.
        verdict = self._verdicts.find(ref.digest, self._now)
        if verdict is None or verdict.identity != granted.identity:
            self._doubted[ref.digest] = None

    def _unwatch(self, stream: Stream) -> None:
        token = self._tokens.get(stream.digest)
        if token is None:
            return
        token.streams.discard(stream)
        if token.streams:
            return
        del self._tokens[stream.digest]
        self._doubted.pop(stream.digest, None)
        digests = self._clients[token.client_id]
        digests.discard(stream.digest)
        if not digests:
            del self._clients[token.client_id]

    def _expire(self, now: float) -> None:
        due = float("inf")
        for token in list(self._tokens.values()):
            if now >= token.deadline:
                self._end_all(token, EXPIRED)
            else:
                due = min(due, token.deadline)
        self._due = due

    def _ask(self) -> None:
        """Look doubted tokens up, so many at a time; the answers ask for the next ones."""
        doubted, asking = self._doubted, self._asking
        again = []  # doubted anew while they are asked after; MAX_ASKING at most
        # From the end: of a dict with many holes at its beginning the first entry is far away.
        while doubted and len(asking) < MAX_ASKING:
            digest, _ = doubted.popitem()
            if digest in asking:
                again.append(digest)
            else:
                asking.add(digest)
                self._verdicts.fetch(self._tokens[digest].ref, partial(self._answered, digest))
        doubted.update(dict.fromkeys(again))

    def _answered(self, digest: bytes, verdict: Verdict | GatewayError) -> None:
        self._asking.discard(digest)
        token = self._tokens.get(digest)
        if token is None:
            pass
        elif isinstance(verdict, Verdict):
            self._judge(token, verdict)
        elif isinstance(verdict, InvalidToken):
            self._end_all(token, EXPIRED if self._now + SLACK >= token.deadline else REVOKED)
        else:
            self._doubted[digest] = None
            self._retry = self._now + RETRY
            return
        if self._doubted:
            self._ask()

    def _judge(self, token: _Token, verdict: Verdict) -> None:
        """The token lives: does it still allow what goes on?"""
        token.deadline = verdict.deadline
        self._due = min(self._due, verdict.deadline)
        for stream in list(token.streams):
            try:
                permit(stream.match, verdict, self._now)
            except InsufficientScope:
                self._end(stream, SCOPE_LOST)
            except InvalidToken:
                self._end(stream, EXPIRED)

    def _end_all(self, token: _Token, reason: str) -> None:
        for stream in list(token.streams):
            self._end(stream, reason)

    def _end(self, stream: Stream, reason: str) -> None:
        if stream.open:  # ending another one may have ended it
            self._unwatch(stream)
            stream.reason = reason
            stream.end(reason)

    def _live(self, kind: str) -> Gauge:
        return self._registry.gauge("gateway_streams", "Streams that live.", kind=kind)
