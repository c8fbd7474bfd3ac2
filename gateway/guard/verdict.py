"""The facts about one token, joined: what its bearer is, and until when that may be believed."""

from __future__ import annotations

from gateway.config.model import OWN
from gateway.oauth.foreign import Holder
from gateway.oauth.records import AccessToken


class Verdict:
    """
    What a live token stands for.  Immutable by convention; slots and no dataclass because the hot path reads it, and only
    what a request needs, because a hundred thousand of them are kept.

    Attributes:
        client_id: Whose token.
        client_key: The credential that it was issued with.
        plan: The client's; empty for none.
        audience: Resources that it is for (RFC 8707); empty: all.
        scopes: The token's scopes that its client may still have.
        deadline: Event-loop seconds at which it is dead; at that instant it is no longer alive.
        identity: The header lines that tell the upstream who calls (X-Token-Subject: for whom), ready to send, CRLF after each.
    """

    __slots__ = ("audience", "client_id", "client_key", "deadline", "identity", "plan", "scopes")

    issuer = OWN
    """Who issued the token."""

    def __init__(self, token: AccessToken, scopes: frozenset[str], deadline: float, plan: str = "") -> None:
        self.client_id = token.client_id
        self.client_key = token.client_key
        self.plan = plan
        self.audience = token.audience
        self.scopes = scopes
        self.deadline = deadline
        subject = f"X-Token-Subject: {token.subject}\r\n" if token.subject else ""
        self.identity = (
            f"X-Client-Id: {token.client_id}\r\nX-Client-Scopes: {' '.join(sorted(scopes))}\r\n{subject}".encode("ascii")
        )

    def until(self, deadline: float) -> Verdict:
        """The verdict on another token of the same credential, subject, audience and scopes; all but the deadline is shared."""
        other = Verdict.__new__(Verdict)
        other.client_id = self.client_id
        other.client_key = self.client_key
        other.plan = self.plan
        other.audience = self.audience
        other.scopes = self.scopes
        other.deadline = deadline
        other.identity = self.identity
        return other


class ForeignVerdict(Verdict):
    """
    What a token of another authorization server stands for.

    Its client and its subject are called by that issuer's name, a colon and what that calls them, so that nobody elsewhere can
    have the name of one of our clients or people.

    Attributes:
        issuer: The issuer's name in ``issuers``.
        kept_until: Event-loop seconds from which on it must be verified again, at the deadline at the latest.
    """

    __slots__ = ("issuer", "kept_until")

    def __init__(self, name: str, url: str, holder: Holder, deadline: float, kept_until: float) -> None:
        subject = f"{name}:{holder.subject}" if holder.subject else ""
        client = f"{name}:{holder.client}"
        record = AccessToken(client, client, "", holder.scopes, 0, 0, 0, subject=subject)
        super().__init__(record, holder.scopes, deadline)
        self.identity += f"X-Token-Issuer: {url}\r\n".encode("ascii")
        self.issuer = name
        self.kept_until = kept_until
