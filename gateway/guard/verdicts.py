"""
Which tokens are alive: a cache of verdicts in front of the store, kept right by the store's own invalidations.

A verdict joins two records, the token and its client, that are read one after the other.  Four rules make it safe:

- Nothing is kept unless invalidations arrive (`Facts.caching`), and nothing is kept past the token's expiry.
- `Facts` reports changes in order with its answers.  So a change that is reported after a record was read, and before the
  join, means that the record must be read again; one that is reported before the answer is already part of it.
- The facts about a client live exactly as long as a verdict of that client is kept: one bound covers both.
- Nothing negative is kept: neither "unknown" nor an outage says anything about the next look-up.

This file knows no store and no event loop.  Nothing in it awaits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import islice

from gateway.errors import GatewayError, InvalidToken, StoreUnavailable
from gateway.guard.ports import Facts, Listener, Nobody
from gateway.guard.verdict import Verdict
from gateway.oauth.records import AccessToken, Client, is_backed
from gateway.oauth.tokens import AccessRef
from gateway.telemetry.metrics import Registry

VerdictDone = Callable[[Verdict | GatewayError], None]
"""Gets a `Verdict`, or `InvalidToken` or `StoreUnavailable` as a value; it is called exactly once and must not raise."""

MAX_READS = 4
"""How often one look-up reads a token that changes while its client is read, before it gives up."""

_log = logging.getLogger("gateway.guard")


class _Lookup:
    """A look-up on its way, for all who wait for the same token."""

    __slots__ = ("reads", "ref", "stale", "token", "waiters")

    def __init__(self, ref: AccessRef, done: VerdictDone) -> None:
        self.ref = ref
        self.waiters = [done]
        self.token: AccessToken | None = None
        self.stale = False
        """The token's record changed after it was read."""
        self.reads = 0


class _Bearer:
    """A client that verdicts are kept of."""

    __slots__ = ("client", "digests", "last", "subject")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.digests: set[bytes] = set()
        self.last: Verdict | None = None
        """The youngest verdict: most tokens of a client have the same scopes and can share them."""
        self.subject = ""
        """Whom that one acts for."""


