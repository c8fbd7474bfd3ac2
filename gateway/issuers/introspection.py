"""
Asking one issuer about its tokens (RFC 7662): a `gateway.guard.issuers.Verifier`.

So many questions at a time, no more; who waits for his turn too long, and who comes while the issuer is out of service, gets 503.
An issuer that fails several times in a row is left alone for a while, and then asked one question to see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from math import ceil

from gateway.config.model import Introspection as Section
from gateway.errors import GatewayError, InvalidToken, IssuerUnavailable
from gateway.guard.issuers import Checked
from gateway.guard.ports import ForeignRef
from gateway.issuers.fetching import Fetcher, FetchFailed
from gateway.oauth.foreign import Holder, Rules
from gateway.oauth.remote_introspection import find_active, question, read_answer
from gateway.telemetry.log import Sparingly
from gateway.telemetry.metrics import Registry
from gateway.upstreams.breaker import Breaker, State

MAX_WAITING = 1_000
"""Questions that are asked or wait for their turn."""
FAILURES = 5
"""In a row, after which the issuer is left alone."""
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds for which: the first time, and at most."""
RAMP = 10.0
"""Seconds of good answers after which the next time is the first again."""

Done = Callable[[Checked | GatewayError], None]
_log = logging.getLogger("gateway.issuers")


class Introspector:
    """The questions to one issuer."""

    def __init__(
        self, name: str, section: Section, rules: Rules, fetcher: Fetcher, *, wall: Callable[[], float], registry: Registry
    ) -> None:
        """
        Args:
            name: The issuer's.
            section: Where it is asked, and how.
            rules: What its answers must say.
            fetcher: The connections to it.
            wall: Seconds since 1970.
            registry: Where it counts.
        """
        self._name = name
        self._endpoint = section.endpoint
        self._rules = rules
        self._typed = section.require_token_type
        self._keep = section.cache.total_seconds()
        self._timeout = section.timeout.total_seconds()
        self._question = partial(
            question, client_id=section.client_id, client_secret=section.client_secret.get_secret_value(),
            post=section.auth == "post",
        )  # fmt: skip
        self._fetcher = fetcher
        self._wall = wall
        self._turns = asyncio.Semaphore(section.max_concurrent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._breaker = Breaker(FAILURES, shortest=SHORTEST, longest=LONGEST, ramp=RAMP)
        self._trying = False
        self._said = Sparingly(_log, "issuer.introspection_failed")
        metric = "gateway_issuer_introspections_total"
        count = partial(registry.counter, metric, "Questions to an issuer, by outcome", issuer=name)
        self._active, self._inactive, self._failed = (count(outcome=o) for o in ("active", "inactive", "failed"))
        help_text = "Issuers that are left alone for a while"
        registry.watch("gateway_issuer_breaker_open", help_text, lambda: self._breaker.state is State.EJECTED, issuer=name)

    def check(self, ref: ForeignRef, done: Done) -> None:
        """Ask; ``done`` is called later."""
        loop = asyncio.get_running_loop()
        refusal = self._refusal(loop.time())
        if refusal is not None:
            loop.call_soon(done, refusal)
            return
        trial = self._trying = self._breaker.state is State.EJECTED
        task = loop.create_task(self._ask(ref.token, done, trial=trial))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _refusal(self, now: float) -> IssuerUnavailable | None:
        breaker = self._breaker
        if breaker.state is State.EJECTED and (self._trying or now < breaker.until):
            return IssuerUnavailable("left alone after failures", retry_after=max(1, ceil(breaker.until - now)))
        if len(self._tasks) >= MAX_WAITING:
            return IssuerUnavailable("too many questions at a time")
        return None

    async def _ask(self, token: bytes, done: Done, *, trial: bool) -> None:
        found: Checked | GatewayError
        try:
            found = Checked(await self._answer(token, trial=trial), self._keep)
        except GatewayError as error:
            found = error
        except Exception:  # an answer is owed, and a bug of ours is no fault of the token
            _log.exception("issuer.verifier_failed")
            found = IssuerUnavailable("a fault of the gateway")
        finally:
            if trial:
                self._trying = False
        done(found)

    async def _answer(self, token: bytes, *, trial: bool) -> Holder:
        """
        What the issuer says.

        Raises:
            InvalidToken: The token is not good.
            IssuerUnavailable: It says nothing.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise IssuerUnavailable("too many questions at a time") from None
        try:
            answer = read_answer(*await self._fetcher.post(self._endpoint, *self._question(token.decode("ascii"))))
        except (FetchFailed, ValueError) as error:
            self._note_failure(str(error), trial=trial)
            raise IssuerUnavailable(str(error), retry_after=max(1, ceil(self._rest()))) from None
        finally:
            self._turns.release()
        self._note_success(trial=trial)
        try:
            holder = find_active(answer, self._rules, self._wall(), typed=self._typed)
        except InvalidToken:
            self._inactive.value += 1
            raise
        self._active.value += 1
        return holder

    def _rest(self) -> float:
        """Seconds for which it is left alone."""
        breaker = self._breaker
        return breaker.until - asyncio.get_running_loop().time() if breaker.state is State.EJECTED else 0.0

    def _note_failure(self, reason: str, *, trial: bool) -> None:
        now, breaker = asyncio.get_running_loop().time(), self._breaker
        self._failed.value += 1
        self._said.say(now, issuer=self._name, reason=reason)
        if trial:
            breaker.prolong(now)
        elif breaker.state is not State.EJECTED and breaker.fail():
            seconds = breaker.trip(now)
            _log.warning("issuer.left_alone", extra={"facts": {"issuer": self._name, "seconds": seconds}})

    def _note_success(self, *, trial: bool) -> None:
        now, breaker = asyncio.get_running_loop().time(), self._breaker
        if trial:
            breaker.recover(now)
            _log.info("issuer.back", extra={"facts": {"issuer": self._name}})
        breaker.succeed()
        breaker.share(now)  # so that it settles
