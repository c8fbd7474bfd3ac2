"""``GET /.well-known/oauth-authorization-server``: RFC 8414."""

from tests.authority.conftest import House, MakeHouse, basic, by


async def test_rfc8414_3_2_the_document(house: House) -> None:
    """JSON, public, with the issuer letter by letter."""
    answer = await house.http.get("/.well-known/oauth-authorization-server")
    document = await answer.json()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert document["issuer"] == "http://127.0.0.1:8080"
    assert document["grant_types_supported"] == ["client_credentials", "refresh_token"]
    assert document["response_types_supported"] == []
    assert "scopes_supported" not in document
    assert document["registration_endpoint"] == "http://127.0.0.1:8080/v1/oauth/register"
    assert (await house.http.post("/.well-known/oauth-authorization-server")).status == 405


async def test_a_closed_registration_is_not_listed(house_with: MakeHouse) -> None:
    house = await house_with(registration="closed")
    assert "registration_endpoint" not in await (await house.http.get("/.well-known/oauth-authorization-server")).json()


async def test_what_it_lists_works(house_with: MakeHouse) -> None:
    """Each endpoint and each method of client authentication."""
    house = await house_with(client_secret_post=True, scopes={"a": "A"}, issuer="https://api.example.com")
    document = await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["scopes_supported"] == ["a"]
    registered = await house.http.post(document["registration_endpoint"].removeprefix("https://api.example.com"), json={})
    assert registered.status == 201
    client = await house.client("a")
    token = (await house.token(client))["access_token"]
    posted = {"client_id": client.client_id, "client_secret": client.client_secret}
    for name in ("token", "introspection", "revocation"):
        path = document[f"{name}_endpoint"].removeprefix("https://api.example.com")
        form = {"grant_type": "client_credentials"} if name == "token" else {"token": token}
        methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        assert document[f"{name}_endpoint_auth_methods_supported"] == methods
        assert (await house.http.post(path, data=form, headers=by(client))).status == 200
        assert (await house.http.post(path, data={**form, **posted})).status == 200
        assert (await house.http.post(path, data=form, headers=basic(client.client_id, client.client_secret))).status == 200


async def test_it_lists_no_refresh_where_there_is_none(house_with: MakeHouse) -> None:
    """What really works."""
    house = await house_with(refresh_for_client_credentials=False)
    document = await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["grant_types_supported"] == ["client_credentials"]


async def test_rfc8414_3_1_an_issuer_with_a_path(house_with: MakeHouse) -> None:
    """The well-known part goes before it."""
    house = await house_with(issuer="https://api.example.com/tenant")
    assert (await house.http.get("/.well-known/oauth-authorization-server")).status == 404
    document = await (await house.http.get("/.well-known/oauth-authorization-server/tenant")).json()
    assert document["token_endpoint"] == "https://api.example.com/tenant/v1/oauth/token"
