"""F30: two `gateway serve` processes on one store of the user's own: what one says, the other knows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ops.running import Gateway, basic
from tests.servers import ValkeyServer, wait_for

FORM = "application/x-www-form-urlencoded"
Start = Callable[..., Gateway]


@pytest.fixture
def start(valkey: ValkeyServer) -> Iterator[Start]:
    """Starts gateways on the ``valkey`` fixture's redis:// address, each in a folder and on ports of its own."""
    with ExitStack() as ends:

        def one(**environ: str) -> Gateway:
            folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp")))
            running = Gateway(folder, GATEWAY_STORE__URL=valkey.url, **environ)
            ends.callback(running.kill_all)
            return running.start()

        yield one


@pytest.fixture
def pair(start: Start) -> tuple[Gateway, Gateway]:
    """Two of them that keep verdicts."""
    both = start(), start()
    for one in both:
        wait_for(lambda one=one: one.metric("gateway_store_link_caching") == 1)  # type: ignore[misc]
    return both


def _call(running: Gateway, token: str) -> int:
    # The upstream is not there: 502 says that the token was good enough to try, 401 that it was not.
    return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]


def _refresh(running: Gateway, client: dict[str, str], token: str) -> tuple[int, dict[str, str]]:
    status, text = running.ask(
        "POST", "/v1/oauth/token", body=f"grant_type=refresh_token&refresh_token={token}", Authorization=basic(client),
        Content_Type=FORM,
    )  # fmt: skip
    return status, json.loads(text)


def test_each_accepts_the_other_s_clients_and_tokens(pair: tuple[Gateway, Gateway]) -> None:
    """Registered at one, the client gets tokens from both, and both let both tokens pass."""
    one, other = pair
    client = one.register()
    tokens = [running.token(client)["access_token"] for running in pair]
    assert [_call(running, token) for running in pair for token in tokens] == [502] * 4
    assert all(running.introspect(client, token) for running in pair for token in tokens)
    assert other.ask("POST", "/v1/register", body='{"username":"someone@example.com","password":"another-password"}',
                     Content_Type="application/json")[0] == 409  # fmt: skip


def test_a_revocation_through_one_is_seen_by_the_other(pair: tuple[Gateway, Gateway]) -> None:
    """Though the other had the verdict in its memory, and asked nobody for it."""
    one, other = pair
    client = one.register()
    token = one.token(client)["access_token"]
    assert [_call(running, token) for running in (one, other, other)] == [502] * 3
    assert other.metric("gateway_verdict_cache_entries") == 1
    assert one.form(client, "/v1/oauth/revoke", f"token={token}") == 200
    wait_for(lambda: other.metric("gateway_verdict_cache_entries") == 0)
    assert [_call(running, token) for running in pair] == [401, 401]
    assert not other.introspect(client, token)


def test_a_retry_at_the_other_gets_the_same_pair(pair: tuple[Gateway, Gateway]) -> None:
    """The answer of the first was lost and the balancer sent the retry elsewhere: byte for byte the same tokens."""
    one, other = pair
    client = one.register()
    spent = one.token(client)["refresh_token"]
    first, again = _refresh(one, client, spent), _refresh(other, client, spent)
    assert first[0] == again[0] == 200
    for name in ("access_token", "refresh_token"):
        assert first[1][name] == again[1][name]


def test_a_replay_at_the_other_ends_the_chain_in_both(pair: tuple[Gateway, Gateway]) -> None:
    """The successor was presented at one; who brings the spent token to the other is a thief or was robbed."""
    one, other = pair
    client = one.register()
    issued = one.token(client)
    successor = _refresh(one, client, issued["refresh_token"])[1]
    newest = _refresh(one, client, successor["refresh_token"])[1]
    tokens = [given["access_token"] for given in (issued, successor, newest)]
    assert [_call(running, token) for running in pair for token in tokens] == [502] * 6
    status, body = _refresh(other, client, issued["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")
    for running in pair:
        wait_for(lambda running=running: running.metric("gateway_verdict_cache_entries") == 0)  # type: ignore[misc]
        assert [_call(running, token) for token in tokens] == [401] * 3
        assert _refresh(running, client, newest["refresh_token"])[0] == 400


def test_another_prefix_is_another_gateway(start: Start) -> None:
    """Neither tokens nor names are shared."""
    one, other = start(), start(GATEWAY_STORE__PREFIX="other")
    token = one.token(one.register())["access_token"]
    assert (_call(one, token), _call(other, token)) == (502, 401)
    assert other.register()["client_id"]
