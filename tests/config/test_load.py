"""From file to Config: what can't be read, what the model refuses, and what comes out."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config.load import load, load_all
from gateway.errors import ConfigFault
from tests.certificates import Authority
from tests.config.writing import SOUND, faults, loaded, written

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"", "config.yaml:1:1: the file is empty: begin with upstreams and routes", id="empty"),
        pytest.param(b"# nothing\n", "config.yaml:1:1: the file is empty: begin with upstreams and routes", id="comment"),
        pytest.param(b"\n- a\n", "config.yaml:2:1: the file must hold keys with values, like listen: {port: 8080}", id="list"),
        pytest.param(b"hello", "config.yaml:1:1: the file must hold keys with values, like listen: {port: 8080}", id="text"),
        pytest.param(b"a: 1\nb: \xc3\xa4\xff\n", "config.yaml:2:5: not UTF-8: save it as UTF-8", id="latin-1"),
        pytest.param("a: 1".encode("utf-16"), "config.yaml:1:1: not UTF-8: save it as UTF-8", id="utf-16"),
        pytest.param(b"listen:\n\tport: 1\n", "config.yaml:2:1: a tab can't indent YAML: use spaces", id="tab"),
        pytest.param(b"workers: 1\n---\nworkers: 2\n", "config.yaml:2:1: a second document begins here: keep one, without ---", id="two"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_at_all(tmp_path: Path, content: bytes, fault: str) -> None:
    """One fault, with its place."""
    assert faults(tmp_path, content) == [fault]


def test_a_byte_order_mark_is_forgiven(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    assert faults(tmp_path, b"\xef\xbb\xbf" + SOUND.encode()) == []


@pytest.mark.parametrize(("name", "reason"), [("missing.yaml", "No such file or directory"), (".", "Is a directory"), ("\0", "not a path")])
def test_a_file_that_can_not_be_read(tmp_path: Path, name: str, reason: str) -> None:
    """The fault names it."""
    path = f"{tmp_path}/{name}"
    with pytest.raises(ConfigFault) as caught:
        load(path, {}, {})
    assert caught.value.faults == [f"{path}:1:1: can't read the file: {reason}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The reason is the system's."""
    path = written(tmp_path, SOUND)
    path.chmod(0)
    with pytest.raises(ConfigFault, match="Permission denied"):
        load(path, {}, {})


