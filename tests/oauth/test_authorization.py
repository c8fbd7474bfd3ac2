"""Authorization requests: RFC 6749 section 4.1, RFC 7636, RFC 8252, RFC 9700."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import InvalidRequest, InvalidScope, OAuthError, UnauthorizedClient, UnsafeRedirect, UnsupportedResponseType
from gateway.oauth.authorization import (
    AuthorizationRequest,
    Target,
    answer_uri,
    challenge_of,
    find_target,
    is_granted,
    is_sound,
    is_verifier,
    matches,
    read_request,
)
from gateway.oauth.records import Client, Code, Consent

WEB = "https://app.example.com/cb"
CLIENT = Client("gwc_abcAAAAAAAAAAAAAAAAAAAAAA", "", scopes=frozenset({"read", "write"}), redirect_uris=(WEB,))
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SOUND = {
    "client_id": CLIENT.client_id, "redirect_uri": WEB, "response_type": "code", "state": "s", "scope": "read",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


def read(client: Client = CLIENT, *repeated: str, **changes: str) -> AuthorizationRequest:
    parameters = {name: value for name, value in {**SOUND, **changes}.items() if value}
    return read_request(*find_target(client, parameters, repeated), parameters, repeated)


def test_rfc7636_appendix_b() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE


def test_rfc6749_4_1_1_a_request_that_can_be_granted() -> None:
    assert read() == AuthorizationRequest(CLIENT, Target(WEB, WEB), frozenset({"read"}), CHALLENGE)
    assert read(scope="").scopes == CLIENT.scopes, "all that it may have (section 3.3)"


def test_rfc6749_3_1_2_3_a_redirect_uri_may_be_left_out_where_there_is_one() -> None:
    assert read(redirect_uri="").target == Target(WEB, "")
    with pytest.raises(UnsafeRedirect):
        read(replace(CLIENT, redirect_uris=(WEB, WEB + "2")), redirect_uri="")


@pytest.mark.parametrize(("client", "repeated", "changes"), [
    pytest.param(None, (), {}, id="unknown client"),
    pytest.param(replace(CLIENT, enabled=False), (), {}, id="disabled client"),
    pytest.param(replace(CLIENT, redirect_uris=()), (), {}, id="no redirect URIs"),
    pytest.param(replace(CLIENT, redirect_uris=()), (), {"redirect_uri": ""}, id="no redirect URIs, none named"),
    pytest.param(CLIENT, (), {"client_id": ""}, id="no client_id"),
    pytest.param(CLIENT, ("client_id",), {}, id="two client_ids"),
    pytest.param(CLIENT, ("redirect_uri",), {}, id="two redirect_uris"),
])  # fmt: skip
def test_rfc6749_4_1_2_1_where_no_redirect_is_safe(client: Client, repeated: tuple[str, ...], changes: dict[str, str]) -> None:
    with pytest.raises(UnsafeRedirect):
        read(client, *repeated, **changes)


@pytest.mark.parametrize("named", [
    "https://app.example.com/cb/", "https://app.example.com/c", "https://app.example.com/cb?x=1", "https://app.example.com/cb?",
    "https://app.example.com/cb#x", "https://app.example.com/x/../cb", "https://app.example.com/cb/..", "https://app.example.com/cb;x",
    "https://user@app.example.com/cb", "https://APP.example.com/cb", "HTTPS://app.example.com/cb", "https://app.example.com/CB",
    "https://app.example.com:443/cb", "https://app.example.com:8443/cb", "http://app.example.com/cb", "https://*.example.com/cb",
    "https://app.example.com.evil.com/cb", "https://evil.com/https://app.example.com/cb", "javascript:alert(1)",
    "//app.example.com/cb",
    "https://app.example.com/cb\n", " https://app.example.com/cb", "https://app.example.com/%63b", "https://app.example.com\\cb",
])  # fmt: skip
def test_o28_rfc9700_4_1_3_a_redirect_uri_is_compared_to_the_letter(named: str) -> None:
    with pytest.raises(UnsafeRedirect):
        read(redirect_uri=named)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_rfc8252_7_3_on_loopback_any_port(host: str) -> None:
    registered = f"http://{host}/cb?x=1"
    for port in ("", ":1", ":51004", ":65535"):
        assert matches(registered, f"http://{host}{port}/cb?x=1")
    for named in (
        f"http://{host}:0/cb?x=1", f"http://{host}:65536/cb?x=1", f"http://{host}:/cb?x=1", f"http://{host}:80/cb", f"https://{host}/cb?x=1",
        f"http://{host}:80x/cb?x=1", f"http://{host}:80@evil.com/cb?x=1", f"http://{host}:80/cb?x=1#", f"http://{host}.evil.com/cb?x=1",
        "http://127.0.0.2/cb?x=1", f"http://{host}:80\\@evil.com/cb?x=1", f"http://x@{host}:80/cb?x=1", f"http://{host}:80/cb?x=1\n",
    ):  # fmt: skip
        assert not matches(registered, named), named
    assert not matches("http://127.0.0.1/cb", "http://localhost/cb")


@pytest.mark.parametrize(("error", "changes"), [
    pytest.param(InvalidRequest, {"response_type": ""}, id="no response_type"),
    pytest.param(UnsupportedResponseType, {"response_type": "token"}, id="RFC 9700 2.1.2 no implicit grant"),
    pytest.param(UnsupportedResponseType, {"response_type": "code token"}, id="hybrid"),
    pytest.param(InvalidRequest, {"response_mode": "fragment"}, id="response_mode"),
    pytest.param(InvalidRequest, {"code_challenge": ""}, id="RFC 7636 4.4.1 no challenge"),
    pytest.param(InvalidRequest, {"code_challenge_method": ""}, id="RFC 7636 4.3 the default is plain"),
    pytest.param(InvalidRequest, {"code_challenge_method": "plain"}, id="RFC 7636 4.2 plain"),
    pytest.param(InvalidRequest, {"code_challenge_method": "s256"}, id="S256 in another case"),
    pytest.param(InvalidRequest, {"code_challenge": CHALLENGE + "="}, id="padded"),
    pytest.param(InvalidRequest, {"code_challenge": CHALLENGE[:-1]}, id="short"),
    pytest.param(InvalidRequest, {"request": "e30.e30."}, id="request object"),
    pytest.param(InvalidRequest, {"request_uri": "https://e.com"}, id="request_uri"),
    pytest.param(InvalidScope, {"scope": "read admin"}, id="a scope too many"),
    pytest.param(InvalidScope, {"scope": 're"ad'}, id="a scope of odd characters"),
])  # fmt: skip
def test_o27_rfc6749_4_1_2_1_what_goes_back_to_the_client(error: type[OAuthError], changes: dict[str, str]) -> None:
    with pytest.raises(error):
        read(**changes)


def test_rfc6749_3_1_no_parameter_is_repeated_but_resource() -> None:
    with pytest.raises(InvalidRequest):
        read(CLIENT, "scope")
    assert read(CLIENT, "resource")


def test_rfc6749_4_1_2_1_a_client_that_may_not_use_codes() -> None:
    with pytest.raises(UnauthorizedClient):
        read(replace(CLIENT, grants=frozenset({"client_credentials"})))


def test_rfc6749_4_1_2_the_answer_stands_behind_the_query_that_is_there() -> None:
    parameters = {"code": "c", "state": "a b&c=d\r\n"}
    assert answer_uri(Target(WEB, WEB), parameters) == f"{WEB}?code=c&state=a+b%26c%3Dd%0D%0A"
    assert answer_uri(Target(f"{WEB}?x=1", WEB), {"code": "c"}) == f"{WEB}?x=1&code=c"


def test_rfc8252_8_6_a_consent_is_remembered_where_nobody_else_could_get_the_code() -> None:
    consent = Consent(CLIENT.client_id, "gwu_ann", frozenset({"read"}), 1)
    loopback = replace(CLIENT, redirect_uris=("http://127.0.0.1/cb",))
    assert is_granted(read(), consent)
    assert is_granted(read(replace(CLIENT, public=True)), consent), "only the owner of a host gets what is sent there"
    assert is_granted(read(loopback, redirect_uri="http://127.0.0.1:7/cb"), consent), "it needs its secret"
    assert not is_granted(read(replace(loopback, public=True), redirect_uri="http://127.0.0.1:7/cb"), consent)
    assert not is_granted(read(scope="read write"), consent)
    assert not is_granted(read(), None)


@pytest.mark.parametrize(("verifier", "right"), [
    (VERIFIER, True), ("a" * 42, False), ("a" * 43, True), ("~._-" * 32, True), ("a" * 129, False), ("a" * 42 + "+", False),
    ("a" * 43 + "\n", False), ("ä" * 43, False), ("", False),
])  # fmt: skip
def test_rfc7636_4_1_a_verifier_is_43_to_128_unreserved_characters(verifier: str, right: bool) -> None:
    assert is_verifier(verifier) is right


@pytest.mark.parametrize(("kept", "sent", "right"), [
    (WEB, WEB, True), (WEB, "", False), (WEB, WEB + "/", False), ("", "", True), ("", WEB, True), ("", WEB + "/", False),
    (WEB, "https://ä/", False),
])  # fmt: skip
def test_rfc6749_4_1_3_a_code_is_bound_to_its_redirect_uri(kept: str, sent: str, right: bool) -> None:
    code = Code(CLIENT.client_id, "gwu_ann", frozenset(), kept, CHALLENGE, 1, 0)
    assert is_sound(code, CLIENT, redirect_uri=sent, verifier=VERIFIER) is right


def test_rfc7636_4_6_and_to_its_verifier() -> None:
    code = Code(CLIENT.client_id, "gwu_ann", frozenset(), WEB, CHALLENGE, 1, 0)
    assert not is_sound(code, CLIENT, redirect_uri=WEB, verifier="a" * 43)
    assert not is_sound(code, CLIENT, redirect_uri=WEB, verifier=CHALLENGE)
