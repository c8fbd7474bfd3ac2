"""Signs access tokens as JWTs (RFC 9068), with keys that all instances share."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import orjson

from gateway.config.oauth_rules import LONGEST_LIFE
from gateway.errors import InvalidScope, StoreUnavailable
from gateway.oauth.pairs import Pair
from gateway.oauth.ports import NewTokens, SigningKeyStore
from gateway.oauth.records import JWT, Client
from gateway.oauth.scopes import write_scope
from gateway.oauth.signing_keys import (
    SEAL_ENTROPY,
    Ring,
    Signer,
    SigningKey,
    choose,
    is_current,
    key_set,
    make_key,
    open_key,
    renew,
    reseal,
)
from gateway.oauth.tokens import MAX_ACCESS, AccessRef, digest_access, text

KEPT = 60.0
"""Seconds for which the ring is not read again; far less than a new key is published ahead."""
_TRIES = 8
"""Rewrites of the ring that others may come before."""

_log = logging.getLogger("gateway.authority")


class SigningKeys:
    """The ring of keys: read, renewed when its time has come, and opened."""

    def __init__(
        self, store: SigningKeyStore, secrets: Sequence[bytes], *, life_ms: int, now: Callable[[], Awaitable[int]],
        clock: Callable[[], float], entropy: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        """
        Args:
            store: Where the ring is.
            secrets: What keys are sealed with: the current secret, then those before; at least one.
            life_ms: How long a key signs.
            now: The store's clock, ms.
            clock: Seconds that only rise.
            entropy: Gives random bytes.
        """
        self._store = store
        self._secrets = secrets
        self._life_ms = life_ms
        self._kept_ms = 2 * life_ms + LONGEST_LIFE // timedelta(milliseconds=1)
        self.now = now
        self._clock = clock
        self._entropy = entropy
        self._ring: Ring = ()
        self._read_at = float("-inf")
        self._opened: dict[str, Signer | None] = {}

    async def signer(self, now_ms: int, ttl_ms: int) -> Signer:
        """
        Whatever signs a token that lives for ``ttl_ms``.

        Raises:
            StoreUnavailable: If the ring can't be had.
        """
        ring = await self._current(now_ms, ttl_ms)
        key = choose([key for key in ring if self._open(key) is not None], now_ms)
        signer = None if key is None else self._open(key)
        if signer is None:
            raise StoreUnavailable("signing_keys: none that can be opened")
        return signer

    async def published(self) -> bytes:
        """
        The key set, as JSON; while the store is away the last one that was seen, since tokens go on being verified with it.

        Raises:
            StoreUnavailable: If the ring can't be had, and never was.
        """
        try:
            return key_set(await self._current(await self.now(), 0))
        except StoreUnavailable:
            if not self._ring:
                raise
            return key_set(self._ring)

    async def _current(self, now_ms: int, ttl_ms: int) -> Ring:
        """The ring, which is as it should be when this returns."""
        if self._clock() - self._read_at >= KEPT:
            await self._read()
        for _ in range(_TRIES):
            ring = self._ring
            renewed = renew(
                ring, lambda key: self._open(key) is not None, lambda: self._make(now_ms, ttl_ms),
                now_ms=now_ms, life_ms=self._life_ms, ttl_ms=ttl_ms,
            )  # fmt: skip
            if renewed is ring:
                return ring
            if await self._store.replace_ring(ring, renewed, life_ms=self._kept_ms):
                self._note(renewed)
                _log.info("signing_keys.renewed", extra={"facts": {"kids": " ".join(key.kid for key in renewed)}})
                return renewed
            await self._read()
        raise StoreUnavailable("signing_keys: changed too often meanwhile")

    async def _read(self) -> None:
        ring = await self._store.find_ring()
        self._note(ring)
        unreadable = [key.kid for key in ring if self._open(key) is None]
        if unreadable:
            _log.error("signing_keys.unreadable", extra={"facts": {
                "kids": " ".join(unreadable), "remedy": "name the secret that sealed them in secrets.previous",
            }})  # fmt: skip
        resealed = tuple(
            reseal(key, self._secrets, self._entropy(SEAL_ENTROPY)) if self._open(key) and not is_current(key, self._secrets[0])
            else key for key in ring
        )  # fmt: skip
        if resealed != ring and await self._store.replace_ring(ring, resealed, life_ms=self._kept_ms):
            self._note(resealed)

    def _note(self, ring: Ring) -> None:
        self._ring = ring
        self._read_at = self._clock()
        self._opened = {kid: signer for kid, signer in self._opened.items() if any(key.kid == kid for key in ring)}

    def _open(self, key: SigningKey) -> Signer | None:
        if key.kid not in self._opened:
            self._opened[key.kid] = open_key(key, self._secrets)
        return self._opened[key.kid]

    def _make(self, now_ms: int, ttl_ms: int) -> SigningKey:
        return make_key(self._secrets[0], self._entropy(SEAL_ENTROPY), now_ms, ttl_ms)


class JwtAccess:
    """Puts a JWT in the place of an opaque access token, for clients whose tokens are such."""

    def __init__(self, keys: SigningKeys | None, issuer: str, *, by_default: bool) -> None:
        """``keys`` is None where there is no secret to seal any with; ``by_default``: whether all clients get JWTs."""
        self._keys = keys
        self._issuer = issuer
        self._by_default = by_default

    def wanted_by(self, client: Client) -> bool:
        """Whether the client's access tokens are JWTs."""
        return client.access_token_format == JWT if client.access_token_format else self._by_default

    async def write(
        self, pair: Pair, minted: NewTokens, client: Client, *, scopes: frozenset[str], subject: str, audience: frozenset[str],
        ttl_ms: int,
    ) -> tuple[Pair, NewTokens]:  # fmt: skip
        """
        Write a minted access token as a JWT (RFC 9068 section 2.2).

        Args:
            pair: What was minted.
            minted: What is kept of it.
            client: Whose it is.
            scopes: That it carries.
            subject: The account on whose behalf it acts; empty for the client's own, whose ``sub`` is the client id.
            audience: Resources that it is for; empty: all, which is the issuer's origin.
            ttl_ms: Its life.

        Raises:
            InvalidScope: It would be longer than what a gateway looks at.
            StoreUnavailable: If there is no key to be had.
        """
        if self._keys is None:
            _log.error("signing_keys.no_secret", extra={"facts": {
                "client_id": client.client_id, "remedy": "set secrets.current, the same in every instance",
            }})  # fmt: skip
            raise StoreUnavailable("signing_keys: no secret to open any with")
        now_ms = await self._keys.now()
        signer = await self._keys.signer(now_ms, ttl_ms)
        named = sorted(audience)
        token = signer.sign(orjson.dumps({
            "iss": self._issuer,
            "sub": subject or client.client_id,
            "aud": named if len(named) > 1 else named[0] if named else self._issuer,
            "client_id": client.client_id,
            "iat": now_ms // 1000,
            "exp": (now_ms + ttl_ms) // 1000,  # down: nobody takes it for alive when it is dead here
            "jti": text(minted.access.digest)[:22],
            **({"scope": write_scope(scopes)} if scopes else {}),
        }))  # fmt: skip
        if len(token) > MAX_ACCESS:
            raise InvalidScope("A JWT access token can't hold so many scopes and resources: ask for fewer")
        access = AccessRef(minted.access.partition, digest_access(token.encode("ascii")))
        return Pair(token, pair.refresh), NewTokens(access, minted.refresh)
