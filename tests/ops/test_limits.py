"""Limits of a gateway with several workers, and plans that the operator gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.command_line import Done, here
from tests.ops.running import CONFIG, Gateway

Make = Callable[..., Gateway]
LIMITED = CONFIG.replace("path: /v1/resource, upstream: legacy", "path: /v1/resource, upstream: legacy, limits: [{rate: 20/h}]")
PLANS = CONFIG + "plans: {default: {limits: [{rate: 2/h}]}, gold: {limits: [{quota: 9/month}]}}\n"


def test_workers_share_a_limit_and_a_restart_does_not_renew_it(gateway: Make, folder: Path) -> None:
    """502 is the upstream's: nobody is behind, so the request passed."""
    (folder / "config.yaml").write_text(LIMITED)
    running = gateway(GATEWAY_WORKERS="2").start()
    client = running.register("ann")
    token = running.token(client)["access_token"]

    def ask(_: int = 0) -> int:
        return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(ask, range(40))) == {502: 20, 429: 20}
    assert running.metric('gateway_limited_total{limit="rate"}') == 20
    assert running.end() == 0
    running.start()
    assert ask() == 429


def test_a_plan_counts_from_the_next_request_on(gateway: Make, folder: Path) -> None:
    """Of tokens that are out already too: the verdict is dropped with the client's record."""
    (folder / "config.yaml").write_text(PLANS)
    running = gateway().start()
    client = running.register("ann")
    token = running.token(client)["access_token"]

    def ask() -> int:
        return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]

    def plan(name: str) -> Done:
        return here("clients", "set", client["client_id"], "--plan", name, "-c", str(folder / "config.yaml"), cwd=folder)

    assert [ask() for _ in range(3)] == [502, 502, 429]
    unknown = plan("silver")
    assert (unknown.returncode, "default, gold" in unknown.stderr) == (1, True)
    assert json.loads(plan("gold").stdout)["plan"] == "gold"
    assert [ask() for _ in range(10)] == [502] * 9 + [429]
    assert json.loads(plan("default").stdout)["plan"] == "default"
    assert ask() == 429
