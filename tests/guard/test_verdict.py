"""The joined facts about one token."""

from __future__ import annotations

from dataclasses import replace

from gateway.guard.verdict import Verdict
from gateway.oauth.records import AccessToken

TOKEN = AccessToken("gwc_x", "gwk_x", "chain", frozenset(), 0, 0, 1000)


def test_identity_is_ready_to_send() -> None:
    """Scopes are sorted, so that the upstream sees one form."""
    verdict = Verdict(TOKEN, frozenset(("orders:write", "a")), 1.0)
    assert verdict.identity == b"X-Client-Id: gwc_x\r\nX-Client-Scopes: a orders:write\r\n"


def test_identity_says_for_whom_where_it_is_for_somebody() -> None:
    verdict = Verdict(replace(TOKEN, subject="gwu_ann"), frozenset(), 1.0)
    assert verdict.identity == b"X-Client-Id: gwc_x\r\nX-Client-Scopes: \r\nX-Token-Subject: gwu_ann\r\n"


def test_a_twin_shares_everything_but_the_deadline() -> None:
    """What a hundred thousand tokens of one client have in common is kept once."""
    verdict = Verdict(TOKEN, frozenset(("a",)), 1.0)
    twin = verdict.until(2.0)
    assert (verdict.deadline, twin.deadline) == (1.0, 2.0)
    assert twin.client_id is verdict.client_id
    assert twin.scopes is verdict.scopes
    assert twin.identity is verdict.identity
