"""authorization_code with PKCE by standard clients and in a real browser: sign in, consent, callback, token, refresh."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from requests_oauthlib import OAuth2Session

from tests.blackbox import ANSWER, Gateway, Origin
from tests.e2e.browser import Browser, Visit, callback

PASSWORD = "correct horse battery"
SCOPE = "orders:read"
pytestmark = pytest.mark.slow
_count = itertools.count()


@dataclass(frozen=True)
class Application:
    """A client that registered itself (RFC 7591), and an account that uses it."""

    gateway: Gateway
    browser: Browser
    client_id: str
    client_secret: str
    redirect_uri: str
    username: str

    @property
    def auth(self) -> tuple[str, str]:
        """For HTTP Basic."""
        return self.client_id, self.client_secret

    @property
    def server(self) -> dict[str, str]:
        """The metadata (RFC 8414)."""
        found: dict[str, str] = httpx.get(f"{self.gateway.url}/.well-known/oauth-authorization-server").raise_for_status().json()
        return found

    def link(self, **parameters: str) -> str:
        """Where a browser begins, by hand."""
        asked = {"response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect_uri, "scope": SCOPE}
        challenge = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
        return f"{self.server['authorization_endpoint']}?{urlencode({**asked, **challenge, 'state': 's', **parameters})}"

    def send(
        self, url: str, *, password: str = PASSWORD, answer: str | None = "allow", keep: str = "", script: bool = True
    ) -> Visit:
        """Send the account's browser somewhere, up to the callback."""
        return self.browser.visit(
            url, until=self.redirect_uri, username=self.username, password=password, answer=answer, keep=keep, script=script
        )

    def agree(self, url: str) -> str:
        """Sign in and allow: the callback's URL."""
        visit = self.send(url)
        assert [page.kind for page in visit.pages] == ["sign-in", "consent"]
        assert visit.landed.startswith(self.redirect_uri)
        return visit.landed


