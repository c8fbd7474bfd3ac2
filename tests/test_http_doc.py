"""docs/http.md says what the code does: its endpoints, codes and limits are the code's own; the ADRs keep to their size."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import errors
from gateway.authority import body, enrolment
from gateway.authority.hasher import SHARE
from gateway.authority.leaks import MAX_FOUND
from gateway.authority.throttle import SLOT
from gateway.config.model import Config, Route
from gateway.edge import head, pace, target, upstream
from gateway.guard import bearer
from gateway.guard.attempts import BEYOND, GENERATED, MINUTE, UNDER_ATTACK
from gateway.oauth.access import JWT_PATTERN
from gateway.oauth.accounts import MAX_PASSWORD, MIN_PASSWORD
from gateway.oauth.assertions import ALGORITHMS
from gateway.oauth.tokens import PATTERN
from gateway.routing import OWN_MAX_BODY
from gateway.store.clients import MAX_RETIRED
from gateway.store.steady import SILENCE
from gateway.upstreams import pool
from tests.endpoints import served
from tests.ops.running import Gateway
from tests.servers import ValkeyServer

ROOT = Path(__file__).parent.parent
DOC = (ROOT / "docs" / "http.md").read_text()
CLIENTS = (ROOT / "docs" / "clients.md").read_text() + (ROOT / "docs" / "sign-in.md").read_text()
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
KIB = 1024
LISTEN = Config().listen
ATTEMPTS = Config().oauth.attempts
SLOWEST = Route.model_fields["min_body_rate"].default
ONLY_LOGGED = {"client_closed", "client_timeout"}


def _section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOC, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def _row(section: str, beginning: str) -> str:
    """The one table row that begins so."""
    (row,) = [line for line in _section(section).splitlines() if line.startswith(f"| {beginning}")]
    return row


def _shell(line: str, environ: dict[str, str]) -> str:
    done = subprocess.run(["sh", "-eu"], input=line, env={**os.environ, **environ}, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def running(valkey: ValkeyServer, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway on free ports with registration open."""
    gateway = Gateway(tmp_path, GATEWAY_STORE__URL=valkey.url)
    try:
        yield gateway.start()
    finally:
        gateway.kill_all()


def _subclasses(of: type) -> Iterator[type]:
    for one in of.__subclasses__():
        yield one
        yield from _subclasses(one)


async def test_the_table_of_endpoints_is_the_router_s() -> None:
    """No endpoint is missing, none is made up."""
    named = re.findall(r"^\| `([A-Z]+) ([^`]+)`", _section("The gateway's own endpoints"), re.MULTILINE)
    assert {(method, path.replace("{prefix}", "/v1")) for method, path in named} == await served()


def test_every_code_is_named_with_its_status() -> None:
    """A program that reads `code` finds all of them here."""
    rows = re.findall(r"^\| ([\d, ]+) \| (`.*?) \|", _section("Refusals"), re.MULTILINE)
    named = {
        (int(status), code) for group, codes in rows for code in re.findall(r"`(\w+)`", codes) for status in group.split(", ")
    }
    for error in _subclasses(errors.GatewayError):
        assert issubclass(error, errors.GatewayError)
        if issubclass(error, errors.OAuthError) or error.code in ONLY_LOGGED:
            assert error is errors.OAuthError or f"`{error.code}`" in DOC + CLIENTS
        elif error is not errors.TokenRefused:  # a base
            assert (error.status, error.code) in named


@pytest.mark.parametrize(
    ("beginning", "said"),
    [
        ("request target", f"| {target.MAX_TARGET // KIB} KiB |"),
        ("header line", f"| {head.MAX_LINE // KIB} KiB, {head.MAX_HEAD // KIB} KiB, {head.MAX_LINES} |"),
        ("bearer token", f"| {bearer.MAX_TOKEN // KIB} KiB |"),
        ("body at own endpoints", f"| {body.MAX_BODY // KIB} KiB;"),
        ("body at own endpoints", f"| {OWN_MAX_BODY // KIB} KiB;"),
        ("an answer's head", f"| {head.MAX_RESPONSE_HEAD // KIB} KiB, {upstream.MAX_INTERIM} |"),
        ("connections to a target", f"; `max_queue`, {pool.MAX_WAITING:,} |"),
        ("clients of an account", f"| {enrolment.MAX_CLIENTS}, {enrolment.MAX_KEYS}, {MAX_RETIRED} |"),
        ("chains of refresh tokens", f" {Config().oauth.max_live_chains:,} |"),
        ("a whole request head", f"| `listen.head_timeout`, {LISTEN.head_timeout.total_seconds():g} s,"),
        ("a request's body", f"| `min_body_rate`, {SLOWEST} bytes a second after {pace.GRACE:g} s,"),
        ("invalid tokens of one address", f"| `listen.bad_tokens`, {LISTEN.bad_tokens} a second"),
        ("wrong secrets", f" {ATTEMPTS.per_credential}; {ATTEMPTS.per_source} passwords, {ATTEMPTS.per_source / GENERATED:g} "),
        ("registrations and", f"| `oauth.attempts`, {ATTEMPTS.registrations} a minute"),
        ("passwords being hashed", f"| {SHARE}; threads, and 16 more |"),
        ("an idle connection", f"| `listen.keepalive`, {LISTEN.keepalive.total_seconds():g} s,"),
    ],
)
def test_the_limits_are_the_code_s(beginning: str, said: str) -> None:
    assert said in _row("Limits", beginning)


