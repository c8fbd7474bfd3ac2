"""A gateway that speaks TLS, as a process: the five steps over https, renewal, and its end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Authority, client_context
from tests.ops.running import CONFIG, Gateway, basic, seconds_since
from tests.servers import wait_for

LISTEN = "listen: {host: 127.0.0.1, port: 0, tls: [{cert_file: server.pem, key_file: server.key}]}"


@pytest.fixture
def authority(folder: Path) -> Authority:
    authority = Authority(folder)
    authority.issue("localhost", "gw.test")
    (folder / "config.yaml").write_text(CONFIG.replace("listen: {host: 127.0.0.1, port: 0}", LISTEN))
    return authority


def ask(gateway: Gateway, authority: Authority, path: str, body: str | None = None, **headers: str) -> bytes:
    request = urllib.request.Request(
        f"https://localhost:{gateway.port}{path}", body and body.encode(), {k.replace("_", "-"): v for k, v in headers.items()}
    )
    with urllib.request.urlopen(request, timeout=10, context=client_context(authority.ca_file)) as answer:
        return bytes(answer.read())


def shown(gateway: Gateway) -> bytes:
    """The certificate that a new client is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection(("127.0.0.1", gateway.port), 10)
    with sock, context.wrap_socket(sock, server_hostname="gw.test") as tls:
        return tls.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_registration_and_token_over_https_and_a_renewal_that_cuts_nobody(
    gateway: Callable[..., Gateway], authority: Authority, workers: str
) -> None:
    running = gateway(GATEWAY_WORKERS=workers).start()
    registered = ask(
        running, authority, "/v1/register", '{"username": "a@example.com", "password": "client-password"}',
        Content_Type="application/json",
    )  # fmt: skip
    client = dict(json.loads(registered))
    form = {"Authorization": basic(client), "Content_Type": "application/x-www-form-urlencoded"}
    assert b"access_token" in ask(running, authority, "/v1/oauth/token", "grant_type=client_credentials", **form)
    metadata = json.loads(ask(running, authority, "/.well-known/oauth-authorization-server"))
    assert metadata["issuer"].startswith("https://")

    before = shown(running)
    sock = socket.create_connection(("127.0.0.1", running.port), 10)
    live = client_context(authority.ca_file).wrap_socket(sock, server_hostname="localhost")
    authority.issue("localhost", "gw.test")
    wait_for(lambda: len(running.events("tls.reloaded")) >= int(workers), 15)
    wait_for(lambda: all(shown(running) != before for _ in range(4)))
    live.sendall(b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: gw.test\r\n\r\n")
    assert live.recv(100).startswith(b"HTTP/1.1 200 ")
    live.close()
    assert running.metric('gateway_certificate_expires_timestamp_seconds{file="server.pem"}') > time.time()
    assert running.end() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_verifies_it_by_its_authority(gateway: Callable[..., Gateway], authority: Authority) -> None:
    running = gateway().start()
    url = f"https://localhost:{running.port}/v1/resource"
    command = ["curl", "-sS", "--cacert", str(authority.ca_file), "-o", "/dev/null", "-w", "%{http_code} %{http_version}", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15)
    assert (done.stdout, done.stderr) == ("401 1.1", "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_waits_for_no_handshake_and_no_goodbye(
    gateway: Callable[..., Gateway], authority: Authority, workers: str
) -> None:
    """A client that says nothing, one in the middle of its hello, and one that reads nothing any more."""
    running = gateway(GATEWAY_WORKERS=workers, GATEWAY_DRAIN_TIMEOUT="30s").start()
    silent = [socket.create_connection(("127.0.0.1", running.port), 10) for _ in range(3)]
    silent[1].sendall(b"\x16\x03\x01")
    deaf = client_context(authority.ca_file).wrap_socket(silent[2], server_hostname="localhost")
    ask(running, authority, "/.well-known/oauth-authorization-server")
    began = time.monotonic()
    assert running.end(signal.SIGTERM, 40) == 0
    assert seconds_since(began) < 15
    deaf.close()
    for sock in silent:
        sock.close()
