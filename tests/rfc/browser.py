"""A person with a browser that runs no scripts: cookies, forms, redirects, nothing else."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from tests.blackbox import Gateway

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
"""RFC 7636 appendix B."""
CALLBACK = "https://app.example.com/cb"
PASSWORD = "a-long-password"


def challenge(verifier: str) -> str:
    """RFC 7636 section 4.2, S256."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


class _Forms(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag == "form":
            self.found.append((of["action"] or "", {}))
        elif tag == "input" and self.found and of.get("name"):
            self.found[-1][1][str(of["name"])] = of.get("value") or ""


class Person:
    """Somebody with an account."""

    def __init__(self, gateway: Gateway, username: str) -> None:
        gateway.register(username, PASSWORD)
        self.username = username
        self.http = httpx.Client(base_url=gateway.url, limits=httpx.Limits(max_keepalive_connections=0))
        self._origin = gateway.url

    def submit(self, page: httpx.Response, endpoint: str, **fields: str) -> httpx.Response:
        """Fill in the form of a page that goes to an endpoint."""
        (found,) = [(action, hidden) for action, hidden in _Forms(page.text).found if action.endswith(endpoint)]
        target = urljoin(str(page.url), found[0])
        return self.http.post(target, data={**found[1], **fields}, headers={"Origin": self._origin})

    def visit(self, link: str, answer: str = "allow") -> httpx.Response:
        """Follow a link to the authorization endpoint: sign in if asked, decide if asked; where one is sent then."""
        page = self.http.get(link)
        if page.status_code == 303 and "/sign-in" in page.headers["location"]:
            page = self.http.get(page.headers["location"])
            page = self.submit(page, "/sign-in", username=self.username, password=PASSWORD)
            page = self.http.get(link)
        return self.submit(page, "/authorize", answer=answer) if page.status_code == 200 else page


class App:
    """A client that a person uses, registered by RFC 7591."""

    def __init__(self, gateway: Gateway, **metadata: Any) -> None:
        self.url = gateway.url
        answer = httpx.post(f"{self.url}/v1/oauth/register", json={"redirect_uris": [CALLBACK], **metadata})
        assert answer.status_code == 201, answer.text
        self.metadata: dict[str, Any] = answer.json()
        self.client_id: str = self.metadata["client_id"]
        self.secret: str = self.metadata.get("client_secret", "")

    def link(self, **changes: str) -> str:
        """An authorization request; an empty change leaves a parameter out."""
        parameters = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": CALLBACK, "state": "s t&a=te",
            "code_challenge": challenge(VERIFIER), "code_challenge_method": "S256", **changes,
        }  # fmt: skip
        return f"{self.url}/v1/oauth/authorize?" + urlencode({name: said for name, said in parameters.items() if said})

    def code(self, person: Person, **changes: str) -> str:
        """A code for somebody who agrees."""
        return came_back(person.visit(self.link(**changes)), changes.get("redirect_uri", CALLBACK))["code"]

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        """The token request for a code; an empty change leaves a parameter out."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **changes}
        return self.ask("token", **form)

    def refresh(self, token: str, **more: str) -> httpx.Response:
        return self.ask("token", grant_type="refresh_token", refresh_token=token, **more)

    def ask(self, endpoint: str, **form: str) -> httpx.Response:
        """A form to an OAuth endpoint, with the client's authentication."""
        form = {name: said for name, said in form.items() if said}
        url = f"{self.url}/v1/oauth/{endpoint}"
        if not self.secret:
            return httpx.post(url, data={"client_id": self.client_id, **form})
        return httpx.post(url, data=form, auth=(self.client_id, self.secret))


def came_back(answer: httpx.Response, redirect_uri: str = CALLBACK) -> dict[str, str]:
    """The parameters that a redirect brings to the client."""
    assert answer.status_code == 303, (answer.status_code, answer.text)
    location = answer.headers["location"]
    assert location.startswith(redirect_uri + "?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query, strict_parsing=True).items()}


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal at the token endpoint."""
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["error"]
