"""``grant_type=authorization_code``: RFC 6749 section 4.1.3, RFC 7636 section 4.5."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from gateway.authority.identify import Caller
from gateway.authority.signing import JwtAccess
from gateway.config.model import OAuth
from gateway.errors import InvalidGrant, InvalidRequest
from gateway.oauth.audience import narrow, read_resources
from gateway.oauth.authorization import is_sound, is_verifier
from gateway.oauth.grants import REFRESH_TOKEN, token_answer
from gateway.oauth.pairs import FIRST_ENTROPY, Pair, mint_first
from gateway.oauth.ports import AuthorizationStore, NewTokens, Redeemed, RedeemOutcome
from gateway.oauth.records import Code
from gateway.oauth.tokens import CodeRef, find_code

_log = logging.getLogger("gateway.authority")

_MS = timedelta(milliseconds=1)


class CodeExchange:
    """Gives tokens for an authorization code, once."""

    def __init__(
        self, oauth: OAuth, authorizations: AuthorizationStore, jwt: JwtAccess, *, resources: frozenset[str],
        entropy: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        """``jwt`` writes the tokens of clients that get JWTs; ``resources``: what tokens can be for."""
        self._resources = resources
        self._access_ttl_ms = oauth.access_token_ttl // _MS
        self._longest_ms = oauth.code_refresh_ttl // _MS
        self._idle_ms = oauth.code_refresh_idle_ttl // _MS
        self._max_live_chains = oauth.max_live_chains
        self._max_live_tokens = oauth.max_live_tokens
        self._authorizations = authorizations
        self._jwt = jwt
        self._entropy = entropy

    async def __call__(self, caller: Caller, form: dict[str, str]) -> tuple[dict[str, str | int], bool]:
        """
        Exchange the code of a token request.

        Returns:
            The answer, which says the scope always, as the client did not ask for it here; and whether its client is one
            that vanishes by itself unless it is kept.

        Raises:
            InvalidRequest: There is no code, or no verifier that could be one (RFC 7636 section 4.5).
            InvalidTarget: It names a resource that is unknown, or none of the code's; nothing is burned.
            InvalidGrant: The code is not good (any more), or for another client, redirect URI or verifier.
            TooManyRequests: The client has too many live access tokens; the code stays good.
            StoreUnavailable: If the store does not answer.
        """
        for name in ("code", "code_verifier"):
            if name not in form:
                raise InvalidRequest(f"{name} is missing")
        verifier = form["code_verifier"]
        if not is_verifier(verifier):
            raise InvalidRequest("code_verifier must be 43 to 128 unreserved characters")
        ref = find_code(form["code"].encode("utf-8"))
        code = None if ref is None else await self._authorizations.find_code(ref)
        if ref is None or code is None or code.client_id != caller.client.client_id:
            raise InvalidGrant(reason="unknown_or_foreign")
        audience = narrow(read_resources(form.get("resource"), self._resources), code.audience)
        sound = is_sound(code, caller.client, redirect_uri=form.get("redirect_uri", ""), verifier=verifier)
        pair, minted = mint_first(ref.partition, self._entropy(FIRST_ENTROPY), refresh=True)
        refresh = caller.client.may_use(REFRESH_TOKEN)
        access_ttl_ms = caller.client.access_ttl_ms or self._access_ttl_ms
        if sound and self._jwt.wanted_by(caller.client):
            pair, minted = await self._jwt.write(
                pair, minted, caller.client, scopes=code.scopes & caller.client.scopes, subject=code.subject,
                audience=audience, ttl_ms=access_ttl_ms,
            )  # fmt: skip
        redeemed = await self._redeem(ref, code, caller, minted, audience, sound=sound, refresh=refresh)
        self._judge(caller, code, redeemed)
        granted = redeemed.scopes & caller.client.scopes
        shown = pair if refresh else Pair(pair.access, None)
        document = token_answer(shown, expires_in=access_ttl_ms // 1000, granted=granted, requested=None)
        return document, redeemed.unkept

    async def _redeem(
        self, ref: CodeRef, code: Code, caller: Caller, minted: NewTokens, audience: frozenset[str], *, sound: bool, refresh: bool
    ) -> Redeemed:
        client = caller.client
        return await self._authorizations.redeem(
            ref, code, caller.client_key, minted, sound=sound, refresh=refresh,
            access_ttl_ms=client.access_ttl_ms or self._access_ttl_ms, idle_ms=self._idle_ms,
            longest_ms=client.refresh_ttl_ms or self._longest_ms,
            max_live_chains=client.max_live_chains or self._max_live_chains,
            max_live_tokens=client.max_live_tokens or self._max_live_tokens, source=caller.source, audience=audience,
        )  # fmt: skip

    def _judge(self, caller: Caller, code: Code, redeemed: Redeemed) -> None:
        if redeemed.outcome is RedeemOutcome.ISSUED:
            return
        if redeemed.outcome is RedeemOutcome.REPLAYED:
            facts = {"client_id": caller.client.client_id, "client_key": caller.client_key, "subject": code.subject}
            _log.warning("authorization_code.replayed", extra={"facts": facts})
        reason = "redirect_uri_or_verifier" if redeemed.outcome is RedeemOutcome.BURNED else redeemed.outcome.value
        raise InvalidGrant(reason=reason)
