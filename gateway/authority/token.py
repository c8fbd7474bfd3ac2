"""``POST {prefix}/oauth/token``: RFC 6749 sections 4.1.3 (codes), 4.4 (client credentials), 5 and 6 (refresh)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from aiohttp import web

from gateway.authority.answers import answer
from gateway.authority.body import read_form
from gateway.authority.identify import Caller, ClientAuthentication
from gateway.authority.redeem import CodeExchange
from gateway.authority.signing import JwtAccess
from gateway.config.model import OAuth
from gateway.errors import (
    GatewayError,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    StoreUnavailable,
    UnauthorizedClient,
)
from gateway.oauth.audience import read_resources
from gateway.oauth.grants import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    REFRESH_TOKEN,
    choose_grant,
    grant_types,
    token_answer,
)
from gateway.oauth.pairs import FIRST_ENTROPY, NEXT_ENTROPY, Pair, mint_first, mint_next
from gateway.oauth.ports import AuthorizationStore, ClientStore, Issued, NewTokens, Refreshed, RefreshOutcome, TokenStore
from gateway.oauth.records import Client
from gateway.oauth.refusals import oauth_code
from gateway.oauth.scopes import grant_scopes, parse_scope
from gateway.oauth.sealing import NONCE, seal, unseal
from gateway.oauth.tokens import RefreshRef, find_partition, find_refresh
from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.authority")

Answer = dict[str, str | int]

_FOR_PUBLIC = frozenset((AUTHORIZATION_CODE, REFRESH_TOKEN))
"""What a client may do without a secret: present what nobody else has."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what is issued lives; milliseconds."""

    access_ttl_ms: int
    refresh_ttl_ms: int
    grace_ms: int
    max_live_chains: int
    max_live_tokens: int
    refresh: bool
    """Whether client_credentials gets a refresh token."""

    @classmethod
    def of(cls, oauth: OAuth) -> Terms:
        """The terms that the configuration sets."""
        return cls(
            access_ttl_ms=oauth.access_token_ttl // timedelta(milliseconds=1),
            refresh_ttl_ms=oauth.refresh_token_ttl // timedelta(milliseconds=1),
            grace_ms=oauth.refresh_grace // timedelta(milliseconds=1),
            max_live_chains=oauth.max_live_chains,
            max_live_tokens=oauth.max_live_tokens,
            refresh=oauth.refresh_for_client_credentials,
        )

    def for_client(self, client: Client) -> Terms:
        """These terms with what the operator set for a client."""
        if not (client.access_ttl_ms or client.refresh_ttl_ms or client.max_live_chains or client.max_live_tokens):
            return self
        return replace(
            self,
            access_ttl_ms=client.access_ttl_ms or self.access_ttl_ms,
            refresh_ttl_ms=client.refresh_ttl_ms or self.refresh_ttl_ms,
            max_live_chains=client.max_live_chains or self.max_live_chains,
            max_live_tokens=client.max_live_tokens or self.max_live_tokens,
        )


