"""The facts about one token, joined: what its bearer is, and until when that may be believed."""

from __future__ import annotations

from gateway.oauth.records import AccessToken


class Verdict:
    """
    What a live token stands for.  Immutable by convention; slots and no dataclass because the hot path reads it.

    Attributes:
        token: The record that it was read from.
        client_id: Whose token.
        scopes: The token's scopes that its client may still have.
        deadline: Event-loop seconds at which it is dead; at that instant it is no longer alive.
        identity: The header lines that tell the upstream who calls, ready to send, CRLF after each.
    """

    __slots__ = ("client_id", "deadline", "identity", "scopes", "token")

    def __init__(self, token: AccessToken, scopes: frozenset[str], deadline: float) -> None:
        self.token = token
        self.client_id = token.client_id
        self.scopes = scopes
        self.deadline = deadline
        self.identity = (
            f"X-Client-Id: {token.client_id}\r\nX-Client-Scopes: {' '.join(sorted(scopes))}\r\n".encode("ascii")
        )