# Each text is appended to SOUND, which has seven lines; places are those of the whole file.
MODEL = [
    ("worker: 2", '8:1: worker: unknown key; did you mean "workers"?'),
    ("xyz: 2", "8:1: xyz: unknown key; known are listen, admin, workers, store, oauth, secrets, trusted_proxies"),
    ("admin: {prot: 1}", '8:9: admin.prot: unknown key; did you mean "port"?'),
    ("admin: 8081", "8:8: admin: write a mapping, like {key: value}"),
    ("admin:", "8:7: admin: there is no value: write one or remove the key"),
    ("workers: 0", "8:10: workers: write at least 1"),
    ("workers: 257", "8:10: workers: write at most 256"),
    ("workers: two", "8:10: workers: write a whole number"),
    ("workers: true", "8:10: workers: write a whole number"),
    ("workers: 2.0", "8:10: workers: write a whole number"),
    ("workers: 1_0", "8:10: workers: write a whole number"),
    ("drain_timeout: 30", "8:16: drain_timeout: write a duration with its unit, like 250ms, 30s, 10m, 1h or 30d"),
    ("drain_timeout: -1s", "8:16: drain_timeout: write a duration with its unit, like 250ms, 30s, 10m, 1h or 30d"),
    ("drain_timeout: 4000d", "8:16: drain_timeout: write a duration of at most 3650d"),
    ("store: {timeout: 0s}", "8:18: store.timeout: write a duration above zero"),
    ("store: {timeout: 2001ms}", "8:18: store.timeout: write 2s or less: a store that is silent for so long is given up"),
    ("store: {durability: replicate}", '8:21: store.durability: write one of local, replicated; did you mean "replicated"?'),
    ("store: {prefix: 'a b'}", "8:17: store.prefix: write 1 to 32 letters, digits, dots, dashes or underscores"),
    ("store: {url: redis://h, password: ''}", "8:35: store.password: it is empty: write a value or remove the key"),
    ("store: [a]", "8:8: store: write a mapping, like {key: value}"),
    ("oauth: {registration: opne}", '8:23: oauth.registration: write one of open, approval, token, closed; did you mean "open"?'),
    ("oauth: {prefix: v1}", '8:17: oauth.prefix: write a path like /v1, without a slash at its end; "" for none'),
    ("oauth: {prefix: /v1/}", '8:17: oauth.prefix: write a path like /v1, without a slash at its end; "" for none'),
    ("oauth: {registration_paths: [a/b]}", "8:30: oauth.registration_paths[0]: write one path segment"),
    ("oauth: {default_scopes: a}", "8:25: oauth.default_scopes: write a list, like [a, b]"),
    ("oauth: {scopes: [a]}", "8:17: oauth.scopes: write a mapping, like {key: value}"),
    ("oauth: {scopes: {'a b': x}}", "8:18: oauth.scopes.a b: a scope is printable ASCII without space"),
    ("oauth: {refresh_for_client_credentials: no}", "8:41: oauth.refresh_for_client_credentials: write true or false"),
    ("oauth: {client_secret_post: 1}", "8:29: oauth.client_secret_post: write true or false"),
    ("oauth: {access_token_ttl: 0ms}", "8:27: oauth.access_token_ttl: write a duration above zero"),
    ("trusted_proxies: [10.1.2.3/8]", "8:19: trusted_proxies[0]: the address has bits beyond its mask: write 10.0.0.0/8"),
    ("trusted_proxies: [proxy.local]", "8:19: trusted_proxies[0]: write a network like 10.0.0.0/8"),
    ("trusted_proxies: [167772160]", "8:19: trusted_proxies[0]: write a network like 10.0.0.0/8"),
    ("trusted_proxies: 10.0.0.0/8", "8:18: trusted_proxies: write a list, like [a, b]"),
    ("  - {path: /x}", '8:5: routes[1]: "upstream" is missing: Name of an entry in'),
    ("  - path: [x]\n    upstream: legacy", "8:11: routes[1].path: write text"),
    ("  - just text", "8:5: routes[1]: write a mapping, like {key: value}"),
    ("  - {path: /x, upstream: legacy, method: [GET]}", '8:34: routes[1].method: unknown key; did you mean "methods"?'),
    ("  - {path: /x, upstream: legacy, methods: [get]}", "8:44: routes[1].methods[0]: write methods in capitals, like GET"),
    ("  - {path: /x, upstream: legacy, public: yes}", "8:42: routes[1].public: write true or false"),
    ("  - {path: /x, upstream: legacy, max_body: 10}", "8:44: routes[1].max_body: write a size with its unit"),
    ("  - {path: /x, upstream: legacy, allow: [semicolons]}", '8:42: routes[1].allow[0]: write one of semicolon, '),
    ("  - {path: /x, upstream: legacy, timeouts: {connect: 0s}}", "8:54: routes[1].timeouts.connect: write a duration above zero"),
    ("  - {path: /x, upstream: legacy, scopes: {get: [a]}}", "8:43: routes[1].scopes.get: write methods in capitals, like GET"),
    ("  - {path: /x, upstream: legacy, scopes: {GET: a}}", "8:48: routes[1].scopes.GET: write a list, like [a, b]"),
    ("  - {path: /x, upstream: legacy, scopes: a}", "8:42: routes[1].scopes: write a list, like [a, b]"),
    ("  - {path: /x, upstream: legacy, public: true, scopes_any: [a]}", "8:5: routes[1]: a public route asks no token"),
    ("  - {path: /x, path: /y, upstream: legacy}", '8:16: the key "path" stands here twice, first on line 8: keep one'),
    ("drain_delay: ${DELAY}", "8:14: the environment variable DELAY is not set: set it, or write ${DELAY:-default}"),
    ("drain_delay: ${DELAY:?ask Ann}", "8:14: the environment variable DELAY is not set: ask Ann"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), [pytest.param(*case, id=case[0][:50]) for case in MODEL])
