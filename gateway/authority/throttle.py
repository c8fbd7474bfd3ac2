"""What every endpoint that authenticates puts around it: `gateway.guard.attempts` for requests, counted and logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from gateway.addresses import parse_address, source_of
from gateway.authority.rescue import client_address
from gateway.config.model import AttemptLimits
from gateway.errors import AuthenticationRequired, InvalidClient, InvalidRegistrationToken, TooManyRequests
from gateway.guard.attempts import Attempt, Attempts, Kind
from gateway.telemetry.log import Sparingly
from gateway.telemetry.metrics import Registry

SLOT = 0.005
"""Seconds: a failure is answered on such a beat, counted from when it began, so that unknown and wrong take as long (O10)."""

_WRONG = (InvalidClient, AuthenticationRequired, InvalidRegistrationToken)
_log = logging.getLogger("gateway.authority")


def source(request: web.Request) -> bytes:
    """Who counts as one; empty when nobody knows whose request it is."""
    return source_of(parse_address(client_address(request)))


def stranger(request: web.Request) -> bytes:
    """As `source`, and empty for this machine itself: who provisions clients there does so by the hundred."""
    address = parse_address(client_address(request))
    return b"" if address is None or address.is_loopback else source_of(address)


class Verification:
    """The ``async with`` of one attempt (an own class, as contextlib's generators cost as much as the look-up within)."""

    __slots__ = ("_attempt", "_began", "_throttle")

    def __init__(self, throttle: Throttle, attempt: Attempt, began: float) -> None:
        self._throttle = throttle
        self._attempt = attempt
        self._began = began

    async def __aenter__(self) -> Attempt:
        """Begin."""
        return self._attempt

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Note what came of it; whatever was raised goes on."""
        if error is None:
            self._throttle.right(self._attempt)
        elif isinstance(error, _WRONG):
            await self._throttle.wrong(self._attempt, self._began)
        else:
            self._throttle.forgive(self._attempt)


class Throttle:
    """The limits of one worker."""

    def __init__(self, limits: AttemptLimits, *, key: bytes, clock: Callable[[], float], registry: Registry) -> None:
        """``key``: random bytes.  ``clock``: event-loop seconds."""
        self._attempts = Attempts(limits, key=key)
        self._clock = clock
        self._throttled = Sparingly(_log, "attempts.throttled")
        self._failed = {
            kind: registry.counter("gateway_attempts_failed_total", "Wrong credentials at own endpoints", kind=kind.value)
            for kind in Kind
        }
        self._refused = {
            limit: registry.counter("gateway_attempts_throttled_total", "Attempts refused before a look-up", limit=limit)
            for limit in AttemptLimits.model_fields
        }

    def attempt(self, request: web.Request, kind: Kind, who: str, secret: str) -> Verification:
        """
        What stands around the verification of a secret, from before its first look-up; how it ends is what came of it.

        Raises:
            TooManyRequests: Before anything is looked up.
        """
        began = self._clock()
        try:
            attempt = self._attempts.admit(kind, source(request), who, secret, began)
        except TooManyRequests as refused:
            self._note(request, refused)
            raise
        return Verification(self, attempt, began)

    def right(self, attempt: Attempt) -> None:
        """The secret was right."""
        self._attempts.succeed(attempt, self._clock())

    def forgive(self, attempt: Attempt) -> None:
        """An outage, a full pool: nobody knows."""
        self._attempts.forgive(attempt)

    async def wrong(self, attempt: Attempt, began: float) -> None:
        """It was wrong; returns on the beat of the answer."""
        self._attempts.fail(attempt, self._clock())
        self._failed[attempt.kind].inc()
        await asyncio.sleep(SLOT - (self._clock() - began) % SLOT)

    def register(self, request: web.Request) -> None:
        """
        Count a registration, or another password to be hashed.

        Raises:
            TooManyRequests: This source had too many.
        """
        try:
            if who := stranger(request):
                self._attempts.register(who, self._clock())
        except TooManyRequests as refused:
            self._note(request, refused)
            raise

    def _note(self, request: web.Request, refused: TooManyRequests) -> None:
        self._refused[refused.reason].inc()
        self._throttled.say(self._clock(), address=client_address(request), limit=refused.reason)
