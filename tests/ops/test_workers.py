"""Several workers under a supervisor, as processes."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from tests.ops.running import Gateway, basic, is_gone, seconds_since
from tests.servers import ValkeyServer, wait_for

Make = Callable[..., Gateway]
REFUSED = 'gateway_requests_total{route="/v1/resource",code="401"}'


def _start(gateway: Make, valkey: ValkeyServer, **environ: str) -> Gateway:
    return gateway(GATEWAY_STORE__URL=valkey.url, GATEWAY_WORKERS="2", **environ).start()


def test_one_page_of_metrics_for_all_workers(gateway: Make, valkey: ValkeyServer) -> None:
    """Whoever answered, the sum is right; each of them has its link to the store."""
    running = _start(gateway, valkey)
    for _ in range(50):
        running.ask("GET", "/v1/resource")
    assert running.metric(REFUSED) == 50
    assert running.metric("gateway_workers") == 2
    wait_for(lambda: running.metric("gateway_store_link_up") == 2)


def test_a_killed_worker_is_replaced_and_its_counts_stay(gateway: Make, valkey: ValkeyServer) -> None:
    """F19: the others serve meanwhile; no sum on /metrics goes down."""
    running = _start(gateway, valkey)
    for _ in range(50):
        running.ask("GET", "/v1/resource")
    assert running.metric(REFUSED) == 50
    for number in (0, 1):
        killed = running.workers()[number]
        os.kill(killed, signal.SIGKILL)
        assert running.metric(REFUSED) >= 50
        wait_for(lambda number=number, killed=killed: running.workers()[number] != killed)  # type: ignore[misc]
        wait_for(lambda: running.metric("gateway_workers") == 2)
    assert running.metric(REFUSED) == 50
    assert running.metric("gateway_worker_restarts_total") == 2
    for _ in range(20):
        assert running.ask("GET", "/v1/resource")[0] == 401
    assert running.metric(REFUSED) == 70
    assert running.end() == 0


def test_a_new_worker_holds_nothing_of_the_supervisor(gateway: Make, valkey: ValkeyServer) -> None:
    """No admin connection, no event loop, no other worker's channel: as many descriptors as its elder brother."""
    running = _start(gateway, valkey)
    running.metric("gateway_workers")
    first, second = running.workers()
    before = _sockets(second)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.workers()[0] != first and running.metric("gateway_workers") == 2)
    wait_for(lambda: _sockets(running.workers()[0]) == before)
    listening = {c.laddr.port for c in psutil.Process(running.workers()[0]).net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {running.port}


def _sockets(pid: int) -> Counter[str]:
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return Counter(re.sub(r"\d+", "", link) for link in links if "epoll" in link or "socket" in link)


def test_a_stuck_worker_does_not_hang_metrics(gateway: Make, valkey: ValkeyServer) -> None:
    """The page comes within the timeout, with what the worker said last."""
    running = _start(gateway, valkey)
    for _ in range(10):
        running.ask("GET", "/v1/resource")
    assert running.metric(REFUSED) == 10
    stuck = running.workers()[0]
    os.kill(stuck, signal.SIGSTOP)
    before = time.monotonic()
    assert running.metric(REFUSED) == 10
    assert seconds_since(before) < 3
    os.kill(stuck, signal.SIGCONT)
    assert running.end() == 0


def test_workers_die_with_the_supervisor(gateway: Make, valkey: ValkeyServer) -> None:
    running = _start(gateway, valkey)
    workers = running.workers()
    running.end(signal.SIGKILL)
    wait_for(lambda: all(is_gone(pid) for pid in workers))


def test_workers_that_keep_dying_end_it_with_1(gateway: Make, valkey: ValkeyServer) -> None:
    """Somebody should look; until then nobody is restarted for ever."""
    running = _start(gateway, valkey)
    deadline = time.monotonic() + 40
    while not running.ended and time.monotonic() < deadline:
        for pid in running.workers():
            if not is_gone(pid):
                _kill(pid)
        time.sleep(0.02)
    assert running.wait(5) == 1
    assert running.events("workers.given_up")
    assert 10 <= len(running.events("worker.died")) <= 12


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _revoke(running: Gateway, client: dict[str, str], pair: dict[str, str]) -> None:
    assert running.form(client, "/v1/oauth/revoke", f"token={pair['access_token']}") == 200


def _replay(running: Gateway, client: dict[str, str], pair: dict[str, str]) -> None:
    first = f"grant_type=refresh_token&refresh_token={pair['refresh_token']}"
    status, text = running.ask(
        "POST", "/v1/oauth/token", body=first, Authorization=basic(client), Content_Type="application/x-www-form-urlencoded"
    )
    assert status == 200, text
    second = f"grant_type=refresh_token&refresh_token={json.loads(text)['refresh_token']}"
    assert [running.form(client, "/v1/oauth/token", body) for body in (second, first)] == [200, 400]


def _retire(running: Gateway, client: dict[str, str], _pair: dict[str, str]) -> None:
    path = f"/v1/clients/{client['client_id']}/keys/{client['client_key']}?tokens=revoke"
    assert running.ask("DELETE", path, Authorization=basic(client))[0] == 204


def _delete(running: Gateway, client: dict[str, str], _pair: dict[str, str]) -> None:
    assert running.ask("DELETE", f"/v1/clients/{client['client_id']}", Authorization=basic(client))[0] == 204


class _Line:
    """A connection that is kept, and so always asks the same worker."""

    def __init__(self, running: Gateway) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        self.worker = json.loads(self.ask("none")[1])["request_id"].partition("-")[0]

    def ask(self, token: str) -> tuple[int, str]:
        """Status and body."""
        self._connection.request("GET", "/v1/resource", headers={"Authorization": f"Bearer {token}"})
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def close(self) -> None:
        """End it."""
        self._connection.close()


@pytest.mark.parametrize("end", [_revoke, _replay, _retire, _delete])
def test_a_token_that_one_worker_ends_is_dead_in_all(gateway: Make, valkey: ValkeyServer, end: Callable[..., None]) -> None:
    """Whichever way it ends: the store tells every verdict link."""
    running = _start(gateway, valkey)
    wait_for(lambda: running.metric("gateway_store_link_caching") == 2)
    client = running.register()
    pair = running.token(client)
    with ExitStack() as ends:
        lines: dict[str, _Line] = {}

        def reach_both() -> bool:
            line = _Line(running)
            ends.callback(line.close)
            lines.setdefault(line.worker, line)
            return len(lines) == 2

        wait_for(reach_both)
        token = pair["access_token"]
        # 502: the upstream is not there, but the token is good; now both workers have its verdict.
        assert [line.ask(token)[0] for line in lines.values() for _ in range(2)] == [502] * 4
        assert running.metric("gateway_verdict_cache_entries") == 2
        end(running, client, pair)
        wait_for(lambda: running.metric("gateway_verdict_cache_entries") == 0)
        assert [line.ask(token)[0] for line in lines.values()] == [401, 401]


def test_an_emptied_store_leaves_no_token_in_any_worker(gateway: Make, valkey: ValkeyServer) -> None:
    """FLUSHALL by hand is heard by all of them."""
    running = _start(gateway, valkey)
    token = running.token(running.register())["access_token"]
    for _ in range(20):
        assert running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0] == 502
    valkey.call("FLUSHALL")
    wait_for(lambda: running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0] == 401)
    assert {running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0] for _ in range(20)} == {401}