def test_a_wrong_value_is_named_with_its_place_and_its_remedy(tmp_path: Path, text: str, fault: str) -> None:
    """And nothing else is blamed beside it."""
    found = faults(tmp_path, f"{SOUND}{text}\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"config.yaml:{fault}"), found[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('upstreams: {legacy: {targets: []}}', "1:31: upstreams.legacy.targets: write at least one entry"),
        ('upstreams: {legacy: {target: [x]}}', '1:22: upstreams.legacy.target: unknown key; did you mean "targets"?'),
        ('upstreams: {"a b": {targets: ["http://h"]}}', "1:13: upstreams.a b: write letters, digits, dots, dashes"),
        ("upstreams: {legacy: }", "1:21: upstreams.legacy: there is no value"),
        ("listen: {host: '127.0.0.1:80'}", "1:16: listen.host: write a host name or an IP address"),
        ("listen: {host: '[::1]'}", "1:16: listen.host: write a host name or an IP address"),
        ("admin: {host: '127.0.0.300', token: x}", "1:15: admin.host: write a host name or an IP address"),
        ("listen: {host: 'http://x'}", "1:16: listen.host: write a host name or an IP address"),
        ("listen: {host: ''}", "1:16: listen.host: write a host name or an IP address"),
        ("listen: {port: -1}", "1:16: listen.port: write at least 0"),
        ("routes: {path: /x}", "1:9: routes: write a list, like [a, b]"),
    ],
)
def test_a_wrong_value_of_the_first_sections(tmp_path: Path, text: str, fault: str) -> None:
    """Alone in the file; the model's faults stand before those of the rules."""
    found = faults(tmp_path, f"{text}\n")
    assert [line for line in found if line.startswith(f"config.yaml:{fault}")], found


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Those of YAML, the environment, the references, the model and the rules."""
    text = """\
listen: {host: 127.0.0.1, port: 80800}
admin: {host: 0.0.0.0}
store: redis+sentinel://h:1
oauth:
  issuer: http://api.example.com
  registration: ${MODE}
  registration: token
