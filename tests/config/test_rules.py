"""Rules that go beyond a single value: faults and warnings, each with its place."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import oauth_rules
from gateway.store.clients import LONGEST_TOKEN
from tests.config.writing import SOUND, faults, warnings

BASE = """\
listen: {host: HOST, port: 8080}
admin: {host: 127.0.0.1, port: 8081}
oauth: {OAUTH}
upstreams: {legacy: {targets: [TARGET]}}
routes:
  - {path: /v1/resource, upstream: legacy}
"""


def config(routes: str = "", *, host: str = "127.0.0.1", oauth: str = "", target: str = "http://127.0.0.1:9000") -> str:
    """A sound configuration with something in it changed; its routes go on at line 7."""
    return BASE.replace("HOST", host).replace("OAUTH", oauth).replace("TARGET", f"'{target}'") + routes


def check(folder: Path, text: str, fault: str) -> None:
    """Exactly this fault (its beginning); none when it is empty."""
    found = faults(folder, text)
    assert len(found) == (1 if fault else 0), found
    assert not fault or found[0].startswith(f"config.yaml:{fault}"), found[0]


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("{path: v1, upstream: legacy}", "7:12: routes[1].path: a path begins with /"),
        ("{path: '', upstream: legacy}", "7:12: routes[1].path: a path begins with /"),
        ("{path: /a/../b, upstream: legacy}", "7:12: routes[1].path: a path has no segment . or .."),
        ("{path: /a//b, upstream: legacy}", "7:12: routes[1].path: a path has no empty segment"),
        ("{path: /a%2Fb, upstream: legacy}", "7:12: routes[1].path: %2F can be read in two ways"),
        ("{path: /a%2Fb, upstream: legacy, allow: [encoded_slash]}", ""),
        ("{path: '/a?b', upstream: legacy}", "7:12: routes[1].path: a route matches the path alone"),
        ("{path: /a, upstream: legacy, ip_allow: []}", "7:44: routes[1].ip_allow: an empty list keeps nobody out"),
        ("{path: /a, upstream: legacy, scopes_any: []}", "7:46: routes[1].scopes_any: an empty list keeps nobody out"),
        ("{path: /a, upstream: legacy, ip_allow: [10.1.0.0/16], ip_deny: [10.0.0.0/8]}", "7:45: routes[1].ip_allow[0]: ip_deny names"),
        ("{path: /a, upstream: legacy, ip_allow: [10.0.0.0/8, '::/0'], ip_deny: [10.1.0.0/16, 0.0.0.0/32]}", ""),
        ("{path: /a, upstream: legacy, ip_deny: [10.0.0.1/8]}", "7:44: routes[1].ip_deny[0]: the address has bits beyond"),
        ("{path: /a, upstream: lagacy}", '7:26: routes[1].upstream: no such upstream; did you mean "legacy"?'),
        ("{path: /a, upstream: legacy, hosts: [a.example, A.example.com, '[::1]', 10.0.0.1]}", ""),
        ("{path: /a, upstream: legacy, hosts: [a.example.]}", "7:42: routes[1].hosts[0]: write a host name without"),
        ("{path: /a, upstream: legacy, hosts: ['a.example:80']}", "7:42: routes[1].hosts[0]: write a host name without"),
        ("{path: /a, upstream: legacy, hosts: ['*.example']}", "7:42: routes[1].hosts[0]: hosts have no wildcards"),
        ("{path: /a, upstream: legacy, hosts: ['https://a.example']}", "7:42: routes[1].hosts[0]: write a host name without"),
        ("{path: /a, upstream: legacy, methods: [GET, PROPFIND]}", ""),
        ("{path: /a, upstream: legacy, methods: [GET, FETCH]}", "7:49: routes[1].methods[1]: the gateway takes no requests"),
        ("{path: /a, upstream: legacy, methods: [CONNECT]}", "7:44: routes[1].methods[0]: the gateway takes no requests"),
        ("{path: /a, upstream: legacy, methods: [POST], streams: {subprotocol: true}}", "7:74: routes[1].streams.subprotocol: a Web"),
        ("{path: /a, upstream: legacy, scopes: {POST: []}, streams: {subprotocol: true}}", "7:77: routes[1].streams.subprotocol: a W"),
        ("{path: /a, upstream: legacy, public: true, streams: {subprotocol: true}}", "7:71: routes[1].streams.subprotocol: a public"),
        ("{path: /a, upstream: legacy, methods: [GET], streams: {subprotocol: true}}", ""),
        ("{path: /a, upstream: legacy, methods: [POST], streams: {}}", ""),
        ("{path: /a, upstream: legacy, streams: {until: death}}", "7:51: routes[1].streams.until: write one of"),
        ("{path: /a, upstream: legacy, streams: {max_per_client: 0}}", "7:60: routes[1].streams.max_per_client:"),
        ("{path: /a, upstream: legacy, streams: {idle: 0s}}", "7:50: routes[1].streams.idle:"),
    ],
)
def test_a_route_that_could_never_match_is_refused(tmp_path: Path, route: str, fault: str) -> None:
    """hardening.md P18."""
    check(tmp_path, config(f"  - {route}\n"), fault)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("", "", True),
        ("hosts: [a.example]", "hosts: [b.example]", False),
        ("hosts: [a.example]", "hosts: [b.example, A.EXAMPLE]", True),
        ("hosts: [a.example]", "", False),
        ("methods: [GET]", "methods: [POST]", False),
        ("methods: [GET, POST]", "methods: [POST]", True),
        ("methods: [GET]", "", True),
        ("methods: [GET]", "methods: [HEAD]", True),
        ("hosts: [a.example], methods: [GET]", "hosts: [a.example], methods: [PUT]", False),
        ("hosts: [a.example], methods: [GET]", "hosts: [b.example], methods: [GET]", False),
    ],
)
def test_two_routes_that_take_the_same_request_are_refused(tmp_path: Path, one: str, other: str, meet: bool) -> None:
    """The fault stands at the later one and names the earlier one."""
    routes = f"  - {{path: /dup, upstream: legacy, {one}}}\n  - {{path: /dup, upstream: legacy, {other}}}\n"
    fault = "8:12: routes[2].path: routes[1] on line 7 has the same path, host and method: merge them"
    check(tmp_path, config(routes), fault if meet else "")


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/v1/oauth/token", True), ("/v1/oauth/", True), ("/v1/oauth/anything/", True), ("/v1/register", True), ("/v1/register/", True),
        ("/v1/clients/x", True), ("/v1/forward-auth", True), ("/.well-known/oauth-authorization-server", True),
        ("/.well-known/oauth-protected-resource/x", True), ("/V1/OAuth/token", True), ("/V1/Register", True), ("/v1/CLIENTS/x", True),
        ("/", False), ("/v1/", False), ("/v1/oauth", False), ("/v1/oauthx", False), ("/v1/registers", False), ("/v2/oauth/token", False),
        ("/.well-known/", False), ("/.well-known/security.txt", False), ("/register", False),
    ],
)  # fmt: skip
def test_a_route_at_or_below_an_own_endpoint_is_refused(tmp_path: Path, path: str, refused: bool) -> None:
    """Broader ones are fine: the own endpoints win."""
    check(tmp_path, config(f"  - {{path: {path}, upstream: legacy}}\n"), "7:12: routes[1].path: /" if refused else "")


def test_a_legacy_api_can_take_a_registration_path_back(tmp_path: Path) -> None:
    """And the prefix moves the others."""
    route = "  - {path: /v1/register/, upstream: legacy}\n"
    check(tmp_path, config(route), "7:12: routes[1].path: /v1/register is the gateway's own, so this could never match")
    check(tmp_path, config(route, oauth="registration_paths: [clients]"), "")
    check(tmp_path, config(route, oauth="prefix: /gw"), "")
    check(tmp_path, config("  - {path: /oauth/x, upstream: legacy}\n", oauth="prefix: ''"), "7:12: routes[1].path: /oauth/ is")
    check(tmp_path, config(oauth="registration_paths: [register, oauth]"), "3:40: oauth.registration_paths[1]: the gateway has")


def test_the_account_page_is_the_gateway_s_where_people_sign_in(tmp_path: Path) -> None:
    route = "  - {path: /v1/account, upstream: legacy}\n"
    check(tmp_path, config(route), "")
    fault = "7:12: routes[1].path: /v1/account is the gateway's own, so this could never match: take a broader path, or change oauth.sign_in"
    check(tmp_path, config(route, oauth="sign_in: true"), fault)
    check(tmp_path, config(oauth="registration_paths: [account]"), "")
    check(tmp_path, config(oauth="sign_in: true, registration_paths: [account]"), "3:45: oauth.registration_paths[0]: the gateway has")


def test_a_session_is_not_idle_for_longer_than_it_lives(tmp_path: Path) -> None:
    check(tmp_path, config(oauth="session_idle: 2h, session_life: 1h"), "3:23: oauth.session_idle: a session lives no longer")
    check(tmp_path, config(oauth="session_idle: 1h, session_life: 1h"), "")


@pytest.mark.parametrize("more", ["", ", hosts: [legacy.example]"])
def test_the_paths_where_clients_are_managed_can_only_be_moved(tmp_path: Path, more: str) -> None:
    """A route there would get no request, or with a host those of the gateway."""
    route = f"  - {{path: /v1/clients/, upstream: legacy{more}}}\n"
    fault = "7:12: routes[1].path: /v1/clients is the gateway's own"
    check(tmp_path, config(route, oauth="registration_paths: [register]"), fault)
    check(tmp_path, config(route, oauth="prefix: /gw"), "")


@pytest.mark.parametrize(
    ("oauth", "route", "fault"),
    [
        ("", "scopes: [a]", "7:43: routes[1].scopes[0]: the scope is not declared: add it to oauth.scopes"),
        ("scopes: {orders: x}", "scopes: [order]", '7:43: routes[1].scopes[0]: the scope is not declared: add it to oauth.scopes; did you mean "orders"?'),
        ("scopes: {orders: x}", "scopes: [orders], scopes_any: [y]", "7:65: routes[1].scopes_any[0]: the scope is not declared"),
        ("scopes: {orders: x}", "methods: [GET], scopes: {GET: [orders, z]}", "7:73: routes[1].scopes.GET[1]: the scope is not declared"),
        ("scopes: {orders: x}, default_scopes: [orders, y]", "public: true", "3:55: oauth.default_scopes[1]: the scope is not"),
        ("scopes: {orders: x}, default_scopes: [orders]", "scopes: [orders]", ""),
        ("scopes: {a: x}", "methods: [GET, PUT], scopes: {GET: [a]}", "7:63: routes[1].scopes: PUT has no scopes here; if a token alone"),
        ("scopes: {a: x}", "methods: [GET], scopes: {GET: [a], POST: [a]}", "7:69: routes[1].scopes.POST: POST is not among"),
        ("scopes: {a: x}", "methods: [GET], scopes: {GET: [a], HEAD: [a]}", ""),
    ],
)  # fmt: skip
def test_scopes_are_declared_and_by_method_within_the_methods(tmp_path: Path, oauth: str, route: str, fault: str) -> None:
    """A scope that nobody can get would close the route for ever."""
    check(tmp_path, config(f"  - {{path: /a, upstream: legacy, {route}}}\n", oauth=oauth), fault)


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("http://127.0.0.1", ""), ("https://api.example.com:8443", ""), ("http://[::1]:9000", ""), ("unix:/run/api.sock", ""),
        ("http://127.0.0.1:9000/", "a target has no path"), ("http://h/api", "a target has no path"), ("http://h?x", "a target has no path"),
        ("http://u:p@h", "a target can't hold a user"), ("127.0.0.1:9000", "write http://host:port"), ("ftp://h", "write http://host:port"),
        ("http://", "the host is none"), ("http://h:0", "the port must lie"), ("http://h:65536", "the port must lie"),
        ("http://::1", "the host is none"), ("http://1.2.3", "the host is none"), ("http://a b", "the host is none"),
        ("unix:", "name the socket"), ("unix://run/x", "name the socket"), ("HTTP://h", "write http://host:port"),
    ],
)  # fmt: skip
def test_a_target_is_an_address_and_nothing_more(tmp_path: Path, target: str, part: str) -> None:
    """hardening.md: no SSRF by what stands before or behind it."""
    check(tmp_path, config(target=target), part and f"4:32: upstreams.legacy.targets[0]: {part}")


@pytest.mark.parametrize(
    ("host", "target", "own"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080", "listen"), ("127.0.0.1", "http://localhost:8080", "listen"),
        ("127.0.0.1", "http://0.0.0.0:8080", "listen"), ("127.0.0.1", "http://127.0.0.1:8081", "admin"),
        ("127.0.0.1", "https://127.0.0.1:8080", "listen"), ("localhost", "http://[::1]:8080", "listen"),
        ("0.0.0.0", "http://127.0.0.1:8080", "listen"), ("0.0.0.0", "http://127.0.0.5:8080", "listen"),
        ("'::'", "http://localhost:8080", "listen"), ("gw.example", "http://GW.example:8080", "listen"),
        ("127.0.0.1", "http://127.0.0.1:80", ""), ("127.0.0.1", "http://127.0.0.2:8080", ""),
        ("127.0.0.1", "http://api.example:8080", ""), ("0.0.0.0", "http://10.0.0.7:8080", ""),
    ],
)  # fmt: skip
def test_an_upstream_is_not_the_gateway_itself(tmp_path: Path, host: str, target: str, own: str) -> None:
    """As far as names alone can tell."""
    fault = f"4:32: upstreams.legacy.targets[0]: this is the gateway itself ({own})"
    check(tmp_path, config(host=host, target=target), fault if own else "")


@pytest.mark.parametrize("key", ["per_credential", "per_source", "per_account", "registrations"])
def test_limits_of_attempts_are_whole_numbers_from_zero_on(tmp_path: Path, key: str) -> None:
    check(tmp_path, config(oauth=f"attempts: {{{key}: 0}}"), "")
    for value in ("-1", "1.5", "none"):
        check(tmp_path, config(oauth=f"attempts: {{{key}: {value}}}"), f"3:{len(key) + 22}: oauth.attempts.{key}: ")


@pytest.mark.parametrize(
    ("issuer", "part"),
    [
        ("https://api.example.com", ""), ("https://api.example.com:8443", ""), ("http://127.0.0.1:8080", ""), ("http://localhost", ""),
        ("http://[::1]:80", ""),
        ("http://api.example.com", "off loopback an issuer is https"), ("http://10.0.0.1", "off loopback an issuer is https"),
        ("https://api.example.com/", "clients compare the issuer character by character"),
        ("https://api.example.com/gw", "write the origin alone, without a path"),
        ("https://api.example.com?x=1", "an issuer has no query"), ("https://api.example.com#x", "an issuer has no query"),
        ("https://a.example?", "an issuer has no query"), ("https://u:p@a.example", "an issuer can't hold a user"),
        ("HTTPS://a.example", "write the public origin in lower case"), ("api.example.com", "write the public origin"),
        ("https://", "write the public origin"), ("https://a b", "write the public origin"), ("https://[x]", "write the public origin"),
        ("https://a.example:0", "write the public origin"), ("https://a.example:x", "write the public origin"),
        ("https://a.example:", "write the public origin"), ("https://[::1", "write the public origin"),
    ],
)  # fmt: skip
def test_rfc8414_2_an_issuer_is_an_https_origin(tmp_path: Path, issuer: str, part: str) -> None:
    """Loopback may go without TLS."""
    check(tmp_path, config(oauth=f"issuer: '{issuer}'"), part and f"3:17: oauth.issuer: {part}")


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        ("embedded:var/x", ""), ("redis://h", ""), ("redis://h:6379/0", ""), ("rediss://[::1]:6379/15", ""), ("unix:///run/redis.sock", ""),
        ("redis://:pw@h:6379", ""), ("redis://h/", ""),
        ("embedded:", "8:8: store.url: name the folder"), ("redis+sentinel://h:1", "8:8: store.url: name sentinels"),
        ("redis+sentinel://h:1/m/x", "8:8: store.url: name sentinels"), ("rediss+sentinel:///m", "8:8: store.url: name sentinels"),
        ("redis+cluster://h:1/1", "8:8: store.url: name nodes of the cluster"), ("redis+cluster://", "8:8: store.url: name nodes"),
        ("redis+cluster://h1:1,h2:x", "8:8: store.url: name nodes"), ("redis+cluster:h1", "8:8: store.url: name nodes"),
        ("rediss+cluster://h1,,h2", "8:8: store.url: name nodes"), ("redis://", "8:8: store.url: write embedded:DIR"),
        ("memcached://h", "8:8: store.url: write embedded:DIR"), ("redis://h/x", "8:8: store.url: after the host stands the number"),
        ("redis://h:99999", "8:8: store.url: write embedded:DIR"), ("rediss://h?ssl_cert_reqs=none", "8:8: store.url: options are keys"),
        ("unix:/run/x", "8:8: store.url: name the socket"), ("unix://run/x", "8:8: store.url: name the socket"),
        ("{url: redis://a:b@h, password: x}", "8:39: store.password: the URL holds a user or a password already"),
        ("{url: redis://h, ca_file: /x}", "8:34: store.ca_file: certificates are verified with rediss:// only"),
        ("{url: rediss://h, ca_file: /nothing}", "8:35: store.ca_file: the file can't be read (No such file or directory)"),
        ('{url: rediss://h, ca_file: "a\\0b"}', "8:35: store.ca_file: the file can't be read (no path)"),
        ("{url: rediss://h, ca_file: config.yaml}", "8:35: store.ca_file: there is no certificate in it"),
        ('{url: "embedded:a\\0b"}', "8:14: store.url: write embedded:DIR"),
        ("{durability: replicated}", "8:21: store.durability: an embedded store has no replica"),
        ("{url: redis://h, durability: replicated}", ""), ("redis+sentinel://u:p@h1,h2:26380/my.master-1/0", ""),
        ("rediss+sentinel://h1/m", ""), ("{url: redis+sentinel://h1/m, sentinel_password: x}", ""),
        ("{url: redis://h, sentinel_password: x}", "8:44: store.sentinel_password: there are no sentinels"), ("redis+cluster://u:p@h1:6379,[::1]:6380", ""), ("rediss+cluster://h1", ""),
        ("{url: 'redis+cluster://u:p@h1', password: x}", "8:50: store.password: the URL holds a user or a password already"),
    ],
)  # fmt: skip
def test_a_store_is_of_a_known_kind(tmp_path: Path, store: str, fault: str) -> None:
    """With options that mean something for it."""
    text = store if store.startswith("{") else f"'{store}'"
    check(tmp_path, f"{SOUND}store: {text}\n", fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("admin: {host: 0.0.0.0}", "8:15: admin.host: off loopback the operator's API needs admin.token"),
        ("admin: {host: 0.0.0.0, token: x}", ""),
        ("admin: {host: localhost}", ""),
        ("admin: {port: 8080}", "8:15: admin.port: listen and admin can't share the port 8080"),
        ("admin: {host: '::', token: x, port: 8080}", "8:37: admin.port: listen and admin can't share the port 8080"),
        ("admin: {host: 127.0.0.2, port: 8080}", ""),
    ],
)
def test_the_admin_listener_is_apart_and_guarded(tmp_path: Path, text: str, fault: str) -> None:
    """Off loopback with a token only."""
    check(tmp_path, f"{SOUND}{text}\n", fault)


def test_free_ports_do_not_clash(tmp_path: Path) -> None:
    """Port 0 is another one each time."""
    check(tmp_path, "listen: {port: 0}\nadmin: {port: 0}\nupstreams: {}\n", "")


def test_a_listener_on_the_default_port_of_admin_is_blamed_itself(tmp_path: Path) -> None:
    """The fault stands where somebody wrote something."""
    check(tmp_path, "listen: {port: 8081}\n", "1:16: listen.port: listen and admin can't share the port 8081")


@pytest.mark.parametrize("key", ["access_token_ttl", "refresh_token_ttl"])
def test_no_token_outlives_the_memory_of_what_ended_it(tmp_path: Path, key: str) -> None:
    """Or a token that ended with its key would live again once the store forgot the key."""
    check(tmp_path, config(oauth=f"{key}: 400d"), "")
    check(tmp_path, config(oauth=f"{key}: 401d"), f"3:{11 + len(key)}: oauth.{key}: write at most 400d")
    assert oauth_rules.LONGEST_LIFE == LONGEST_TOKEN


@pytest.mark.parametrize("mode", ["open", "approval", "token", "closed"])
def test_off_loopback_only_open_registration_is_worth_a_word(tmp_path: Path, mode: str) -> None:
    """The others leave it to the operator who gets a token."""
    text = f"listen: {{host: 0.0.0.0}}\noauth: {{issuer: 'https://h.example', registration: {mode}}}\n"
    warned = [warning for warning in warnings(tmp_path, text) if "oauth.registration:" in warning]
    assert len(warned) == (mode == "open"), warned


def test_the_name_of_the_own_upstream_is_taken(tmp_path: Path) -> None:
    """A route to it would reach the endpoints past the edge's rules."""
    check(tmp_path, "upstreams: {authority: {targets: ['http://h']}}\n", "1:13: upstreams.authority: the gateway calls its own")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (config(oauth="registration: open"), ""),
        (config(host="0.0.0.0", oauth="issuer: 'https://a.example', registration: open"), "3:52: oauth.registration: anybody"),
        (config(host="0.0.0.0", oauth="issuer: 'https://a.example', registration: closed"), ""),
        (config(host="0.0.0.0"), "3:8: oauth.issuer is not set"),
        ("upstreams: {a: {targets: ['http://h']}}\nroutes: []\n", "1:13: upstreams.a: no route leads to this upstream"),
        ("upstreams: {}\n", "1:1: routes: there are none"),
        (config() + "trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]\n", "7:31: trusted_proxies[1]: every client is believed"),
        (config() + "trusted_proxies: ['::/0']\n", "7:19: trusted_proxies[0]: every client is believed"),
        (config() + "trusted_proxies: [10.0.0.0/8]\n", ""),
        (config("  - {path: /a, upstream: legacy, streams: {}, min_body_rate: 9B}\n"), "7:62: routes[1].min_body_rate: on a route with"),
        (config("  - {path: /a, upstream: legacy, streams: {}, timeouts: {between_bytes: 9s}}\n"), "7:73: routes[1].timeouts.between"),
        (config("  - {path: /a, upstream: legacy, streams: {}, timeouts: {first_byte: 9s}}\n"), ""),
        (
            config("  - {path: /a, upstream: legacy, methods: [GET, HEAD, PUT], scopes: {GET: [s], PUT: []}}\n", oauth="scopes: {s: x}"),
            "",
        ),
        (
            config("  - {path: /a, upstream: legacy, scopes: {GET: [s]}}\n", oauth="scopes: {s: x}"),
            "",
        ),
    ],
)
def test_what_is_only_unwise_is_a_warning(tmp_path: Path, text: str, warning: str) -> None:
    """Beside a configuration that works."""
    found = warnings(tmp_path, text)
    assert any(line.startswith(f"config.yaml:{warning}") for line in found) if warning else not found, found


