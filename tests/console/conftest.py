"""A house with pages, and a browser to walk through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.authority.conftest import PASSWORD, House, MakeHouse, hasher, house_with

__all__ = ["hasher", "house_with"]  # fixtures

ORIGIN = "http://127.0.0.1:8080"
SIGN_IN, SIGN_OUT, ACCOUNT = "/v1/oauth/sign-in", "/v1/oauth/sign-out", "/v1/account"


class Page(HTMLParser):
    """What a page has: forms as (action, fields), and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(found)
        if tag == "form":
            self.forms.append((found["action"] or "", {}))
        elif tag in ("input", "button", "select") and self.forms and found.get("name"):
            self.forms[-1][1][str(found["name"])] = found.get("value") or ""
        elif tag == "a":
            self.links.append(found["href"] or "")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())

    @property
    def said(self) -> str:
        return " ".join(self.words)

    def form(self, action: str, **having: str) -> dict[str, str]:
        """The fields of the one form that goes there and holds these values."""
        (fields,) = [
            fields for to, fields in self.forms if to == action and all(fields.get(name) == said for name, said in having.items())
        ]
        return fields


@dataclass
class Browser:
    """One person's: keeps the cookies that it is given, and says where a form comes from as browsers do."""

    house: House
    source: str = "192.0.2.1"
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    """All lines that ever came."""

    async def get(self, path: str, **headers: str) -> ClientResponse:
        return await self._ask("GET", path, headers)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> ClientResponse:
        sent = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", **headers}
        return await self._ask("POST", path, {name: value for name, value in sent.items() if value}, data=form)

    async def page(self, path: str) -> Page:
        """A page that is there."""
        answer = await self.get(path)
        assert answer.status == 200, (answer.status, answer.headers)
        return Page(await answer.text())

    async def form(self, path: str, action: str = "", **having: str) -> dict[str, str]:
        """The fields of a form of a page."""
        return (await self.page(path)).form(action or path, **having)

    async def sign_in(self, username: str = "ann", password: str = PASSWORD, path: str = SIGN_IN) -> ClientResponse:
        fields = await self.form(path, SIGN_IN)
        return await self.post(SIGN_IN, {**fields, "username": username, "password": password})

    async def is_signed_in(self) -> bool:
        status = (await self.get(ACCOUNT)).status
        assert status in (200, 303)
        return status == 200

    async def _ask(self, method: str, path: str, headers: dict[str, str], **more: Any) -> ClientResponse:
        headers = {"X-Gateway-Peer": self.source, **headers}
        if self.cookies and "Cookie" not in headers:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.house.http.request(method, path, headers=headers, allow_redirects=False, **more)
        for line in answer.headers.getall("Set-Cookie", ()):
            self.set_cookies.append(line)
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value.strip('"')
        return answer


@pytest.fixture
async def house(house_with: MakeHouse) -> House:
    """With pages, and one account."""
    house = await house_with(sign_in=True)
    await house.register()
    return house


@pytest.fixture
def browser(house: House) -> Browser:
    """Of somebody who is not signed in yet."""
    return Browser(house)


@pytest.fixture
async def ann(browser: Browser) -> Browser:
    """Signed in."""
    assert (await browser.sign_in()).status == 303
    return browser