upstreams:
  legacy:
    targets: [http://h/path, "ftp://h"]
routes:
  - path: v1
    upstream: legacy
    public: on
  - path: /a//b
    upstream: lagacy
    scopes: [x]
"""
    found = faults(tmp_path, text, {"GATEWAY_WORKERS": "many"})
    places = [line.split(": ")[0].removeprefix("config.yaml:") for line in found]
    assert places == [
        "1:33", "2:15", "3:8", "5:11", "6:17", "7:3", "10:15", "10:30", "12:11", "14:13", "15:11", "16:15", "17:14", "GATEWAY_WORKERS",
    ]  # fmt: skip


def test_a_secret_is_in_no_message(tmp_path: Path) -> None:
    """Wherever somebody put it."""
    secret = tmp_path / "secret"
    secret.write_text("tops3cret")
    secret.chmod(0o600)
    value = "'${file:secret}'"
    lines = [
        f"listen: {{host: {value}, port: {value}}}", f"workers: {value}", f"drain_delay: {value}", f"trusted_proxies: [{value}]",
        f"store: {{url: {value}, durability: {value}, ca_file: {value}, prefix: 'x{value[1:-1]} '}}",
        f"oauth: {{issuer: {value}, prefix: {value}, registration: {value}, default_scopes: [{value}], client_secret_post: {value}}}",
        f"upstreams: {{u: {{targets: [{value}, 'http://me:${{file:secret}}@h', 'redis://:${{file:secret}}@h']}}}}",
        f"routes: [{{path: {value}, upstream: {value}, hosts: [{value}], methods: [{value}], scopes: [{value}], max_body: {value}}}]",
    ]  # fmt: skip
    found = faults(tmp_path, "\n".join(lines))
    assert len(found) > 15
    assert "tops3cret" not in "\n".join(found)
    found = faults(tmp_path, f"{SOUND}store: 'redis://:${{file:secret}}@h/x'\n", {"GATEWAY_WORKERS": "tops3cret"})
    assert len(found) == 2
    assert "tops3cret" not in "\n".join(found)


def test_a_number_is_text_where_text_is_wanted(tmp_path: Path) -> None:
    """As it stands: 0777 stays 0777."""
    text = f"{SOUND}store: {{url: redis://h, username: 0x1f, password: 0777}}\noauth: {{scopes: {{a: 1.50}}}}\n"
    config = loaded(tmp_path, text).config
    assert config.store.password is not None
    assert (config.store.username, config.store.password.get_secret_value()) == ("0x1f", "0777")
    assert config.oauth.scopes == {"a": "1.50"}


def test_numbers_and_booleans_may_be_quoted(tmp_path: Path) -> None:
    """For references within { } need quotes."""
    text = SOUND.replace("port: 8080", 'port: "${PORT}"') + '    public: "${PUBLIC}"\n'
    config = loaded(tmp_path, text, {"PORT": "9443", "PUBLIC": "true"}).config
    assert (config.listen.port, config.routes[0].public) == (9443, True)


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the file is named relatively, from elsewhere."""
    (tmp_path / "etc").mkdir()
    Authority(tmp_path / "etc")
    text = SOUND.replace("http://127.0.0.1:9000", "unix:../run/api.sock, 'unix:/run/b.sock'") + "store: embedded:../var/store\n"
    written(tmp_path / "etc", text)
    monkeypatch.chdir(tmp_path)
    config = load("etc/config.yaml", {}, {})
    assert config.store.url == f"embedded:{tmp_path}/var/store"
    assert config.upstreams["legacy"].targets == (f"unix:{tmp_path}/run/api.sock", "unix:/run/b.sock")
    written(tmp_path / "etc", f"{SOUND}store: {{url: rediss://h, ca_file: ca.pem}}\n")
    assert load("etc/config.yaml", {}, {}).store.ca_file == tmp_path / "etc" / "ca.pem"
    written(tmp_path / "etc", SOUND)
    assert load("etc/config.yaml", {}, {}).store.url == f"embedded:{tmp_path}/etc/var/store"


def test_a_store_url_gives_its_credentials_away(tmp_path: Path) -> None:
    """So that whoever logs the URL logs no secret."""
    store = loaded(tmp_path, f"{SOUND}store: redis://me:p%40ss@h:6380/2\n").config.store
    assert store.password is not None
    assert (store.url, store.username, store.password.get_secret_value()) == ("redis://h:6380/2", "me", "p@ss")
    assert "p@ss" not in repr(store)


@pytest.mark.parametrize(
    ("listen", "issuer"),
    [
        ("{host: 127.0.0.1, port: 8090}", "http://127.0.0.1:8090"),
        ("{host: localhost, port: 8090}", "http://localhost:8090"),
        ("{host: '::1', port: 8090}", "http://[::1]:8090"),
    ],
)
def test_an_issuer_that_nobody_wrote_follows_the_listener(tmp_path: Path, listen: str, issuer: str) -> None:
    """On loopback; metadata then names what clients really reach."""
    text = SOUND.replace("{host: 127.0.0.1, port: 8080}", listen)
    assert loaded(tmp_path, text).config.oauth.issuer == issuer
    assert loaded(tmp_path, f"{text}oauth: {{issuer: 'https://a.example'}}\n").config.oauth.issuer == "https://a.example"


def test_routes_know_their_lines(tmp_path: Path) -> None:
    """For the route table at start."""
    text = f"{SOUND}\n  - {{path: /b, upstream: legacy}}\n"
    assert loaded(tmp_path, text).route_lines == (6, 9)


def test_the_shipped_config_is_sound() -> None:
    """Without a warning, and as the contract describes it."""
    found = load_all(REPOSITORY / "config.yaml", {}, {})
    config = found.config
    assert found.warnings == []
    assert (config.listen.host, config.listen.port, config.admin.port) == ("127.0.0.1", 8080, 8081)
    assert config.store.url == f"embedded:{REPOSITORY}/var/store"
    assert (config.oauth.issuer, config.oauth.prefix, config.oauth.registration) == ("http://127.0.0.1:8080", "/v1", "open")
    assert config.oauth.access_token_ttl == timedelta(hours=1)
    assert config.oauth.scopes == {}
    assert config.upstreams["legacy"].targets == ("http://127.0.0.1:9000",)
    assert [(route.path, route.public) for route in config.routes] == [("/v1/resource", False), ("/v1/legacy/", False), ("/public/", True)]
