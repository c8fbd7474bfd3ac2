"""What we decided where the RFCs leave a choice (docs/http.md, docs/clients.md), and FAPI 2.0 on rotation; from outside."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway
from tests.rfc.asking import basic, error, own, post
from tests.servers import ValkeyServer

Credential = dict[str, str]
_count = itertools.count()
OWN = "a-long-password"


@pytest.fixture
def username() -> str:
    return f"decides-{next(_count)}@example.com"


def refresh(gateway: Gateway, client: Credential, token: str, **form: str) -> httpx.Response:
    return gateway.token(client, grant_type="refresh_token", refresh_token=token, **form)


def sign_up(gateway: Gateway, body: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/register", json=body)


# --- refresh ------------------------------------------------------------------------------------------------------


def test_fapi2_5_3_a_lost_answer_is_repeated_byte_by_byte(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """The same request twice gives the same tokens; also after the new access token was used."""
    first = refresh(gateway, client, pair["refresh_token"]).json()
    assert gateway.resource(first["access_token"]).status_code == 200
    again = refresh(gateway, client, pair["refresh_token"]).json()
    assert {name: again[name] for name in ("access_token", "refresh_token")} == {
        name: first[name] for name in ("access_token", "refresh_token")
    }  # fmt: skip
    assert again["expires_in"] <= first["expires_in"]


def test_fapi2_5_3_twenty_at_once_get_the_same_pair(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """O02: one successor, never two live children."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: refresh(gateway, client, pair["refresh_token"]), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({(answer.json()["access_token"], answer.json()["refresh_token"]) for answer in answers}) == 1