def test_limits_that_stand_in_prose_or_scripts() -> None:
    prelude = (ROOT / "gateway" / "store" / "scripts" / "prelude.lua").read_text()
    (most,) = re.findall(r"^local MAX_ACCESS = (\d+)", prelude, re.MULTILINE)
    assert f"| {most} |" in _row("Limits", "live access tokens a chain")
    assert f"a silent server within\n{SILENCE:g} s" in DOC
    assert f"passwords {MIN_PASSWORD} to {MAX_PASSWORD}" in DOC
    assert f"`refresh_grace` ({Config().oauth.refresh_grace.total_seconds():g} s)" in DOC


def test_what_operators_are_told_of_wrong_secrets_is_the_code_s() -> None:
    said = (ROOT / "docs" / "operations.md").read_text().replace("\n", " ")
    generated = ATTEMPTS.per_source / GENERATED
    assert f"(`per_source`, {ATTEMPTS.per_source} passwords, or {generated:g} generated secrets" in said
    assert f"(`per_credential`, {ATTEMPTS.per_credential} a minute" in said
    assert f"(`per_account`, {ATTEMPTS.per_account})" in said
    assert f"fewer than {BEYOND} wrong ones a minute" in said
    assert ATTEMPTS.per_credential // UNDER_ATTACK == 4
    assert MINUTE / ATTEMPTS.per_credential * UNDER_ATTACK == 15
    assert "(four times at once, then once in 15 seconds)" in said
    assert f"a beat of {SLOT * 1000:g} ms" in said


def test_the_regular_expression_of_found_secrets_is_the_code_s() -> None:
    assert f"```\n{PATTERN}\n```" in CLIENTS
    assert f"```\n{JWT_PATTERN}\n```" in CLIENTS
    assert all(f"{algorithm}" in CLIENTS for algorithm in ALGORITHMS)
    assert f"of up to {MAX_FOUND} strings" in DOC


def test_the_way_back_for_a_lost_secret_works_as_written(running: Gateway) -> None:
    """Both lines of the block, in a shell: a new key by the account's password, and the old one ended with its tokens."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
    add, retire = block.splitlines()
    (username, password) = re.findall(r"'([^:']+):([^']+)'", add)[0]
    lost = running.register(username)
    token = running.token(lost)["access_token"]
    given = {"G": f"http://127.0.0.1:{running.port}", "ID": lost["client_id"], "OLD_KEY": lost["client_key"]}
    assert password == "client-password"
    new = json.loads(_shell(add, given))
    assert new["client_id"] == lost["client_id"]
    assert _shell(retire, {**given, "NEW_KEY": new["client_key"], "NEW_SECRET": new["client_secret"]}) == ""
    assert running.form(lost, "/v1/oauth/token", "grant_type=client_credentials") == 401
    assert not running.introspect(new, token)
    assert running.introspect(new, running.token(new)["access_token"])


def test_it_fits_a_reader_and_its_links_lead_somewhere() -> None:
    """260 lines; the README leads here."""
    assert len(DOC.splitlines()) <= 260
    for link in re.findall(r"\]\(([^)#]+)\)", DOC):
        assert link.startswith("https://") or (ROOT / "docs" / link).exists(), link
    assert "(docs/http.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_in_forty_lines(adr: Path) -> None:
    """Context, decision, measurement, consequences; and every file that it names is there."""
    text = adr.read_text()
    assert len(text.splitlines()) <= 40
    assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Context", "Decision", "Measurement", "Consequences"]
    for name in re.findall(r"`((?:gateway|tests|docs)/[\w/]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_decisions_are_numbered_without_a_gap_and_the_code_s_references_hold() -> None:
    numbers = [path.name[:4] for path in ADRS]
    assert numbers == [f"{number:04}" for number in range(1, len(ADRS) + 1)]
    sources = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    assert set(re.findall(r"docs/adr/(\d{4})", sources)) <= set(numbers)
