"""
Hardening F on a real gateway and a real store: what each fault of the store means for who calls, and that it ends with the fault.

In each state a known token, one that was never used, a public route, the token endpoint and introspection are asked; 502 is the
upstream's, as nobody is behind, so the request passed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.oauth.access import find_access
from gateway.store.keys import Keys
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer, wait_for

KEYS = Keys()
PASSES = 502
TIMEOUT = 0.5
"""`store.timeout`, the default."""
SLACK = 2.0
"""What a busy machine may take beyond it."""


@dataclass
class House:
    """A gateway, its store, and a client with tokens."""

    running: Gateway
    store: ValkeyServer
    client: dict[str, str]
    known: str = ""

    def use(self, token: str, path: str = "/v1/resource") -> int:
        """The status of a request with a token."""
        return self.timed(lambda: self.running.ask("GET", path, Authorization=f"Bearer {token}"))

    def new_token(self) -> str:
        return str(self.running.token(self.client)["access_token"])

    def statuses(self, unseen: str) -> dict[str, int]:
        """What happens to whom."""
        return {
            "known": self.use(self.known),
            "unseen": self.use(unseen),
            "public": self.timed(lambda: self.running.ask("GET", "/public/x")),
            "token": self.timed(lambda: (self.running.form(self.client, "/v1/oauth/token", "grant_type=client_credentials"), "")),
            "introspect": self.timed(lambda: (self.running.form(self.client, "/v1/oauth/introspect", f"token={unseen}"), "")),
            "alive": self.timed(lambda: self.running.ask("GET", "/healthz", admin=True)),
        }

    def timed(self, ask: Callable[[], tuple[int, str]]) -> int:
        """A status, which comes within the store's timeout whatever the fault is."""
        began = time.monotonic()
        status, _ = ask()
        assert time.monotonic() - began < TIMEOUT + SLACK
        return status

    def recovers(self) -> None:
        """All is as before, with no restart; docs/benchmarks.md has how soon."""
        wait_for(lambda: self.running.form(self.client, "/v1/oauth/token", "grant_type=client_credentials") == 200)
        wait_for(lambda: self.use(self.known) == PASSES)
        assert self.use(self.new_token()) == PASSES


@pytest.fixture
def house(folder: Path) -> Iterator[House]:
    """With one token that the cache knows."""
    (folder / "config.yaml").write_text(CONFIG)
    store = ValkeyServer().start()
    running = Gateway(folder, GATEWAY_STORE__URL=store.url).start()
    try:
        house = House(running, store, running.register("ann"))
        house.known = house.new_token()
        assert house.use(house.known) == PASSES
        yield house
        assert not running.ended
        assert running.events("exception") == []
    finally:
        running.kill_all()
        store.remove()


REFUSED = {"known": 503, "unseen": 503, "public": PASSES, "token": 503, "introspect": 503, "alive": 200}
READ_ONLY = {"known": PASSES, "unseen": PASSES, "public": PASSES, "token": 503, "introspect": 200, "alive": 200}
"""Who has a token goes on; nothing is issued."""


def test_f01_killed_and_started_again(house: House) -> None:
    unseen = house.new_token()
    house.store.kill()
    wait_for(lambda: house.use(house.known) == 503)
    assert house.statuses(unseen) == REFUSED
    house.store.start()
    house.recovers()


def test_f02_hangs(house: House) -> None:
    """What was confirmed counts until the link has been silent for 2 s; nothing else passes; no request waits for another."""
    unseen = house.new_token()
    os.kill(house.store.pid, signal.SIGSTOP)
    try:
        assert house.use(unseen) == 503
        wait_for(lambda: house.use(house.known) == 503)
        assert house.statuses(unseen) == REFUSED
    finally:
        os.kill(house.store.pid, signal.SIGCONT)
    house.recovers()


def test_f04_a_replica_that_refuses_writes(house: House) -> None:
    """READONLY, as from a master that lost its place; and MASTERDOWN, when it does not answer at all."""
    unseen = house.new_token()
    house.store.call("REPLICAOF", "127.0.0.1", "1")
    assert house.statuses(unseen) == READ_ONLY
    house.store.call("CONFIG", "SET", "replica-serve-stale-data", "no")
    fresh = house.statuses(unseen)
    assert (fresh["token"], fresh["introspect"], fresh["public"]) == (503, 503, PASSES)
    house.store.call("REPLICAOF", "NO", "ONE")
    house.recovers()


def test_f05_credentials_that_are_good_no_more(house: House) -> None:
    """NOAUTH and WRONGPASS: whoever is connected already is thrown out, and nobody comes in."""
    unseen = house.new_token()
    house.store.call("CONFIG", "SET", "requirepass", "another-one")
    house.store.call("CLIENT", "KILL", "TYPE", "normal", password="another-one")
    wait_for(lambda: house.use(house.known) == 503)
    assert house.statuses(unseen) == REFUSED
    assert "another-one" not in house.running.stderr
    house.store.call("CONFIG", "SET", "requirepass", "", password="another-one")
    house.recovers()