def test_rfc9700_4_14_2_after_the_successor_was_used_a_replay_ends_the_chain(
    gateway: Gateway, client: Credential, pair: dict[str, Any]
) -> None:
    """And no other chain of the client (O01)."""
    other = gateway.token(client).json()
    second = refresh(gateway, client, pair["refresh_token"]).json()
    third = refresh(gateway, client, second["refresh_token"]).json()
    refused = refresh(gateway, client, pair["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    for dead in (pair, second, third):
        assert gateway.resource(dead["access_token"]).status_code == 401
    assert refresh(gateway, client, third["refresh_token"]).status_code == 400
    assert gateway.resource(other["access_token"]).status_code == 200
    assert refresh(gateway, client, other["refresh_token"]).status_code == 200


def test_a_repetition_with_another_scope_is_none(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """It is refused, and the chain lives."""
    first = refresh(gateway, client, pair["refresh_token"]).json()
    assert refresh(gateway, client, pair["refresh_token"], scope="write").status_code == 400
    assert refresh(gateway, client, first["refresh_token"]).status_code == 200


def test_refreshing_leaves_the_older_access_token_alive(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    refresh(gateway, client, pair["refresh_token"])
    assert gateway.resource(pair["access_token"]).status_code == 200


# --- id, key, secret ----------------------------------------------------------------------------------------------


def test_all_three_are_the_same_bytes_with_and_without_form_encoding(client: Credential) -> None:
    assert set(client) == {"client_id", "client_key", "client_secret"}
    for value in client.values():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", value)


def test_a_client_has_several_keys_and_each_gets_tokens_until_it_is_retired(gateway: Gateway, client: Credential) -> None:
    """Retiring stops new tokens, and with ?tokens=revoke ends what was issued with it."""
    keys = f"{gateway.url}/v1/clients/{client['client_id']}/keys"
    auth = (client["client_key"], client["client_secret"])
    made = httpx.post(keys, auth=auth)
    assert (made.status_code, made.headers["cache-control"], made.headers["pragma"]) == (201, "no-store", "no-cache")
    second = made.json()
    assert second["client_id"] == client["client_id"]
    mine, others = gateway.token(second).json(), gateway.token(client).json()
    assert gateway.introspect(client, mine["access_token"]).json()["client_id"] == client["client_id"]
    assert httpx.delete(f"{keys}/{second['client_key']}", auth=auth).status_code == 204
    assert gateway.token(second).status_code == 401
    assert gateway.resource(mine["access_token"]).status_code == 200
    assert httpx.delete(f"{keys}/{second['client_key']}?tokens=revoke", auth=auth).status_code == 204
    assert gateway.resource(mine["access_token"]).status_code == 401
    assert gateway.resource(others["access_token"]).status_code == 200


def test_client_secret_post_is_off_unless_configured(gateway: Gateway, client: Credential) -> None:
    form = {"grant_type": "client_credentials", "client_id": client["client_id"], "client_secret": client["client_secret"]}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    metadata = httpx.get(f"{gateway.url}/.well-known/oauth-authorization-server").json()
    assert "client_secret_post" not in metadata["token_endpoint_auth_methods_supported"]


# --- tokens -------------------------------------------------------------------------------------------------------


def test_tokens_are_opaque_and_have_a_prefix_for_scanners(client: Credential, pair: dict[str, Any]) -> None:
    assert pair["access_token"].startswith("gwa_")
    assert pair["refresh_token"].startswith("gwr_")
    assert client["client_secret"].startswith("gws_")
    assert client["client_id"] not in pair["access_token"]


def test_a_copy_of_the_store_gives_nobody_a_token(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """Digests only, of tokens, secrets and passwords; a successor is sealed."""
    later = refresh(gateway, client, pair["refresh_token"]).json()
    files = b"".join(path.read_bytes() for path in (gateway.directory / "store").rglob("*") if path.is_file())
    assert client["client_key"].encode() in files, "this is where they would be"
    tokens = [found[name] for found in (pair, later) for name in ("access_token", "refresh_token")]
    for secret in (client["client_secret"], *tokens):
        assert secret.encode() not in files
        assert secret[7:50].encode() not in files
    assert OWN.encode() not in files


# --- accounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "ab", "x" * 255, "with space", "a\u0131b", "a\u200bb", "a/b", "a:b", "caf\u00e9", "", "a\x00b", "a\r\nb", "name!",
    "\u202ename",
])  # fmt: skip
def test_usernames_are_of_few_characters(gateway: Gateway, name: str) -> None:
    """G03."""
    refused = sign_up(gateway, {"username": name, "password": OWN})
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert refused.json()["code"] == "invalid_input"


def test_usernames_are_lower_cased_and_one_registration_wins(gateway: Gateway, username: str) -> None:
    """G02: of many at once."""
    with ThreadPoolExecutor(8) as pool:
        names = [username, username.upper()] * 4
        answers = list(pool.map(lambda name: sign_up(gateway, {"username": name, "password": OWN}).status_code, names))
    assert sorted(answers) == [201] + [409] * 7


@pytest.mark.parametrize(("password", "status"), [
    ("1234567", 400), ("12345678", 201), ("x" * 256, 201), ("x" * 257, 400), ("pässwörd-ñ", 201), ("\u0041\u030a" * 8, 201),
    (None, 400), (12345678, 400),
])  # fmt: skip
def test_passwords_have_8_to_256_code_points(gateway: Gateway, username: str, password: object, status: int) -> None:
    """G04."""
    answer = sign_up(gateway, {"username": username, "password": password})
    assert answer.status_code == status
    assert not isinstance(password, str) or password not in answer.text


def test_a_password_counts_whole_and_in_nfc(gateway: Gateway, username: str) -> None:
    """What differs in the 200th character is another one; composed and decomposed are the same."""
    long = "x" * 199
    assert sign_up(gateway, {"username": username, "password": long + "\u00e9"}).status_code == 201
    url = f"{gateway.url}/v1/clients"

    def opens(password: str) -> bool:
        return httpx.get(url, auth=httpx.BasicAuth(username.encode(), password.encode())).status_code == 200

    assert opens(long + "\u00e9")
    assert opens(long + "e\u0301")
    assert not opens(long + "e")
    assert not opens(long)


@pytest.mark.parametrize("more", [{"is_admin": True}, {"scopes": ["write"]}, {"client_id": "x"}, {"__proto__": {}}])
def test_unknown_fields_at_register_are_400(gateway: Gateway, username: str, more: dict[str, Any]) -> None:
    """G07; nothing was registered."""
    body = {"username": username, "password": OWN}
    assert sign_up(gateway, {**body, **more}).status_code == 400
    assert sign_up(gateway, body).status_code == 201


def test_the_plain_registration_answers_with_exactly_three_fields(gateway: Gateway, username: str) -> None:
    answer = sign_up(gateway, {"username": username, "password": OWN})
    assert (answer.status_code, set(answer.json())) == (201, {"client_id", "client_key", "client_secret"})
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers["location"].endswith(f"/v1/clients/{answer.json()['client_id']}")


# --- errors -------------------------------------------------------------------------------------------------------


def test_rfc9457_3_what_the_gateway_itself_refuses_is_problem_json(gateway: Gateway) -> None:
    """A stable code and the request's id; a 401 says where tokens come from."""
    for answer in (httpx.get(f"{gateway.url}/v1/resource"), httpx.get(f"{gateway.url}/nowhere"), sign_up(gateway, {})):
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert {"type", "title", "status", "code", "request_id"} <= said.keys()
        assert said["status"] == answer.status_code
        if answer.status_code == 401:
            assert said["token_endpoint"] == f"{gateway.url}/v1/oauth/token"


def keys_url(gateway: Gateway, client: Credential, key: str = "") -> str:
    return f"{gateway.url}/v1/clients/{client['client_id']}/keys" + (f"/{key}" if key else "")


def test_id_key_secret_a_client_holds_several_credentials(gateway: Gateway, client: Credential) -> None:
    """A secret is rotated without an outage; retiring stops new tokens, and live ones go on."""
    second = httpx.post(keys_url(gateway, client), auth=own(client)).json()
    assert second["client_id"] == client["client_id"]
    assert second["client_key"] != client["client_key"]
    old, new = gateway.token(client).json(), gateway.token(second).json()
    by_id = {"client_key": client["client_id"], "client_secret": second["client_secret"]}
    assert gateway.token(by_id).status_code == 200
    listed = httpx.get(keys_url(gateway, client), auth=own(second)).json()["keys"]
    assert {key["client_key"] for key in listed} == {client["client_key"], second["client_key"]}
    assert all({"created", "last_used"} <= set(key) for key in listed)
    assert httpx.delete(keys_url(gateway, client, client["client_key"]), auth=own(second)).status_code == 204
    assert error(gateway.token(client)) == (401, "invalid_client")
    for pair in (old, new):
        assert gateway.resource(pair["access_token"]).status_code == 200


def test_tokens_every_record_of_one_has_an_end(brief: Gateway, brief_store: ValkeyServer) -> None:
    client = brief.register("ends@example.com")
    refresh(brief, client, brief.token(client).json()["refresh_token"])
    kinds = {key.split(b":")[1] for key in brief_store.call("KEYS", "gw:*") if brief_store.call("TTL", key) == -1}
    assert not {b"at", b"ch"} & kinds


def test_tokens_have_a_form_that_scanners_know(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    partition = client["client_id"][4:7]
    for string, prefix in ((pair["access_token"], "gwa_"), (pair["refresh_token"], "gwr_"), (client["client_secret"], "gws_")):
        assert string.startswith(prefix)
    assert pair["access_token"][4:7] == pair["refresh_token"][4:7] == partition
    typo = pair["access_token"][:20] + ("A" if pair["access_token"][20] != "A" else "B") + pair["access_token"][21:]
    assert gateway.resource(typo).status_code == 401


def test_tokens_of_too_many_chains_the_oldest_loses_its_refresh_token_only(brief: Gateway) -> None:
    client = brief.register("chains@example.com")
    first, second, third = (brief.token(client).json() for _ in range(3))
    assert brief.resource(first["access_token"]).status_code == 200
    assert error(refresh(brief, client, first["refresh_token"])) == (400, "invalid_grant")
    for pair in (second, third):
        assert refresh(brief, client, pair["refresh_token"]).status_code == 200


def test_usernames_accounts_get_no_tokens_and_clients_have_no_password(gateway: Gateway, client: Credential) -> None:
    """The token endpoint knows secrets only."""
    gateway.register("account-only@example.com", "a-long-password")
    answer = post(gateway, "grant_type=client_credentials", *basic("account-only@example.com", "a-long-password").items())
    assert error(answer) == (401, "invalid_client")
    assert httpx.get(f"{gateway.url}/v1/clients", auth=own(client)).status_code == 401


def test_unknown_a_foreign_token_looks_like_any_other_that_is_none(
    gateway: Gateway, brief: Gateway, client: Credential
) -> None:
    """Another gateway's, well-formed; a client's that was deleted."""
    foreign = brief.token(brief.register("foreign@example.com")).json()["access_token"]
    deleted = client
    token = gateway.token(deleted).json()["access_token"]
    assert httpx.delete(f"{gateway.url}/v1/clients/{deleted['client_id']}", auth=own(deleted)).status_code == 204
    answers = [gateway.resource(one) for one in (foreign, token, "nonsense")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.headers["www-authenticate"] for answer in answers}) == 1


def test_errors_oauth_endpoints_speak_rfc6749_and_all_else_problems(gateway: Gateway) -> None:
    for path in ("token", "introspect", "revoke"):
        answer = httpx.post(f"{gateway.url}/v1/oauth/{path}", data={"x": "y"})
        assert answer.headers["content-type"].startswith("application/json")
        assert set(answer.json()) <= {"error", "error_description"}
    for method, path in (("POST", "register"), ("GET", "clients"), ("GET", "clients/x"), ("GET", "resource"), ("GET", "nowhere")):
        answer = httpx.request(method, f"{gateway.url}/v1/{path}")
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"code", "request_id", "status", "title"} <= set(answer.json())
