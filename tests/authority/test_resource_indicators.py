"""RFC 8707 at the token endpoint, in introspection, and in the code flow."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import House, MakeHouse, by
from tests.console.conftest import Browser
from tests.console.flow import App, agree

ORIGIN = "http://127.0.0.1:8080"
HOST, ORDERS, ITEM = ORIGIN, f"{ORIGIN}/orders/", f"{ORIGIN}/item"
ROUTES = [
    {"path": "/orders/", "upstream": "a"}, {"path": "/item", "upstream": "a"},
    {"path": "/open/", "upstream": "a", "public": True},
]


@pytest.fixture
async def house(house_with: MakeHouse) -> House:
    return await house_with(routes=ROUTES, sign_in=True)


async def ask(house: House, client: IssuedKey, *resources: str, **form: str) -> tuple[int, dict[str, Any]]:
    """A token request with as many ``resource`` parameters."""
    fields = [*({"grant_type": "client_credentials", **form}).items(), *(("resource", one) for one in resources)]
    answer = await house.http.post("/v1/oauth/token", data=fields, headers=by(client))
    return answer.status, await answer.json()


async def audience(house: House, client: IssuedKey, token: str) -> list[str] | None:
    said = await house.introspect(client, token)
    assert said["active"]
    return said.get("aud")


async def test_rfc8707_2_a_token_is_for_what_its_request_names(house: House) -> None:
    """RFC 7662 section 2.2 shows it; one that was asked for nothing is for all, and shows none."""
    client = await house.client()
    for named, shown in [((), None), ((ORDERS,), [ORDERS]), ((ITEM, ORDERS), [ITEM, ORDERS]), ((f"{HOST}/",), [HOST])]:
        status, tokens = await ask(house, client, *named)
        assert status == 200
        assert await audience(house, client, tokens["access_token"]) == shown
        assert await audience(house, client, tokens["refresh_token"]) == shown


@pytest.mark.parametrize("named", [
    (f"{ORIGIN}/orders",), (f"{ORIGIN}/unknown",), (f"{ORIGIN}/open/",), (ORDERS, "https://evil.example/"), ("/orders/",),
    (f"{ORDERS}#x",), ("x",),
])  # fmt: skip
async def test_rfc8707_2_anything_else_is_invalid_target(house: House, named: tuple[str, ...]) -> None:
    """A public route is no protected resource."""
    client = await house.client()
    status, said = await ask(house, client, *named)
    assert (status, said["error"]) == (400, "invalid_target")


async def test_rfc8707_2_2_a_refresh_narrows_and_the_grant_stays_what_it_was(house: House) -> None:
    client = await house.client()
    _, tokens = await ask(house, client, ORDERS, ITEM)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    status, said = await ask(house, client, HOST, **refresh)
    assert (status, said["error"]) == (400, "invalid_target"), "the whole host is more"
    status, narrow = await ask(house, client, ITEM, **refresh)
    assert status == 200
    assert await audience(house, client, narrow["access_token"]) == [ITEM]
    status, again = await ask(house, client, ITEM, **refresh)
    assert (status, again["access_token"]) == (200, narrow["access_token"]), "the same request has the same answer"
    status, said = await ask(house, client, ORDERS, **refresh)
    assert (status, said["error"]) == (400, "invalid_grant"), "another one has none"
    status, whole = await ask(house, client, grant_type="refresh_token", refresh_token=narrow["refresh_token"])
    assert status == 200
    assert await audience(house, client, whole["access_token"]) == [ITEM, ORDERS]


async def test_rfc8707_2_2_what_is_for_all_can_be_narrowed(house: House) -> None:
    client = await house.client()
    _, tokens = await ask(house, client)
    status, narrow = await ask(house, client, ORDERS, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert status == 200
    assert await audience(house, client, narrow["access_token"]) == [ORDERS]


async def test_rfc8707_2_1_a_code_is_for_what_its_link_names(house: House) -> None:
    """The consent page says it, and the token request may narrow it."""
    await house.register()
    ann = Browser(house)
    await ann.sign_in()
    app = await App.register(house)
    link = f"{app.link()}&resource={ORDERS}&resource={ITEM}"
    assert ORDERS in (await ann.page(link)).said
    client = IssuedKey(app.client_id, app.client_id, app.secret)

    async def code() -> str:
        answer = await ann.get(link)
        return app.came_back(answer if answer.status == 303 else await agree(ann, link))["code"]

    _, tokens = await app.exchange(await code())
    assert await audience(house, client, tokens["access_token"]) == [ITEM, ORDERS]
    _, tokens = await app.exchange(await code(), resource=ITEM)
    assert await audience(house, client, tokens["access_token"]) == [ITEM]
    assert await audience(house, client, tokens["refresh_token"]) == [ITEM, ORDERS]
    wide = await code()
    status, said = await app.exchange(wide, resource=HOST)
    assert (status, said["error"]) == (400, "invalid_target")
    assert (await app.exchange(wide))[0] == 200, "and nothing was burned"
    refused = app.came_back(await ann.get(f"{app.link()}&resource=https://evil.example/"))
    assert refused["error"] == "invalid_target"
