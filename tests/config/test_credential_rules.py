"""``credentials``, ``routes[].credential`` and ``routes[].identity``: faults, each with its place and its why."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.oauth.tokens import is_client_id
from tests.config.test_rules import check, config
from tests.config.writing import faults, loaded, warnings

CLIENT = "gwc_abc" + "a" * 22
WHO = "client_id: i, client_secret: s"
KNOWN = "credentials: {k: {header: {name: X-Api-Key, value: v}}, b: {basic: {username: u, password: p}}, a: {header: {name: authorization, value: Key v}}}\n"
KNOWN += "issuers: {corp: {issuer: https://idp.example, audience: [api]}}\n"


def test_the_client_of_these_tests_is_one() -> None:
    assert is_client_id(CLIENT)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("k: {basic: {username: u, password: p}}", ""),
        ("k: {basic: {username: ü ser, password: 'a:b €'}}", ""),
        ("k: {header: {name: X_Api_Key, value: v}}", ""),
        ("k: §{}", "k: write one of basic, header and oauth"),
        ("k: §{basic: {username: u, password: p}, header: {name: X-A, value: v}}", "k: write one of basic, header and oauth"),
        ("k: {basic: {username: §'a:b', password: p}}", "k.basic.username: write a name without colon"),
        ("k: {basic: {username: §'', password: p}}", "k.basic.username: write a name without colon"),
        ("k: {basic: {username: u, password: §''}}", "k.basic.password: it is empty"),
        (r'k: {basic: {username: u, password: §"a\nb"}}', "k.basic.password: it holds a control character"),
        ("k: {basic: §{username: u}}", 'k.basic: "password" is missing'),
        ("k: {header: {name: X-A, value: §''}}", "k.header.value: it is empty"),
        (r'k: {header: {name: X-A, value: §"a\r\nX-Client-Id: b"}}', "k.header.value: a header's value is one line"),
        ("k: {header: {name: §Host, value: v}}", "k.header.name: no credential can stand here: it says which host"),
        ("k: {header: {name: §x-client_id, value: v}}", "k.header.name: no credential can stand here: it says who calls"),
        ("k: {header: {name: §X.Forwarded.For, value: v}}", "k.header.name: no credential can stand here: it says where"),
        ("k: {header: {name: §X-Gateway-Peer, value: v}}", "k.header.name: no credential can stand here: it says where"),
        ("k: {header: {name: §Transfer_Encoding, value: v}}", "k.header.name: no credential can stand here: it frames"),
        ("k: {header: {name: §Content-Type, value: v}}", "k.header.name: no credential can stand here: it describes"),
        ("k: {header: {name: §Proxy-Authorization, value: v}}", "k.header.name: no credential can stand here: it is for one connection"),
        ("k: {header: {name: §Sec-WebSocket-Key, value: v}}", "k.header.name: no credential can stand here: it belongs"),
        ("k: {§basics: {username: u, password: p}}", 'k.basics: unknown key; did you mean "basic"?'),
        (f"k: {{oauth: {{token_endpoint: 'https://id.example/t', {WHO}}}}}", ""),
        (f"k: {{oauth: {{token_endpoint: 'https://id.example:8443', {WHO}, auth: post, scope: [a], resource: ['https://a', 'urn:a:b'], audience: x, timeout: 8s}}}}", ""),
        (f"k: {{oauth: {{token_endpoint: 'http://127.0.0.1:9/t?a=b%20c', {WHO}}}}}", ""),
        (f"k: {{oauth: {{token_endpoint: 'http://[::1]:9/t', {WHO}}}}}", ""),
        (f"k: {{oauth: {{token_endpoint: §'http://id.example/t', {WHO}}}}}", "k.oauth.token_endpoint: off loopback a token endpoint is https"),
        (f"k: {{oauth: {{token_endpoint: §'https://u:p@id.example/t', {WHO}}}}}", "k.oauth.token_endpoint: a token endpoint can't hold a user"),
        (f"k: {{oauth: {{token_endpoint: §'https://id.example/t#x', {WHO}}}}}", "k.oauth.token_endpoint: a token endpoint has no fragment"),
        (f"k: {{oauth: {{token_endpoint: §'id.example/t', {WHO}}}}}", "k.oauth.token_endpoint: write a URL like"),
        (f"k: {{oauth: {{token_endpoint: §'https://id.example:0/t', {WHO}}}}}", "k.oauth.token_endpoint: write a URL like"),
        (f"k: {{oauth: {{token_endpoint: §'https://id.example/t u', {WHO}}}}}", "k.oauth.token_endpoint: write a URL like"),
        (f"k: {{oauth: {{token_endpoint: §'ftp://id.example/t', {WHO}}}}}", "k.oauth.token_endpoint: write a URL like"),
        (f"k: {{oauth: {{token_endpoint: 'https://i', {WHO}, timeout: §9s}}}}", "k.oauth.timeout: write 8s or less"),
        (f"k: {{oauth: {{token_endpoint: 'https://i', {WHO}, resource: [§relative]}}}}", "k.oauth.resource[0]: write an absolute URI"),
        (f"k: {{oauth: {{token_endpoint: 'https://i', {WHO}, resource: [§'https://a#b']}}}}", "k.oauth.resource[0]: write an absolute URI"),
        (f"k: {{oauth: {{token_endpoint: 'https://i', {WHO}, auth: §jwt}}}}", "k.oauth.auth: write one of basic, post"),
        (f"k: {{oauth: {{token_endpoint: 'https://i', {WHO}, ca_file: §nowhere.pem}}}}", "k.oauth.ca_file: "),
        ("k: {oauth: {token_endpoint: 'https://i', client_id: §'ü', client_secret: s}}", "k.oauth.client_id: write printable ASCII"),
        (r'k: {oauth: {token_endpoint: "https://i", client_id: i, client_secret: §"s\n"}}', "k.oauth.client_secret: it holds a character"),
        ("k: {oauth: {token_endpoint: 'https://i', client_id: i, client_secret: §''}}", "k.oauth.client_secret: it is empty"),
        ("§k k: {header: {name: X-A, value: v}}", "k k: write letters, digits"),
    ],
)  # fmt: skip
def test_a_credential_can_be_sent_as_it_is_written(tmp_path: Path, written: str, fault: str) -> None:
    """§ stands where the fault does."""
    line = f"credentials: {{{written}}}\n"
    where = f"7:{line.index('§') + 1}: credentials." if fault else ""
    check(tmp_path, config(line.replace("§", "")), where + fault)


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("credential: k", ""),
        ("credential: {default: k}", ""),
        (f"credential: {{default: k, by_client: {{{CLIENT}: b}}}}", ""),
        (f"credential: {{by_client: {{{CLIENT}: b}}}}", ""),
        ("credential: k, public: true", ""),
        ("credential: b, forward_authorization: false", ""),
        ("credential: k, forward_authorization: true", ""),
        ("credential: §{}", "credential: name a credential"),
        ("credential: §nope", "credential.default: no such credential; known are k, b, a"),
        (f"credential: {{by_client: {{{CLIENT}: §kk}}}}", f"credential.by_client.{CLIENT}: no such credential; did you mean \"k\"?"),
        ("credential: {by_client: {'corp:anybody': k}}", ""),
        ("credential: {by_client: {§'nocorp:anybody': k}}", "credential.by_client.nocorp:anybody: this is no client_id"),
        ("credential: {by_client: {§someone: k}}", "credential.by_client.someone: this is no client_id"),
        (f"credential: {{by_client: §{{{CLIENT}: k}}}}, public: true", "credential.by_client: a public route knows no client"),
        (f"credential: {{by_client: §{{{CLIENT}: k}}}}, enforce: report", "credential.by_client: report lets requests without a token through"),
        (f"credential: {{default: b, by_client: {{{CLIENT}: k}}}}, enforce: report", ""),
        ("credential: b, forward_authorization: §true", "forward_authorization: b takes its place"),
        ("credential: a, forward_authorization: §true", "forward_authorization: a takes its place"),
        (f"credential: {{default: k, by_client: {{{CLIENT}: b}}}}, forward_authorization: §true", "forward_authorization: b takes its place"),
        ("credential: k, request_headers: {set: {§x_api_key: v}}", "request_headers.set.x_api_key: the credential k sets this header"),
        ("credential: b, request_headers: {add: {§Authorization: v}}", "request_headers.add.Authorization: the credential b sets"),
        ("credential: k, request_headers: {set: {X-Other: v}, remove: [X-Api-Key]}", ""),
        ("identity: {}", ""),
        ("identity: {headers: {}}", ""),
        ("identity: {headers: {X-User: sub, X-Client-Id: client_id, X-Roles: scope, X-Account: subject}}", ""),
        ("identity: {headers: {X-User: §name}}", "identity.headers.X-User: write one of client_id, scope, subject, sub, issuer"),
        ("identity: {headers: {§Authorization: sub}}", "identity.headers.Authorization: nobody can be told of here: back ends take it"),
        ("identity: {headers: {§Cookie: sub}}", "identity.headers.Cookie: nobody can be told of here: back ends take it"),
        ("identity: {headers: {§X-Forwarded-User: sub}}", "identity.headers.X-Forwarded-User: nobody can be told of here: it says where"),
        ("identity: {headers: {§Host: sub}}", "identity.headers.Host: nobody can be told of here: it says which host"),
        ("identity: {headers: {X-User: sub, §X_USER: scope}}", "identity.headers.X_USER: back ends take it for X-User"),
        ("identity: {headers: {§X-Api-Key: sub}}, credential: k", "identity.headers.X-Api-Key: the credential stands in this header"),
        ("identity: {headers: {X-User: sub}}, request_headers: {set: {§X-User: v}}", "request_headers.set.X-User: identity sets"),
        ("identity: {assertion: {audience: 'https://legacy.internal'}}", ""),
        ("identity: {headers: {}, assertion: {audience: legacy, header: X-Who}}", ""),
        ("identity: {assertion: §{}}", 'identity.assertion: "audience" is missing'),
        ("identity: {assertion: {audience: §'a b'}}", "identity.assertion.audience: write a URI"),
        ("identity: {assertion: {audience: §'http://127.0.0.1:8080'}}", "identity.assertion.audience: access tokens are for this"),
        ("identity: {assertion: {audience: §'http://127.0.0.1:8080/a'}}", "identity.assertion.audience: access tokens are for this"),
        ("identity: {assertion: {audience: §'http://127.0.0.1:8080/v1/resource'}}", "identity.assertion.audience: access tokens are for this"),
        ("identity: {assertion: {audience: x, header: §Authorization}}", "identity.assertion.header: nobody can be told of here"),
        ("identity: {assertion: {audience: x, header: §x-client-id}}", "identity.assertion.header: this header holds a name"),
        ("identity: {headers: {X-A: sub}, assertion: {audience: x, header: §X_A}}", "identity.assertion.header: back ends take it for X-A"),
        ("identity: {assertion: {audience: x}}, request_headers: {set: {§X-Identity-Assertion: v}}", "request_headers.set.X-Identity-Assertion: identity sets"),
        ("identity: §{headers: {X-User: sub}}, public: true", "identity: a public route knows no caller"),
    ],
)  # fmt: skip
def test_a_route_shows_and_tells_what_it_can(tmp_path: Path, route: str, fault: str) -> None:
    """§ stands where the fault does."""
    line = f"  - {{path: /a, upstream: legacy, {route}}}\n"
    where = f"7:{line.index('§') + 1}: routes[1]." if fault else ""
    check(tmp_path, config(line.replace("§", "")) + KNOWN, where + fault)


def test_what_nobody_is_shown_is_a_warning_and_a_broken_one_no_second_fault(tmp_path: Path) -> None:
    """A name that stands there counts as known, whatever is wrong with it."""
    line = "  - {path: /a, upstream: legacy, credential: k}\n"
    assert warnings(tmp_path, config(line) + "credentials: {k: {basic: {username: u, password: p}}, z: {header: {name: X, value: y}}}\n") == [
        "config.yaml:8:55: credentials.z: no route shows this credential"
    ]  # fmt: skip
    check(tmp_path, config(line) + "credentials: {k: {basic: {username: u}}}\n", '8:26: credentials.k.basic: "password" is missing')


def test_secrets_come_from_files_and_the_environment_and_are_shown_nowhere(tmp_path: Path) -> None:
    """A fault does not repeat one, nor does the loaded configuration."""
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "key").chmod(0o600)
    text = config("  - {path: /a, upstream: legacy, credential: k}\n  - {path: /b, upstream: legacy, credential: b}\n")
    text += "credentials: {k: {header: {name: X-A, value: '${file:key}'}}, b: {basic: {username: u, password: '${PASSWORD}'}}}\n"
    config_ = loaded(tmp_path, text, {"PASSWORD": "hidden"}).config
    k, b = config_.credentials["k"].header, config_.credentials["b"].basic
    assert k is not None
    assert b is not None
    assert (k.value.get_secret_value(), b.password.get_secret_value()) == ("s3cret", "hidden")
    assert "s3cret" not in repr(config_)
    assert "hidden" not in repr(config_) + config_.model_dump_json()
    (found,) = faults(tmp_path, text, {"PASSWORD": "hidden\r\nX-Client-Id: evil"})
    assert "it holds a control character" in found
    assert "hidden" not in found


def test_an_assertion_needs_a_key_that_instances_share(tmp_path: Path) -> None:
    """As JWT access tokens do; the embedded store has one of its own."""
    text = config("  - {path: /a, upstream: legacy, identity: {assertion: {audience: x}}}\n")
    check(tmp_path, text, "")
    check(tmp_path, text + "store: redis://127.0.0.1\n", "7:56: routes[1].identity.assertion: it is signed with a key")
    check(tmp_path, text + f"store: redis://127.0.0.1\nsecrets: {{current: {'x' * 32}}}\n", "")


@pytest.mark.parametrize(("target", "warned"), [
    ("http://127.0.0.1:9", False), ("http://localhost:9", False), ("https://legacy.internal", False), ("unix:/run/legacy", False),
    ("http://legacy.internal", True), ("http://10.0.0.1:9", True),
])  # fmt: skip
def test_a_credential_in_clear_text_is_a_warning(tmp_path: Path, target: str, warned: bool) -> None:
    text = config("  - {path: /a, upstream: legacy, credential: k}\n", target=target)
    text += "credentials: {k: {header: {name: X-A, value: v}}}\n"
    expected = ["config.yaml:7:46: routes[1].credential: a target is http:// off this machine"] if warned else []
    assert [warning.partition(", so")[0] for warning in warnings(tmp_path, text)] == expected
