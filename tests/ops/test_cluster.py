"""A gateway with two workers on a Redis Cluster, and on a master that sentinels know: real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.oauth.access import find_access
from gateway.store.keys import Keys
from tests.ops.running import CONFIG, Gateway
from tests.servers import wait_for
from tests.store.nodes import Nodes
from tests.store.watched import Watched

Make = Callable[..., Gateway]
PASSES = 502
"""Nobody is behind, so the request passed."""


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three primaries, each with a replica."""
    made = Nodes(replicas=True)
    yield made
    made.remove()


def test_one_primary_is_killed_and_whoever_lies_elsewhere_does_not_notice(gateway: Make, folder: Path, nodes: Nodes) -> None:
    """Registration, tokens, revocation, an operator's command, a failover, and a stop."""
    (folder / "config.yaml").write_text(CONFIG)
    running = gateway(GATEWAY_STORE__URL=nodes.url, GATEWAY_WORKERS="2").start()
    people = [running.register(f"person{number}") for number in range(12)]
    tokens = [running.token(client)["access_token"] for client in people]

    def ask(token: str) -> int:
        return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]

    def place(token: str) -> int:
        ref = find_access(token.encode())
        assert ref is not None
        return nodes.primaries.index(nodes.at(Keys().token(ref)))

    assert [ask(token) for token in tokens] == [PASSES] * 12
    dead = running.token(people[0])["access_token"]
    assert ask(dead) == PASSES
    assert running.form(people[0], "/v1/oauth/revoke", f"token={dead}") == 200
    wait_for(lambda: [ask(dead) for _ in range(4)] == [401] * 4)
    assert running.metric("gateway_store_calls_total") > 0
    assert running.ready() == 200
    victim = place(tokens[0])
    wait_for(lambda: nodes.primaries[victim].call("WAIT", 1, 100) == 1)
    nodes.primaries[victim].kill()
    seen = set()
    for token in tokens:
        if place(token) != victim:
            seen.add(ask(token))
    assert seen <= {PASSES}
    answers = set()

    def is_back() -> bool:
        answers.add(ask(tokens[0]))
        return PASSES in answers

    wait_for(is_back, 20)
    assert answers <= {503, PASSES}
    wait_for(lambda: [ask(token) for token in tokens] == [PASSES] * 12, 20)
    assert ask(dead) == 401
    assert running.token(people[0])["access_token"]
    assert running.end() == 0


def test_a_master_is_killed_and_its_successor_knows_all(gateway: Make, folder: Path) -> None:
    """Sentinel, ``durability: replicated``: what was acknowledged is so afterwards; nobody comes in who should not meanwhile."""
    (folder / "config.yaml").write_text(CONFIG)
    watched = Watched()
    try:
        running = gateway(GATEWAY_STORE__URL=watched.url, GATEWAY_STORE__DURABILITY="replicated", GATEWAY_WORKERS="2").start()
        client = running.register("ann")
        live, dead = [running.token(client)["access_token"] for _ in range(2)]

        def ask(token: str) -> int:
            return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]

        assert (ask(live), ask(dead)) == (PASSES, PASSES)
        assert running.form(client, "/v1/oauth/revoke", f"token={dead}") == 200
        watched.master.kill()
        answers = set()

        def is_back() -> bool:
            answers.add(ask(live))
            assert ask(dead) in (401, 503)
            return {503, PASSES} <= answers and ask(live) == PASSES

        wait_for(is_back, 20)
        wait_for(lambda: ask(dead) == 401)
        assert answers == {503, PASSES}
        issued = running.form(client, "/v1/oauth/token", "grant_type=client_credentials")
        assert issued == 503, "no replica is left, so nothing can be promised"
        assert running.end() == 0
    finally:
        watched.remove()
