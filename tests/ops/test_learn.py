"""``gateway learn`` beside a running gateway: from requests on a route that only reports to the scopes that clients need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gateway.guard.learning import Learned, Need
from gateway.learn import write
from gateway.oauth.tokens import is_client_id
from tests.command_line import Done, here, process
from tests.ops.running import CONFIG, Gateway
from tests.servers import wait_for

Make = Callable[..., Gateway]
REPORTING = CONFIG.replace("oauth: {registration: open}", "oauth: {registration: open, scopes: {read: R, write: W}}").replace(
    "routes:\n", "routes:\n  - {path: /old, upstream: legacy, scopes: {GET: [read], POST: [write]}, enforce: report}\n"
)


def learn(folder: Path, *arguments: str, by: Callable[..., Done] = process) -> Any:
    done = by("learn", *arguments, "-c", str(folder / "config.yaml"), cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return yaml.safe_load(done.stdout)


def test_it_prints_the_fewest_scopes_that_would_have_passed(gateway: Make, folder: Path) -> None:
    (folder / "config.yaml").write_text(REPORTING)
    running = gateway().start()
    assert any("report lets every request through" in event["warning"] for event in running.events("config.questionable"))
    assert learn(folder, by=here) == {"clients": {}, "strangers": []}
    client = running.register("ann")
    token = running.token(client)["access_token"]
    ours = {"Authorization": f"Bearer {token}"}
    for method, headers in (("GET", {}), ("GET", ours), ("POST", ours)):
        assert running.ask(method, "/old", **headers)[0] == 502, "it passed; nobody is behind"
    wait_for(lambda: len(learn(folder, by=here)["clients"]) == 1)
    assert learn(folder, "--forget") == {
        "clients": {client["client_id"]: {"requests": 2, "scopes": ["read", "write"], "lacks": ["read", "write"]}},
        "strangers": [{"route": "/old", "method": "GET", "refused": "token_missing", "requests": 1}],
    }  # fmt: skip
    assert learn(folder, by=here) == {"clients": {}, "strangers": []}
    assert running.ask("GET", "/v1/resource")[0] == 401


def test_what_was_found_last_is_handed_on_when_the_gateway_stops(gateway: Make, folder: Path) -> None:
    (folder / "config.yaml").write_text(REPORTING)
    running = gateway().start()
    assert running.ask("GET", "/old")[0] == 502
    assert running.end() == 0
    assert learn(folder)["strangers"][0]["requests"] == 1


def test_clients_of_other_issuers_are_listed_with_what_they_need() -> None:
    """Their names are somebody else's words, so they are quoted; what they may be granted, nobody here knows."""
    names = ("gwc_abc" + "x" * 22, 'idp:CN="Ann", O=#1: x')
    learned = Learned(clients={name: Need(2, frozenset(("read",)), frozenset(("read",))) for name in names})
    written = yaml.safe_load(write(learned, {}, 1))["clients"]
    assert written[names[1]] == {"requests": 2, "scopes": ["read"]}
    assert ("lacks" in written[names[0]]) is is_client_id(names[0])
