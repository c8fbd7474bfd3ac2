"""Clients never take the descriptors that serving them needs."""

from __future__ import annotations

import resource
import socket
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from gateway.ops.descriptors import RESERVED, bounded
from tests.ops.running import Gateway
from tests.servers import ValkeyServer, wait_for

Make = Callable[..., Gateway]


@pytest.mark.parametrize(
    ("wanted", "limit", "fit"),
    [(10_000, 20_064, 10_000), (9, 1_000_000, 9), (10_000, 1024, 480), (10, 1024, 10), (10_000, 70, 3), (9, 20, 1)],
)
def test_each_client_and_its_upstream_connection_have_a_descriptor(wanted: int, limit: int, fit: int) -> None:
    """Beside those that are reserved."""
    assert bounded(wanted, limit) == fit


@pytest.mark.parametrize("workers", [1, 2])
def test_x04_idle_clients_do_not_starve_the_others(
    gateway: Make, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """More clients than descriptors: whoever is in is served, upstream included, and so is the operator."""
    limit = 128
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit))
    one = gateway(GATEWAY_STORE=valkey.url, GATEWAY_WORKERS=str(workers))
    with monkeypatch.context() as patch:
        patch.setattr("tests.ops.running.subprocess.Popen", partial(subprocess.Popen, preexec_fn=few))
        one.launch()
    wait_for(lambda: one.ended or one.events("gateway.started"))
    started = one.events("gateway.started")[0]
    one.port, one.admin_port = started["port"], started["admin_port"]
    assert one.events("connections.bounded")[0]["connections"] == (limit - RESERVED) // 2
    clients = [socket.create_connection(("127.0.0.1", one.port), 5) for _ in range(workers * limit)]
    try:
        wait_for(lambda: one.metric("gateway_connections") == workers * (limit - RESERVED) // 2)
        answers = []
        for client in clients[:8]:
            client.settimeout(5)
            client.sendall(b"GET /public/x HTTP/1.1\r\nHost: a\r\n\r\n")
            answers.append(client.recv(65536))
        # Nobody listens at the upstream of this configuration: that it was tried at all needs a descriptor.
        assert all(answer.startswith(b"HTTP/1.1 502") for answer in answers), answers
        assert one.ask("GET", "/healthz", admin=True)[0] == 200
        reasons = {event["reason"] for event in one.events("request.refused")}
        assert reasons == {"http://127.0.0.1:9 can't be reached: ConnectionRefusedError"}
        assert not one.events("accept.exhausted")
    finally:
        for client in clients:
            client.close()