@pytest.mark.parametrize(
    ("closed", "public", "warned"),
    [
        ("/admin/", "/", "/admin"), ("/admin", "/", "/admin/"), ("/admin", "/admin/", "/admin/"), ("/a/b/", "/a/", "/a/b"),
        ("/admin/", "/public/", ""), ("/admin/", "/admin/x", ""), ("/a/", "/a/b/", ""), ("/", "/public/", ""),
    ],
)  # fmt: skip
def test_p09_a_closed_path_that_is_open_with_another_ending_is_warned_of(
    tmp_path: Path, closed: str, public: str, warned: str
) -> None:
    """Paths are exact here, but to many back ends /admin and /admin/ are one."""
    routes = f"  - {{path: {closed}, upstream: legacy}}\n  - {{path: {public}, upstream: legacy, public: true}}\n"
    text = config(routes).replace("  - {path: /v1/resource, upstream: legacy}\n", "")
    found = warnings(tmp_path, text)
    assert len(found) == (1 if warned else 0), found
    assert not warned or found[0].startswith(f"config.yaml:6:12: routes[0].path: {warned} is public"), found
    if warned != public:
        assert not warnings(tmp_path, text + (f"  - {{path: {warned}, upstream: legacy}}\n" if warned else ""))


def test_rules_stand_back_where_something_they_read_is_wrong(tmp_path: Path) -> None:
    """The default port is no fault of whoever misspelt another one."""
    text = config(target="http://127.0.0.1:8080").replace("port: 8080", "port: 80z")
    check(tmp_path, text, "1:33: listen.port: write a whole number")
    text = config(target="http://127.0.0.1:8080").replace("port: 8080", "prot: 80")
    check(tmp_path, text, '1:27: listen.prot: unknown key; did you mean "port"?')