class Verdicts:
    """Finds kept verdicts at once and fetches others.  It is the `Listener` of its `Facts`."""

    def __init__(self, facts: Facts, *, clock: Callable[[], float], limit: int = 100_000, registry: Registry,
        keeps_stale: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            facts: The store.
            clock: The event loop's, in seconds.
            limit: Most verdicts that are kept.
            registry: Where it counts.
            keeps_stale: Whether what was known is remembered while the link is down, for `stale`.
        """
        self._facts = facts
        self._clock = clock
        self._limit = limit
        self._kept: dict[bytes, Verdict] = {}
        self._keeps_stale = keeps_stale
        self._expected: dict[bytes, Callable[[], None]] = {}
        self._stale: dict[bytes, Verdict] = {}
        self._lost_at = 0.0
        self._get = self._kept.get
        self._bearers: dict[str, _Bearer] = {}
        self._lookups: dict[bytes, _Lookup] = {}
        self._awaiting: dict[str, list[_Lookup]] = {}
        self._misses = registry.counter("gateway_verdict_cache_misses_total", "Look-ups that the cache had no answer for")
        self._joined = registry.counter("gateway_verdict_cache_joined_total", "Look-ups that joined one on its way")
        self._evicted = registry.counter("gateway_verdict_cache_evicted_total", "Verdicts dropped to make room")
        registry.watch("gateway_verdict_cache_entries", "Verdicts kept", lambda: len(self._kept))
        invalidations = partial(registry.counter, "gateway_invalidations_total", "Changes reported by the store")
        self._tokens_changed = invalidations(kind="token")
        self._clients_changed = invalidations(kind="client")
        self._all_changed = invalidations(kind="everything")
        self.watcher: Listener = Nobody()
        """Hears every change after this cache did, whether it kept anything of it or not."""
        facts.listener = self

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """The kept verdict on a token that is alive at ``now`` (event-loop seconds).  The hot path: nothing more in here."""
        verdict = self._get(digest)
        if verdict is not None and now < verdict.deadline:
            return verdict
        return None

    def stale(self, digest: bytes, now: float, most: float) -> Verdict | None:
        """
        What was known of a token when the link was lost, ``most`` seconds ago at the longest.

        None while there is a link: then `fetch` tells what is so now.  A change that comes meanwhile is not known.
        """
        if self._facts.caching or now - self._lost_at > most:
            return None
        verdict = self._stale.get(digest)
        return verdict if verdict is not None and now < verdict.deadline else None

    def fetch(self, ref: AccessRef, done: VerdictDone) -> None:
        """Ask the store.  ``done`` is never called within this call; a caller that lost interest ignores it."""
        if not self._facts.caching:
            # Nothing tells of changes, so nothing that was asked before this request began may answer it.
            self._misses.value += 1
            self._read_token(_Lookup(ref, done))
            return
        lookup = self._lookups.get(ref.digest)
        if lookup is not None:
            self._joined.value += 1
            lookup.waiters.append(done)
            return
        self._misses.value += 1
        lookup = self._lookups[ref.digest] = _Lookup(ref, done)
        self._read_token(lookup)

    def expect(self, digest: bytes, told: Callable[[], None] | None) -> None:
        """Have somebody told, once, when a token is reported as changed; None: nobody any more."""
        if told is None:
            self._expected.pop(digest, None)
        else:
            self._expected[digest] = told

    # --- Listener: what changed --------------------------------------------------------------------------------------

    def token_changed(self, digest: bytes) -> None:
        """Forget a token."""
        self._tokens_changed.value += 1
        self._drop(digest)
        told = self._expected.pop(digest, None)
        if told is not None:
            told()
        lookup = self._lookups.get(digest)
        if lookup is not None and lookup.token is not None:
            lookup.stale = True
        self.watcher.token_changed(digest)

    def client_changed(self, client_id: str) -> None:
        """Forget a client and all its tokens.  Whoever waits for its record gets it as it is after the change."""
        self._clients_changed.value += 1
        bearer = self._bearers.pop(client_id, None)
        if bearer is not None:
            for digest in bearer.digests:
                self._kept.pop(digest, None)
        self.watcher.client_changed(client_id)

    def everything_changed(self) -> None:
        """Forget all, and read again whatever was read but not yet joined."""
        self._forget_all()
        self.watcher.everything_changed()

    def link_lost(self, lost: Callable[[str], bool] | None = None) -> None:
        """Forget all that counts as confirmed; what was known of who can't be asked about stays for whoever may go on with it."""
        stale = dict(self._kept) if self._keeps_stale else {}
        if lost is not None:
            stale = {digest: verdict for digest, verdict in stale.items() if lost(verdict.client_id)}
        self._forget_all()
        self._stale, self._lost_at = stale, self._clock()
        self.watcher.link_lost(lost)

    def _forget_all(self) -> None:
        self._all_changed.value += 1
        self._kept.clear()
        self._stale.clear()
        self._bearers.clear()
        for lookup in self._lookups.values():
            lookup.stale = lookup.token is not None

    # --- one look-up: token, then client, then the join --------------------------------------------------------------

    def _read_token(self, lookup: _Lookup) -> None:
        lookup.token = None
        lookup.stale = False
        lookup.reads += 1
        self._facts.fetch_token(lookup.ref, partial(self._token_read, lookup))

    def _token_read(self, lookup: _Lookup, found: AccessToken | GatewayError | None) -> None:
        if found is None:
            self._finish(lookup, InvalidToken())
        elif isinstance(found, GatewayError):
            self._finish(lookup, found)
        else:
            lookup.token = found
            bearer = self._bearers.get(found.client_id)
            if bearer is not None:
                self._join(lookup, found, bearer.client)
            else:
                self._read_client(lookup, found.client_id)

    def _read_client(self, lookup: _Lookup, client_id: str) -> None:
        if not self._facts.caching:
            self._facts.fetch_client(client_id, partial(self._client_read_for, [lookup]))
            return
        waiting = self._awaiting.get(client_id)
        if waiting is not None:
            waiting.append(lookup)
            return
        self._awaiting[client_id] = [lookup]
        self._facts.fetch_client(client_id, partial(self._client_read, client_id))

    def _client_read(self, client_id: str, found: Client | GatewayError | None) -> None:
        self._client_read_for(self._awaiting.pop(client_id), found)

    def _client_read_for(self, lookups: list[_Lookup], found: Client | GatewayError | None) -> None:
        for lookup in lookups:
            if isinstance(found, GatewayError):
                self._finish(lookup, found)
            elif lookup.token is not None:
                self._join(lookup, lookup.token, found)

    def _join(self, lookup: _Lookup, token: AccessToken, client: Client | None) -> None:
        if lookup.stale:
            if lookup.reads < MAX_READS:
                self._read_token(lookup)
            else:
                self._finish(lookup, StoreUnavailable("the token's record changes faster than it can be read"))
            return
        deadline = self._facts.monotonic(token.expires_at)
        if client is None or not is_backed(token, client) or self._clock() >= deadline:
            self._finish(lookup, InvalidToken())
            return
        self._finish(lookup, self._judge(lookup.ref.digest, token, client, deadline))

    def _judge(self, digest: bytes, token: AccessToken, client: Client, deadline: float) -> Verdict:
        scopes = token.scopes if token.scopes <= client.scopes else token.scopes & client.scopes
        if not self._facts.caching:
            return Verdict(token, scopes, deadline, client.plan)
        if len(self._kept) >= self._limit:
            self._make_room()
        bearer = self._bearers.get(client.client_id)
        if bearer is None:
            bearer = self._bearers[client.client_id] = _Bearer(client)
        last = bearer.last
        if (
            last is not None and last.scopes == scopes and bearer.subject == token.subject
            and last.audience == token.audience and last.client_key == token.client_key
        ):  # fmt: skip
            verdict = last.until(deadline)
        else:
            verdict = Verdict(token, scopes, deadline, client.plan)
        bearer.last, bearer.subject = verdict, token.subject
        bearer.digests.add(digest)
        self._kept[digest] = verdict
        return verdict

    def _finish(self, lookup: _Lookup, answer: Verdict | GatewayError) -> None:
        if self._lookups.get(lookup.ref.digest) is lookup:
            del self._lookups[lookup.ref.digest]
        for done in lookup.waiters:
            try:
                done(answer)
            except Exception:  # one caller's bug may not leave the others without an answer
                _log.exception("verdict.callback_failed")

    # --- what is kept ------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        # The oldest hundredth at once: finding the first entry of a dict walks over the holes of those dropped before.
        oldest = list(islice(self._kept, max(1, self._limit // 100)))
        for digest in oldest:
            self._drop(digest)
        self._evicted.value += len(oldest)

    def _drop(self, digest: bytes) -> None:
        verdict = self._kept.pop(digest, None)
        if verdict is None:
            return
        bearer = self._bearers[verdict.client_id]
        bearer.digests.discard(digest)
        if not bearer.digests:
            del self._bearers[verdict.client_id]
