"""A client that sends people to the authorization endpoint, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import ClientResponse

from gateway.oauth.authorization import challenge_of
from tests.authority.conftest import House, basic
from tests.console.conftest import ORIGIN, Browser

AUTHORIZE = "/v1/oauth/authorize"
WEB = "https://app.example.com/cb?from=gw"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
STATE = "a b+c/%&=é"


@dataclass
class App:
    """A registered client."""

    house: House
    client_id: str
    secret: str
    redirect_uri: str

    @classmethod
    async def register(cls, house: House, redirect_uri: str = WEB, **metadata: Any) -> App:
        """By RFC 7591."""
        answer = await house.http.post("/v1/oauth/register", json={"redirect_uris": [redirect_uri], **metadata})
        assert answer.status == 201, await answer.text()
        said = await answer.json()
        return cls(house, said["client_id"], said.get("client_secret", ""), redirect_uri)

    def link(self, **changes: str) -> str:
        """Where it sends somebody; an empty change leaves a parameter out."""
        parameters = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect_uri, "state": STATE,
            "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", **changes,
        }  # fmt: skip
        return f"{AUTHORIZE}?{urlencode({name: value for name, value in parameters.items() if value})}"

    async def ask(self, browser: Browser, **changes: str) -> dict[str, str]:
        """Send somebody who is signed in and agrees; what comes back in the query of the redirect URI."""
        answer = await browser.get(self.link(**changes))
        if answer.status == 200:
            answer = await agree(browser, self.link(**changes))
        return self.came_back(answer, to=changes.get("redirect_uri", self.redirect_uri))

    def came_back(self, answer: ClientResponse, to: str = "") -> dict[str, str]:
        """The answer in a redirect, which leads to the client and says who answers (RFC 9207)."""
        assert answer.status == 303, answer.status
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        place, own = answer.headers["Location"], to or self.redirect_uri
        assert place.startswith(own + ("&" if "?" in own else "?")), place
        said = dict(parse_qsl(place[len(own) + 1 :], strict_parsing=True))
        assert said.pop("iss") == ORIGIN
        return said

    async def exchange(self, code: str, **changes: str) -> tuple[int, dict[str, Any]]:
        """At the token endpoint; an empty change leaves a parameter out."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, "code_verifier": VERIFIER,
            **({} if self.secret else {"client_id": self.client_id}), **changes,
        }  # fmt: skip
        return await self.token({name: value for name, value in form.items() if value})

    async def refresh(self, token: str, **more: str) -> tuple[int, dict[str, Any]]:
        own = {} if self.secret else {"client_id": self.client_id}
        return await self.token({"grant_type": "refresh_token", "refresh_token": token, **own, **more})

    async def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        headers = basic(self.client_id, self.secret) if self.secret else {}
        answer = await self.house.http.post("/v1/oauth/token", data=form, headers=headers)
        said: dict[str, Any] = await answer.json()
        return answer.status, said

    async def tokens(self, browser: Browser, **changes: str) -> dict[str, Any]:
        """The whole flow."""
        status, said = await self.exchange((await self.ask(browser, **changes))["code"])
        assert status == 200, said
        return said


async def agree(browser: Browser, link: str, answer: str = "allow", **headers: str) -> ClientResponse:
    """Press a button of the consent page."""
    fields = await browser.form(link, AUTHORIZE)
    return await browser.post(AUTHORIZE, {**fields, "answer": answer}, **headers)
