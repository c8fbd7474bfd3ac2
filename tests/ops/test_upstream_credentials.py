"""What the gateway shows upstreams, in a whole run: it gets there, and nowhere else."""

from __future__ import annotations

import base64
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.oauth.tokens import PATTERN
from tests.ops.running import Gateway
from tests.servers import ValkeyServer

SECRETS = {"PASSWORD": "legacy-pass-3141", "KEY": "live-key-2718"}
CONFIG = """\
listen: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
oauth: {{registration: open}}
upstreams: {{legacy: {{targets: ['http://127.0.0.1:{port}']}}, dead: {{targets: ['http://127.0.0.1:9']}}}}
credentials:
  legacy: {{basic: {{username: gateway, password: '${{PASSWORD}}'}}}}
  key: {{header: {{name: X-Api-Key, value: '${{file:key}}'}}}}
routes:
  - {{path: /v1/basic, upstream: legacy, credential: legacy}}
  - {{path: /v1/key, upstream: legacy, credential: key, identity: {{headers: {{X-User: sub}}}}}}
  - {{path: /v1/nobody, upstream: legacy, credential: {{by_client: {{gwc_aaaaaaaaaaaaaaaaaaaaaaaaa: key}}}}}}
  - {{path: /v1/dead, upstream: dead, credential: legacy}}
  - {{path: /v1/signed, upstream: legacy, identity: {{assertion: {{audience: https://legacy.internal}}}}}}
secrets: {{current: 'what the store does not have: 32'}}
"""


class _Legacy(http.server.BaseHTTPRequestHandler):
    """Notes what it is shown."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def legacy() -> Iterator[http.server.ThreadingHTTPServer]:
    _Legacy.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Legacy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_credentials_reach_the_upstream_and_nothing_else(
    valkey: ValkeyServer, tmp_path: Path, legacy: http.server.ThreadingHTTPServer
) -> None:
    """O31: live values of a whole run are searched in all output, metrics, answers, command lines and faults."""
    (tmp_path / "key").write_text(SECRETS["KEY"] + "\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "config.yaml").write_text(CONFIG.format(port=legacy.server_address[1]))
    gateway = Gateway(tmp_path, PASSWORD=SECRETS["PASSWORD"], GATEWAY_STORE__URL=valkey.url)
    said = []
    faulty = CONFIG.replace("credential: legacy", "credential: legcy").replace("username: gateway", "username: 'a:b'")
    for text in (CONFIG, faulty):
        config = tmp_path / "checked.yaml"
        config.write_text(text.format(port=9))
        command = [sys.executable, "-m", "gateway", "check", "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**_environ(), **SECRETS})
        said += [done.stdout, done.stderr]
        assert (done.returncode == 0) == (text is CONFIG), done.stderr
    try:
        gateway.start()
        client = gateway.register()
        bearer = f"Bearer {gateway.token(client)['access_token']}"
        paths = ("basic", "key", "nobody", "dead", "signed")
        answers = [gateway.ask("GET", f"/v1/{path}", Authorization=bearer) for path in paths]
        keys = json.loads(gateway.ask("GET", "/v1/oauth/jwks.json")[1])
        assertion = _Legacy.seen[-1]["x-identity-assertion"]
        said.append(gateway.ask("GET", "/v1/signed", Authorization=f"Bearer {assertion}")[1])
        said += [body for _, body in answers]
        said += [gateway.ask("GET", path, admin=True)[1] for path in ("/metrics", "/readyz", "/healthz")]
        said += [" ".join(process.cmdline()) for process in gateway.family()]
        assert gateway.end() == 0
    finally:
        gateway.kill_all()
    assert [status for status, _ in answers] == [200, 200, 403, 502, 200]
    pair = base64.b64encode(f"gateway:{SECRETS['PASSWORD']}".encode()).decode()
    assert [seen.get("authorization") for seen in _Legacy.seen] == [f"Basic {pair}", None, None]
    assert [seen.get("x-api-key") for seen in _Legacy.seen] == [None, SECRETS["KEY"], None]
    assert [seen.get("x-user") for seen in _Legacy.seen] == [None, client["client_id"], None]
    claims = jwt.decode(assertion, KeySet.import_key_set(keys), algorithms=["ES256"]).claims
    assert (claims["aud"], claims["sub"]) == ("https://legacy.internal", client["client_id"])
    assert '"code":"invalid_token"' in "".join(said)
    everything = "\n".join([*said, gateway.stdout, gateway.stderr])
    assert '"event":"request"' in everything
    for secret in (*SECRETS.values(), pair, assertion, "what the store"):
        assert secret not in everything


BEHIND = """\
listen: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
oauth: {{registration: open}}
store: {{url: '{store}', prefix: behind}}
upstreams: {{legacy: {{targets: ['http://127.0.0.1:{port}']}}}}
routes: [{{path: /v1/, upstream: legacy}}]
"""
BEFORE = """\
listen: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
oauth: {{registration: open}}
store: '{store}'
upstreams: {{behind: {{targets: ['http://127.0.0.1:{port}']}}}}
credentials:
  behind:
    oauth:
      token_endpoint: http://127.0.0.1:{port}/v1/oauth/token
      client_id: {client_id}
      client_secret: ${{SECRET}}
routes: [{{path: /v1/legacy, upstream: behind, credential: behind, rewrite: /v1/legacy}}]
"""


def test_the_upstream_may_be_behind_a_gateway_of_its_own(
    valkey: ValkeyServer, tmp_path: Path, legacy: http.server.ThreadingHTTPServer
) -> None:
    """Its token endpoint is a real one; a token is fetched, taken there, and stands nowhere else, nor does the secret."""
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    (folders[1] / "config.yaml").write_text(BEHIND.format(store=valkey.url, port=legacy.server_address[1]))
    behind = Gateway(folders[1])
    gateways = [behind]
    try:
        behind.start()
        us = behind.register("gateway@example.com")
        text = BEFORE.format(store=valkey.url, port=behind.port, client_id=us["client_id"])
        (folders[0] / "config.yaml").write_text(text)
        before = Gateway(folders[0], SECRET=us["client_secret"])
        gateways.append(before)
        before.start()
        client = before.register()
        bearer = f"Bearer {before.token(client)['access_token']}"
        assert [before.ask("GET", "/v1/legacy", Authorization=bearer)[0] for _ in range(3)] == [200] * 3
        assert [seen["x-client-id"] for seen in _Legacy.seen] == [us["client_id"]] * 3
        metrics = before.ask("GET", "/metrics", admin=True)[1]
        assert 'gateway_upstream_tokens_total{credential="behind",result="granted"} 1' in metrics
        assert behind.end() == 0
        status, body = before.ask("GET", "/v1/legacy", Authorization=bearer)
        assert status == 502
        assert before.end() == 0
    finally:
        for gateway in gateways:
            gateway.kill_all()
    everything = "\n".join([metrics, body, *(output for gateway in gateways for output in (gateway.stdout, gateway.stderr))])
    assert us["client_secret"] not in everything
    assert re.search(PATTERN, everything) is None


def _environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