class TokenEndpoint:
    """The token endpoint.  It never runs argon2."""

    def __init__(
        self, oauth: OAuth, authenticate: ClientAuthentication, clients: ClientStore, tokens: TokenStore,
        authorizations: AuthorizationStore, jwt: JwtAccess, *, resources: frozenset[str], registry: Registry,
        entropy: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        """``jwt`` writes the tokens of clients that get JWTs; ``resources``: what tokens can be for."""
        self._resources = resources
        self._terms = Terms.of(oauth)
        self._offered = grant_types(refresh=self._terms.refresh, sign_in=oauth.sign_in)
        self._grants = {
            CLIENT_CREDENTIALS: self._client_credentials, REFRESH_TOKEN: self._refresh, AUTHORIZATION_CODE: self._code,
        }  # fmt: skip
        self._exchange = CodeExchange(oauth, authorizations, jwt, resources=resources, entropy=entropy)
        self._authenticate = authenticate
        self._jwt = jwt
        self._clients = clients
        self._tokens = tokens
        self._entropy = entropy
        self._registry = registry
        self._issued = {
            grant: registry.counter("gateway_tokens_issued_total", "Access tokens handed out", grant=grant)
            for grant in self._offered
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a token request."""
        try:
            form = await read_form(request)
            caller = await self._authenticate(request, form, public=form.get("grant_type") in _FOR_PUBLIC)
            grant = choose_grant(form, self._offered)
            if not caller.client.may_use(grant):
                raise UnauthorizedClient
            document = await self._grants[grant](caller, form)
        except GatewayError as error:
            self._registry.counter(
                "gateway_token_refusals_total", "Token requests refused", error=oauth_code(error)
            ).inc()
            raise
        self._issued[grant].inc()
        return answer(document)

    async def _client_credentials(self, caller: Caller, form: dict[str, str]) -> Answer:
        client = caller.client
        terms = self._terms.for_client(client)
        requested = _requested(form)
        granted = grant_scopes(requested, client.scopes)
        audience = read_resources(form.get("resource"), self._resources)
        partition = find_partition(client.client_id)
        assert partition is not None, "a stored client has a well-formed id"
        refresh = terms.refresh and client.may_use(REFRESH_TOKEN)
        pair, minted = mint_first(partition, self._entropy(FIRST_ENTROPY), refresh=refresh)
        if self._jwt.wanted_by(client):
            pair, minted = await self._jwt.write(
                pair, minted, client, scopes=granted, subject="", audience=audience, ttl_ms=terms.access_ttl_ms
            )
        issued = await self._tokens.issue(
            client, caller.client_key, minted, granted,
            access_ttl_ms=terms.access_ttl_ms, refresh_ttl_ms=terms.refresh_ttl_ms, max_live_chains=terms.max_live_chains,
            max_live_tokens=terms.max_live_tokens, source=caller.source, audience=audience,
        )
        if not issued:
            raise InvalidClient("changed_meanwhile")
        if issued is Issued.UNKEPT:
            await self._keep(client)
        return token_answer(pair, expires_in=terms.access_ttl_ms // 1000, granted=granted, requested=requested)

    async def _code(self, caller: Caller, form: dict[str, str]) -> Answer:
        document, unkept = await self._exchange(caller, form)
        if unkept:
            await self._keep(caller.client)
        return document

    async def _keep(self, client: Client) -> None:
        """A client that registered itself is used: it stays.  Before the answer, so that whoever has a token is kept."""
        if client.account:
            await self._clients.keep_account(client.account, client.client_id)
        await self._clients.keep_client(client.client_id)

    async def _refresh(self, caller: Caller, form: dict[str, str]) -> Answer:
        token = form.get("refresh_token")
        if token is None:
            raise InvalidRequest("refresh_token is missing")
        requested = _requested(form)
        presented = find_refresh(token.encode("utf-8"))
        if presented is None:
            raise InvalidGrant(reason="malformed")
        if requested is not None:
            grant_scopes(requested, caller.client.scopes)
        audience = read_resources(form.get("resource"), self._resources)
        pair, refreshed = await self._present(caller, presented, token.encode("ascii"), requested, audience)
        granted = refreshed.scopes & caller.client.scopes
        return token_answer(pair, expires_in=refreshed.expires_in, granted=granted, requested=requested)

    async def _present(
        self, caller: Caller, presented: RefreshRef, token: bytes, requested: frozenset[str] | None,
        audience: frozenset[str],
    ) -> tuple[Pair, Refreshed]:
        """Exchange a refresh token: the store decides, and keeps or discards the successor that is minted here."""
        entropy = self._entropy(NEXT_ENTROPY + NONCE)
        pair, minted = mint_next(presented, entropy)
        terms = self._terms.for_client(caller.client)
        if self._jwt.wanted_by(caller.client):
            pair, minted = await self._written(caller.client, presented, pair, minted, requested, audience, terms.access_ttl_ms)
        refreshed = await self._tokens.refresh(
            caller.client.client_id, caller.client_key, presented,
            NewTokens(minted.access, minted.refresh, seal(pair, token, entropy[NEXT_ENTROPY:])), requested,
            access_ttl_ms=terms.access_ttl_ms, grace_ms=terms.grace_ms, max_live_tokens=terms.max_live_tokens,
            source=caller.source, audience=audience,
        )
        if refreshed.outcome is RefreshOutcome.ROTATED:
            return pair, refreshed
        if refreshed.outcome is RefreshOutcome.REPEATED:
            repeated = unseal(refreshed.sealed, token)
            if repeated is None:
                raise StoreUnavailable("unreadable_successor")
            return repeated, refreshed
        if refreshed.outcome is RefreshOutcome.WIDENED:
            raise InvalidScope(reason="widened")
        if refreshed.outcome is RefreshOutcome.MISDIRECTED:
            raise InvalidTarget(reason="widened")
        if refreshed.outcome is RefreshOutcome.REPLAYED:
            facts = {"client_id": caller.client.client_id, "client_key": caller.client_key, "chain_id": presented.chain_id}
            _log.warning("refresh_token.replayed", extra={"facts": facts})
            raise InvalidGrant(reason="replayed")
        raise InvalidGrant(reason="unknown_or_foreign")

    async def _written(
        self, client: Client, presented: RefreshRef, pair: Pair, minted: NewTokens, requested: frozenset[str] | None,
        audience: frozenset[str], ttl_ms: int,
    ) -> tuple[Pair, NewTokens]:
        """
        The successor as a JWT, whose claims are those of its chain: what a chain is for never changes.

        Whether the token presented is good is the store's to say, with all else; here it is only read.
        """
        chain = await self._tokens.find_chain(presented)
        if chain is None or chain.client_id != client.client_id:
            raise InvalidGrant(reason="unknown_or_foreign")
        scopes = (chain.scopes if requested is None else requested) & client.scopes
        return await self._jwt.write(
            pair, minted, client, scopes=scopes, subject=chain.subject, audience=audience or chain.audience, ttl_ms=ttl_ms
        )


def _requested(form: dict[str, str]) -> frozenset[str] | None:
    return parse_scope(form["scope"]) if "scope" in form else None