@pytest.fixture(scope="module")
def signing(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway where people can sign in."""
    config = {
        "oauth": {"sign_in": True, "scopes": {SCOPE: "read your orders"}, "default_scopes": [SCOPE]},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy", "scopes": [SCOPE]}],
    }
    with Gateway(tmp_path_factory.mktemp("signing"), config).running() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def redirect_uri() -> Iterator[str]:
    """Where the applications answer."""
    with callback() as uri:
        yield uri


@pytest.fixture(scope="module")
def username(signing: Gateway) -> str:
    """An account."""
    name = "ann@example.com"
    signing.register(name, PASSWORD)
    return name


@pytest.fixture
def application(signing: Gateway, browser: Browser, redirect_uri: str, username: str) -> Application:
    """A client that keeps a secret."""
    return register(signing, browser, redirect_uri, username, "client_secret_basic")


def register(gateway: Gateway, browser: Browser, redirect_uri: str, username: str, method: str) -> Application:
    """Register a client dynamically."""
    asked = {
        "client_name": f"Orders & Co <{next(_count)}>", "redirect_uris": [redirect_uri], "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    }  # fmt: skip
    answer = httpx.post(f"{gateway.url}/v1/oauth/register", json=asked)
    assert answer.status_code == 201, answer.text
    document = answer.json()
    return Application(gateway, browser, document["client_id"], document.get("client_secret", ""), redirect_uri, username)


def resource(application: Application, token: str) -> bytes:
    """What the API says to a token."""
    return application.gateway.resource(token).content


def test_authlib(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation of the metadata, PKCE and state are the library's; the callback's iss is compared here (RFC 9207)."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # plain loopback is meant
    server, verifier = AuthorizationServerMetadata(application.server), secrets.token_urlsafe(48)
    server.validate()
    with OAuth2Client(
        *application.auth, scope=SCOPE, redirect_uri=application.redirect_uri, code_challenge_method="S256", **server
    ) as session:
        url, state = session.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
        landed = application.agree(url)
        assert parse_qs(urlsplit(landed).query)["iss"] == [server["issuer"]]
        first = session.fetch_token(authorization_response=landed, state=state, code_verifier=verifier)
        assert session.get(f"{application.gateway.url}/v1/resource").content == ANSWER
        second = session.refresh_token(refresh_token=first["refresh_token"])
    assert second["access_token"] != first["access_token"]
    assert resource(application, second["access_token"]) == ANSWER


def test_requests_oauthlib(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """PKCE and state are the library's."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # plain loopback is meant
    server = application.server
    with OAuth2Session(application.client_id, redirect_uri=application.redirect_uri, scope=[SCOPE], pkce="S256") as session:
        url, _ = session.authorization_url(server["authorization_endpoint"])
        landed = application.agree(url)
        first = session.fetch_token(
            server["token_endpoint"], authorization_response=landed, client_secret=application.client_secret
        )
        second = session.refresh_token(server["token_endpoint"], refresh_token=first["refresh_token"], auth=application.auth)
    assert second["access_token"] != first["access_token"]
    assert resource(application, second["access_token"]) == ANSWER


def test_httpx(application: Application) -> None:
    """All by hand: what RFC 6749, 7636 and 9207 say, and nothing else, is enough."""
    server, verifier, state = application.server, secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    landed = application.agree(application.link(state=state, code_challenge=challenge))
    came = {name: values[0] for name, values in parse_qs(urlsplit(landed).query).items()}
    assert (came["state"], came["iss"]) == (state, application.gateway.url)
    form = {"grant_type": "authorization_code", "code": came["code"], "code_verifier": verifier}
    form["redirect_uri"] = application.redirect_uri
    first = httpx.post(server["token_endpoint"], auth=application.auth, data=form).raise_for_status().json()
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = httpx.post(server["token_endpoint"], auth=application.auth, data=again).raise_for_status().json()
    assert second["access_token"] != first["access_token"]
    assert resource(application, second["access_token"]) == ANSWER


@pytest.mark.parametrize("library", ["oauth4webapi", "openid-client", "simple-oauth2"])
def test_npm(application: Application, node: Path, library: str) -> None:
    """The certified two check state and iss themselves; simple-oauth2 knows no PKCE, its script makes the challenge."""
    converse(application, node, library)


def test_a_public_client(signing: Gateway, browser: Browser, redirect_uri: str, username: str, node: Path) -> None:
    """oauth4webapi without a secret: PKCE is all that proves who asks (RFC 6749 section 3.2.1)."""
    application = register(signing, browser, redirect_uri, username, "none")
    assert application.client_secret == ""
    converse(application, node, "oauth4webapi")


def converse(application: Application, node: Path, library: str) -> None:
    """Run a library's script, and be the person whom it sends to sign in."""
    environ = {
        "ISSUER": application.gateway.url, "CLIENT_ID": application.client_id, "CLIENT_SECRET": application.client_secret,
        "REDIRECT_URI": application.redirect_uri, "SCOPE": SCOPE,
    }  # fmt: skip
    script = subprocess.Popen(
        ["node", f"{library}-code.mjs"], cwd=node, env={**os.environ, **environ}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert script.stdout is not None
        line = script.stdout.readline()
        landed = application.agree(json.loads(line)["url"]) if line else ""
        output, errors = script.communicate(f"{landed}\n", timeout=20)
    finally:
        script.kill()
    assert script.returncode == 0, errors
    assert json.loads(output) == {"library": library, "ok": True}


def test_the_pages_have_no_fault_that_axe_finds(application: Application) -> None:
    """
    Sign-in, sign-in after a wrong password, and consent; the browser has nothing to say of them either.

    What it says of a refused form is the status alone.
    """
    asked = application.send(application.link(), answer=None)
    refused = application.send(application.link(), password="wrong password")
    assert [page.kind for page in asked.pages] == ["sign-in", "consent"]
    assert [page.kind for page in refused.pages] == ["sign-in", "sign-in"]
    assert "is wrong" in refused.pages[1].text
    assert [page.violations for page in (*asked.pages, *refused.pages)] == [[], [], [], []]
    assert asked.console == []
    assert len(refused.console) == 1
    assert "403" in refused.console[0]
    assert {*asked.hosts, *refused.hosts} == {urlsplit(application.gateway.url).netloc}


def test_consent_names_who_asks_for_what_and_where_it_leads(application: Application) -> None:
    """The client's own name is shown as text."""
    consent = application.send(application.link(), answer=None).pages[-1]
    assert "Orders & Co <" in consent.text
    for said in ("read your orders", application.client_id, urlsplit(application.redirect_uri).netloc, application.username):
        assert said in consent.text


def test_deny_goes_back_without_a_code(application: Application) -> None:
    """RFC 6749 section 4.1.2.1; the browser follows the redirect that the page's form leads to (form-action)."""
    came = parse_qs(urlsplit(application.send(application.link(), answer="deny").landed).query)
    assert (came["error"], came["state"], came["iss"]) == (["access_denied"], ["s"], [application.gateway.url])
    assert "code" not in came


def test_it_works_without_scripts(application: Application) -> None:
    """Nothing on these pages needs JavaScript."""
    visit = application.send(application.link(), script=False)
    assert visit.landed.startswith(f"{application.redirect_uri}?code=")


def test_who_is_signed_in_and_agreed_is_asked_nothing(application: Application) -> None:
    """The session and the consent are remembered; a browser without the session has to sign in."""
    first = application.send(application.link(), keep=application.client_id)
    second = application.send(application.link(), keep=application.client_id)
    stranger = application.send(application.link())
    assert [page.kind for page in first.pages] == ["sign-in", "consent"]
    assert second.pages == []
    assert second.landed.startswith(f"{application.redirect_uri}?code=")
    assert [page.kind for page in stranger.pages] == ["sign-in"]


def test_nobody_is_sent_to_a_place_that_was_not_registered(application: Application) -> None:
    """Neither before nor after signing in (RFC 9700 section 4.1.3)."""
    visit = application.send(application.link(redirect_uri=f"{application.redirect_uri}/x"))
    assert visit.landed.startswith(application.gateway.url)
    assert visit.pages[-1].kind == "page"
    assert visit.pages[-1].violations == []
