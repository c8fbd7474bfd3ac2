"""
Who may try another secret (O11): limits per source and credential, per source, and per account, none of which locks anybody out.

An attempt is paid before it is verified and refunded if it was right, so that many at once gain nothing (CVE-2024-4629), and
being right resets no number.  Whoever was right of late passes, whatever others do from the same address.  An account that many
addresses attack is not locked: each address may try less often there, and never gets none.

Pure: event-loop seconds and random bytes are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from math import ceil, inf

from gateway.config.model import AttemptLimits
from gateway.errors import TooManyRequests
from gateway.guard.floods import Floods

MINUTE = 60.0
REMEMBERED = 86_400.0
"""Seconds that a success from an address counts."""
MOST_REMEMBERED = 20_000
"""Two for each credential that was right."""
GENERATED = 0.1
"""What a wrong generated secret costs its source next to a wrong password: nobody guesses 256 bits."""
UNDER_ATTACK = 5
"""Attempts that one counts for, at an account that more fail at than ``per_account``."""
BEYOND = 100
"""Wrong passwords a minute for which a right one of late still passes: beyond, who may pass would tell what it is."""

_WORDS = "Too many failed attempts, try again later"


class Kind(Enum):
    """What is proved by the secret."""

    CLIENT = "client"
    """By a generated secret."""
    ASSERTION = "assertion"
    """By a signed JWT, which is another one each time."""
    ACCOUNT = "account"
    """By a password: what people choose can be guessed."""
    REGISTRATION = "registration"
    """By a registration access token."""
    INITIAL = "initial"
    """By an initial access token; whose it is nobody says, so all of them are one account."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt that was let through; to be given back with what came of it."""

    kind: Kind
    source: bytes
    account: bytes
    pair: bytes
    """Digest of source and account."""
    guess: bytes
    """Digest of source, account and secret."""
    paid: int = 0
    """What the pair was charged; 0: nothing, and its source neither."""
    proof: str = ""
    """What the secret was verified against when it was right; of an earlier success if there was one."""


class Attempts:
    """The numbers of one process: five tables of 128 KiB at most, and who was right of late."""

    def __init__(self, limits: AttemptLimits, *, key: bytes) -> None:
        """``key``: random bytes; without them no digest here says anything."""
        self._key = key
        self._pairs = _table(limits.per_credential, key)
        self._sources = _table(limits.per_source, key)
        self._accounts = _table(limits.per_account, key)
        self._beyond = _table(BEYOND, key)
        self._registrations = _table(limits.registrations, key)
        self._right: dict[bytes, tuple[float, str]] = {}
        self._under_way: dict[bytes, int] = {}

    def admit(self, kind: Kind, source: bytes, who: str, secret: str, now: float) -> Attempt:
        """
        Let an attempt through, to be ended by `succeed`, `fail` or `forgive`.

        Args:
            kind: What is to be proved.
            source: `gateway.addresses.source_of`.
            who: The account or client, as it was sent; nobody looks whether there is one.
            secret: What was sent; nothing for a JWT.
            now: Event-loop seconds.

        Raises:
            TooManyRequests: Its ``reason`` names the limit.
        """
        account = f"{kind.value} {who}".encode("utf-8", "surrogatepass")
        pair = self._digest(len(source).to_bytes(1, "big") + source + account)
        attempt = Attempt(kind, source, account, pair, self._digest(pair + secret.encode("utf-8", "surrogatepass")))
        proof = self._proof(attempt.guess, now)
        if kind is Kind.ACCOUNT:
            free = proof is not None and self._beyond.wait(pair, now) == 0.0
        else:  # the same generated secret many times at once is one guess: clients ask for tokens in parallel from the start
            free = proof is not None or attempt.guess in self._under_way
        if not free:
            self._pay(attempt, now)
        attempt.proof = proof or ""
        self._under_way[attempt.guess] = self._under_way.get(attempt.guess, 0) + 1
        return attempt

    def succeed(self, attempt: Attempt, now: float) -> None:
        """It was right: it costs nothing, and its source may come again whatever happens."""
        self.forgive(attempt)
        for digest, proof in ((attempt.guess, attempt.proof), (attempt.pair, "")):
            self._right.pop(digest, None)
            self._right[digest] = now + REMEMBERED, proof
        while len(self._right) > MOST_REMEMBERED:
            del self._right[next(iter(self._right))]

    def fail(self, attempt: Attempt, now: float) -> None:
        """It was wrong, in whatever way."""
        self._end(attempt)
        if not attempt.paid:
            self._pairs.charge(attempt.pair, now)
            self._sources.charge(attempt.source, now, _weight(attempt.kind))
        self._accounts.charge(attempt.account, now)
        if attempt.kind is not Kind.ASSERTION:  # or a stranger's JWT would end what the client's own has earned
            self._right.pop(attempt.guess, None)

    def forgive(self, attempt: Attempt) -> None:
        """Nobody could say whether it was right."""
        self._end(attempt)
        if attempt.paid:
            self._pairs.refund(attempt.pair, attempt.paid)
            self._sources.refund(attempt.source, _weight(attempt.kind))

    def register(self, source: bytes, now: float) -> None:
        """
        Count a registration, or another password to be hashed.

        Raises:
            TooManyRequests: This source had too many.
        """
        wait = self._registrations.wait(source, now)
        if wait:
            raise TooManyRequests("Too many registrations, try again later", retry_after=ceil(wait), reason="registrations")
        self._registrations.charge(source, now)

    def _pay(self, attempt: Attempt, now: float) -> None:
        known = self._proof(attempt.pair, now) is not None
        attacked = not known and self._accounts.wait(attempt.account, now) > 0.0
        price, weight = UNDER_ATTACK if attacked else 1, _weight(attempt.kind)
        wait, limit = max(
            (self._pairs.wait(attempt.pair, now, price), "per_account" if attacked else "per_credential"),
            (self._sources.wait(attempt.source, now, weight), "per_source"),
        )
        if wait:
            if attempt.kind is Kind.ACCOUNT:
                self._beyond.charge(attempt.pair, now)
            raise TooManyRequests(_WORDS, retry_after=ceil(wait), reason=limit)
        self._pairs.charge(attempt.pair, now, price)
        self._sources.charge(attempt.source, now, weight)
        attempt.paid = price

    def _proof(self, digest: bytes, now: float) -> str | None:
        """What a success of late was verified against; None when there was none."""
        until, proof = self._right.get(digest, (0.0, ""))
        return proof if now < until else None

    def _end(self, attempt: Attempt) -> None:
        left = self._under_way[attempt.guess] - 1
        if left:
            self._under_way[attempt.guess] = left
        else:
            del self._under_way[attempt.guess]

    def _digest(self, said: bytes) -> bytes:
        return blake2b(said, digest_size=16, key=self._key).digest()


def _weight(kind: Kind) -> float:
    return 1.0 if kind is Kind.ACCOUNT else GENERATED


def _table(a_minute: int, key: bytes) -> Floods:
    """A limit by the minute, all of which may come at once; 0: none."""
    return Floods(a_minute / MINUTE if a_minute else inf, key=key, burst=MINUTE, longest=0.0)
