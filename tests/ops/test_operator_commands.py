"""``gateway clients …`` beside a running gateway: what the operator says holds for the very next request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.command_line import Done, here, process
from tests.ops.running import Gateway

Make = Callable[..., Gateway]
PLAIN = json.dumps({"username": "ann", "password": "client-password"})


def run(
    folder: Path, *arguments: str, stdin: str = "", mode: str = "approval", by: Callable[..., Done] = process
) -> Done:
    return by("clients", *arguments, "-c", str(folder / "config.yaml"), cwd=folder, stdin=stdin, GATEWAY_OAUTH__REGISTRATION=mode)


def operator(
    folder: Path, *arguments: str, stdin: str = "", mode: str = "approval", by: Callable[..., Done] = process
) -> Any:
    """What a command prints."""
    done = run(folder, *arguments, stdin=stdin, mode=mode, by=by)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def resource(running: Gateway, token: str) -> int:
    return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]


def test_a_client_is_approved_disabled_enabled_and_deleted(gateway: Make, folder: Path) -> None:
    """A cached verdict is gone as soon as the push arrives: the second request after each change never passes."""
    running = gateway(GATEWAY_OAUTH__REGISTRATION="approval").start()
    client = running.register("ann")
    assert running.form(client, "/v1/oauth/token", "grant_type=client_credentials") == 400
    assert [one["username"] for one in operator(folder, "pending")] == ["ann"]
    assert operator(folder, "approve", client["client_id"]) == {"approved": client["client_id"]}
    assert operator(folder, "pending", by=here) == []
    token = running.token(client)["access_token"]
    let_in = resource(running, token)
    assert let_in not in (401, 403)
    assert operator(folder, "disable", client["client_id"]) == {"disabled": client["client_id"]}
    assert resource(running, token) == 401
    operator(folder, "enable", client["client_id"])
    assert resource(running, token) == let_in
    operator(folder, "delete", client["client_id"])
    assert resource(running, token) == 401


def test_an_initial_access_token_lets_one_register(gateway: Make, folder: Path) -> None:
    """Made, used and ended while the gateway runs."""
    running = gateway(GATEWAY_OAUTH__REGISTRATION="token").start()
    made = operator(folder, "initial-access-token", "--uses", "2", "--ttl", "1h", mode="token")
    assert (made["uses"], made["expires_in"]) == (2, 3600)

    def register() -> int:
        authorization = f"Bearer {made['initial_access_token']}"
        return running.ask(
            "POST", "/v1/oauth/register", body="{}", Authorization=authorization, Content_Type="application/json"
        )[0]

    assert running.ask("POST", "/v1/register", body=PLAIN, Content_Type="application/json")[0] == 401
    assert register() == 201
    ended = operator(folder, "initial-access-token", "--end", "-", stdin=made["initial_access_token"] + "\n", mode="token")
    assert ended == {"ended": made["token_id"]}
    assert register() == 401


def test_a_client_gets_a_name_lives_and_limits_of_its_own(gateway: Make, folder: Path) -> None:
    """The next token has them; `default` and an empty word take them back."""
    running = gateway(GATEWAY_OAUTH__REGISTRATION="open").start()
    client = running.register("ann")
    made = operator(
        folder, "set", client["client_id"], "--name", "Night “batch”", "--access-token-ttl", "10m", "--refresh-token-ttl", "7d",
        "--max-live-chains", "5", "--grants", "client_credentials", "--permissions", "introspect:any",
        "--access-token-format", "jwt",
    )  # fmt: skip
    assert made == operator(folder, "show", client["client_id"])
    said = {
        "client_name": "Night “batch”", "access_token_ttl": 600, "refresh_token_ttl": 604800, "max_live_chains": 5,
        "grant_types": ["client_credentials"], "permissions": ["introspect:any"], "access_token_format": "jwt",
    }  # fmt: skip
    assert {name: made[name] for name in said} == said
    assert made["username"] == "ann"
    token = running.token(client)
    assert (token["expires_in"], "refresh_token" in token, token["access_token"][:3]) == (600, False, "eyJ")
    back = operator(
        folder, "set", client["client_id"], "--name", "", "--access-token-ttl", "default", "--refresh-token-ttl", "default",
        "--max-live-chains", "default", "--grants", "all", "--permissions", "", "--access-token-format", "default",
        by=here,
    )  # fmt: skip
    assert said.keys() & back.keys() == set()
    assert running.token(client)["expires_in"] == 3600


def test_what_can_not_be_set_is_said_and_changes_nothing(gateway: Make, folder: Path) -> None:
    running = gateway(GATEWAY_OAUTH__REGISTRATION="open").start()
    client_id = running.register("ann")["client_id"]
    before = operator(folder, "show", client_id, by=here)
    for arguments, words in [
        ((), "nothing to set"), (("--name", "a\tb"), "client_name"),
        (("--scopes", "unknown"), "oauth.scopes does not define unknown"),
        (("--grants", "password"), "the grants are"), (("--permissions", "admin"), "introspect:any"),
        (("--access-token-ttl", "0s"), "--access-token-ttl"), (("--access-token-ttl", "401d"), "400d"),
        (("--refresh-token-ttl", "soon"), "--refresh-token-ttl"), (("--max-live-chains", "0"), "--max-live-chains"),
        (("--redirect-uri", "http://app.example.com/"), "redirect_uris"), (("--plan", "gold"), "no plans are configured"),
    ]:  # fmt: skip
        done = run(folder, "set", client_id, *arguments, by=here if arguments else process)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
    done = run(folder, "set", "gwc_abcAAAAAAAAAAAAAAAAAAAAAA", "--name", "x", by=here)
    assert (done.returncode, "There is no such client" in done.stderr) == (1, True)
    assert operator(folder, "show", client_id, by=here) == before


def test_a_store_that_nobody_vouches_for_is_78(folder: Path) -> None:
    """The one file of the configuration that these commands need; a certificate of the listener, say, they do not."""
    (folder / "config.yaml").write_text("store: {url: 'rediss://127.0.0.1:1', ca_file: ca.pem}\n")
    for content in (None, b"", b"no certificate"):
        if content is not None:
            (folder / "ca.pem").write_bytes(content)
        done = run(folder, "pending", by=process if content is None else here)
        assert (done.returncode, "store.ca_file: " in done.stderr, "Traceback" in done.stderr) == (78, True, False)
