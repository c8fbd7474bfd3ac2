"""What the guard needs of the store; `gateway.store.link` is the adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import GatewayError
from gateway.oauth.records import AccessToken, Client
from gateway.oauth.tokens import AccessRef


@dataclass(frozen=True, slots=True)
class ForeignRef:
    """A token of another authorization server: only that one can say what it is, so the token itself is needed."""

    issuer: str
    """Its name in ``issuers``."""
    digest: bytes
    token: bytes = field(repr=False)


Ref = AccessRef | ForeignRef
"""What a token is looked up by."""
TokenDone = Callable[[AccessToken | GatewayError | None], None]
ClientDone = Callable[[Client | GatewayError | None], None]


class Listener(Protocol):
    """Who hears, in order with the answers to its own look-ups, that records changed."""

    def token_changed(self, digest: bytes) -> None:
        """The record of a token changed, expired or was deleted."""

    def client_changed(self, client_id: str) -> None:
        """The record of a client changed or was deleted."""

    def everything_changed(self) -> None:
        """FLUSHALL, or a link that is up anew: nothing that was read before is confirmed any more."""

    def link_lost(self, lost: Callable[[str], bool] | None = None) -> None:
        """
        Changes are not told any more; nothing that was read before is confirmed.

        ``lost`` says of which clients' tokens nothing can be known until it is back; None: of all.
        """


class Nobody:
    """A `Listener` that does nothing."""

    def token_changed(self, digest: bytes) -> None:
        """Nobody cares."""

    def client_changed(self, client_id: str) -> None:
        """Nobody cares."""

    def everything_changed(self) -> None:
        """Nobody cares."""

    def link_lost(self, lost: Callable[[str], bool] | None = None) -> None:
        """Nobody cares."""


class Facts(Protocol):
    """
    Look-ups that the store confirms and whose invalidation follows in order.

    ``done`` is called exactly once, from the event loop and never within the call itself: with the record, with None when
    there is none, or with `StoreUnavailable` after the store's timeout at the latest.
    """

    listener: Listener

    @property
    def caching(self) -> bool:
        """Whether invalidations arrive at present; when not, an answer may be used once and not kept."""

    def fetch_token(self, ref: AccessRef, done: TokenDone) -> None:
        """Look an access token up by digest."""

    def fetch_client(self, client_id: str, done: ClientDone) -> None:
        """Look a client up."""

    def monotonic(self, store_ms: int) -> float:
        """When the store's clock shows ``store_ms``, in seconds of the event loop's clock; errs to be early, never late."""