LONG = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("oauth: {access_token_format: jwt}", ""),
        (f"oauth: {{access_token_format: jwt}}\nstore: 'redis://h'\nsecrets: {{current: {LONG}, previous: [{LONG}]}}", ""),
        ("oauth: {access_token_format: opaque}\nstore: 'redis://h'", ""),
        ("oauth: {access_token_format: jwt}\nstore: 'redis://h'", "8:30: oauth.access_token_format: JWTs are signed with a key"),
        ("oauth: {access_token_format: JWT}", "8:30: oauth.access_token_format: "),
        ("secrets: {}", '8:10: secrets: "current" is missing'), ("secrets: {current: short}", "8:20: secrets.current: "),
        (f"secrets: {{current: {LONG}, previous: [short]}}", "8:65: secrets.previous[0]: "),
        ("oauth: {signing_key_life: 23h}", "8:27: oauth.signing_key_life: write 1d to 400d"),
        ("oauth: {signing_key_life: 401d}", "8:27: oauth.signing_key_life: write 1d to 400d"),
    ],
)
def test_keys_that_sign_are_sealed_with_a_secret(tmp_path: Path, text: str, fault: str) -> None:
    """No secret is ever part of what is said about it."""
    check(tmp_path, f"{SOUND}{text}\n", fault)
    assert all(word not in found for found in faults(tmp_path, f"{SOUND}{text}\n") for word in (LONG, "short"))


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("{path: /a, upstream: legacy, on_store_failure: cached, max_stale: 1d}", ""),
        ("{path: /a, upstream: legacy, on_store_failure: cached, max_stale: 25h}", "7:71: routes[1].max_stale: write at most 1d"),
        ("{path: /a, upstream: legacy, on_store_failure: cached, max_stale: 0s}", "7:71: routes[1].max_stale: write a duration above"),
        ("{path: /a, upstream: legacy, on_store_failure: allow}", "7:52: routes[1].on_store_failure: "),
        ("{path: /a, upstream: legacy, public: true, on_store_failure: cached}", "7:66: routes[1].on_store_failure: requests pass"),
        ("{path: /a, upstream: legacy, enforce: report, on_store_failure: cached}", "7:69: routes[1].on_store_failure: requests pass"),
        ("{path: /a, upstream: legacy, enforce: reports}", "7:43: routes[1].enforce: "),
        ("{path: /a, upstream: legacy, enforce: report}", ""),
        ("{path: /a, upstream: legacy, public: true, enforce: report}", "7:5: routes[1]: a public route refuses nobody"),
    ],
)
def test_what_a_route_does_without_the_store_or_without_refusing(tmp_path: Path, route: str, fault: str) -> None:
    check(tmp_path, config(f"  - {route}\n"), fault)


def test_routes_that_let_everybody_in_are_warned_of(tmp_path: Path) -> None:
    (said,) = warnings(tmp_path, config("  - {path: /a, upstream: legacy, enforce: report}\n"))
    assert "7:43: routes[1].enforce: report lets every request through" in said
    (said,) = warnings(tmp_path, config("  - {path: /a, upstream: legacy, max_stale: 1h}\n"))
    assert "max_stale: it counts with on_store_failure: cached only" in said