def test_f05_a_server_that_loads_its_data(folder: Path) -> None:
    """LOADING is not ready: 503 and never "no such token", until all is there."""
    (folder / "config.yaml").write_text(CONFIG)
    store = ValkeyServer().start()
    running = Gateway(folder, GATEWAY_STORE__URL=store.url).start()
    try:
        house = House(running, store, running.register("ann"))
        house.known = house.new_token()
        unseen = house.new_token()
        for number in range(1500):
            store.call("SET", f"x{number}", "x")
        store.call("BGREWRITEAOF")
        wait_for(lambda: store.call("INFO", "persistence")["aof_rewrite_in_progress"] == 0)
        store.kill()
        store.args += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
        store.launch()
        seen = set()

        def is_loaded() -> bool:
            seen.add(house.use(unseen))
            return house.use(house.known) == PASSES

        wait_for(is_loaded)
        assert seen <= {503, PASSES}
        assert 503 in seen
        assert "LOADING" in running.stderr
        house.recovers()
    finally:
        running.kill_all()
        store.remove()


def test_f06_out_of_memory(house: House) -> None:
    """noeviction: live tokens go on and can be revoked; what would need room is 503."""
    unseen = house.new_token()
    house.store.call("CONFIG", "SET", "maxmemory", "1")
    assert house.statuses(unseen) == READ_ONLY
    assert house.running.form(house.client, "/v1/oauth/revoke", f"token={unseen}") == 200
    assert house.use(unseen) == 401
    house.store.call("CONFIG", "SET", "maxmemory", "0")
    house.recovers()


def test_f24_a_disk_that_takes_nothing_more(house: House) -> None:
    """MISCONF: the server refuses writes since the last snapshot failed; nothing is acknowledged that was not kept."""
    unseen = house.new_token()
    (house.store.directory / "dump.rdb").mkdir()  # what a snapshot would be renamed to
    house.store.call("CONFIG", "SET", "save", "3600 1")
    house.store.call("BGSAVE")
    wait_for(lambda: house.store.call("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
    assert house.statuses(unseen) == READ_ONLY
    assert house.running.form(house.client, "/v1/oauth/revoke", f"token={unseen}") == 503
    assert house.use(unseen) == PASSES, "what was not acknowledged did not happen"
    (house.store.directory / "dump.rdb").rmdir()
    house.store.call("BGSAVE")
    house.recovers()


def test_f07_what_was_evicted_is_dead_and_never_alive(house: House) -> None:
    """An allow-list: a missing token, or client, is 401; a missing chain has no successor."""
    token = house.running.token(house.client)
    ref = find_access(token["access_token"].encode())
    assert ref is not None
    assert house.use(token["access_token"]) == PASSES
    house.store.call("DEL", KEYS.token(ref))
    wait_for(lambda: house.use(token["access_token"]) == 401)
    assert house.use(house.known) == PASSES
    for key in house.store.call("KEYS", "gw:ch:*"):
        house.store.call("DEL", key)
    body = f"grant_type=refresh_token&refresh_token={token['refresh_token']}"
    assert house.running.form(house.client, "/v1/oauth/token", body) == 400
    house.store.call("DEL", KEYS.client(house.client["client_id"]))
    wait_for(lambda: house.use(house.known) == 401)


def test_f08_an_empty_store_lets_nobody_in(house: House) -> None:
    house.store.call("FLUSHALL")
    wait_for(lambda: house.use(house.known) == 401)
    assert house.running.form(house.client, "/v1/oauth/token", "grant_type=client_credentials") == 401
    other = house.running.register("bob")
    assert house.use(house.running.token(other)["access_token"]) == PASSES


def test_f09_a_wrong_type_at_a_key_is_503_for_that_token_alone(house: House) -> None:
    """And is logged by its kind, once, without the key."""
    token = house.new_token()
    ref = find_access(token.encode())
    assert ref is not None
    house.store.call("DEL", KEYS.token(ref))
    house.store.call("RPUSH", KEYS.token(ref), "x")
    assert [house.use(token) for _ in range(5)] == [503] * 5
    assert house.use(house.known) == PASSES
    (event,) = house.running.events("record.unreadable")
    assert (event["kind"], event["reason"]) == ("token", "WRONGTYPE")
    house.store.call("DEL", KEYS.token(ref))
    wait_for(lambda: house.use(token) == 401)


def test_f02_no_pile_up_when_it_returns(house: House) -> None:
    """200 clients ask while it hangs: each is refused in time, and of what they asked no more than one round is left to do."""
    from concurrent.futures import ThreadPoolExecutor

    tokens = [house.new_token() for _ in range(40)]
    calls = "gateway_store_lookups_failed_total"
    with ThreadPoolExecutor(40) as pool:
        os.kill(house.store.pid, signal.SIGSTOP)
        try:
            for _ in range(5):
                assert set(pool.map(house.use, tokens)) == {503}
        finally:
            os.kill(house.store.pid, signal.SIGCONT)
        house.recovers()
        assert house.running.metric(calls) >= 40
        before = house.store.call("INFO", "commandstats").get("cmdstat_get", {}).get("calls", 0)
        assert set(pool.map(house.use, tokens)) == {PASSES}
        after = house.store.call("INFO", "commandstats")["cmdstat_get"]["calls"]
    assert after - before <= 2 * len(tokens) + 20
