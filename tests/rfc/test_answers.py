"""What holds of every answer of the OAuth endpoints, whatever it says."""

from __future__ import annotations

import httpx
import pytest

from tests.blackbox import Gateway

Credential = dict[str, str]

FORMS = [
    ("token", {"grant_type": "client_credentials"}, 200), ("token", {"grant_type": "client_credentials", "scope": "x"}, 400),
    ("token", {"grant_type": "password"}, 400), ("token", {"x": "y"}, 400),
    ("token", {"grant_type": "refresh_token", "refresh_token": "x"}, 400),
    ("introspect", {"token": "x"}, 200), ("introspect", {"x": "y"}, 400), ("revoke", {"token": "x"}, 200),
    ("revoke", {"x": "y"}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "form", "status"), FORMS)
def test_o20_rfc6749_5_1_nobody_may_store_it_and_no_origin_is_let_in(
    gateway: Gateway, client: Credential, endpoint: str, form: dict[str, str], status: int
) -> None:
    """With and without the right secret."""
    url, origin = f"{gateway.url}/v1/oauth/{endpoint}", {"Origin": "https://evil.example"}
    for secret, expected in ((client["client_secret"], status), ("wrong", 401)):
        answer = httpx.post(url, data=form, auth=(client["client_key"], secret), headers=origin)
        assert answer.status_code == expected
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        assert not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
def test_o20_nor_by_a_preflight(gateway: Gateway, endpoint: str) -> None:
    answer = httpx.options(
        f"{gateway.url}/v1/oauth/{endpoint}",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status_code == 405
    assert not any(name.startswith("access-control-") for name in answer.headers)


def test_o12_a_secret_that_is_nearly_right_is_as_wrong_as_any(gateway: Gateway, client: Credential) -> None:
    """RFC 6749 section 10.10: to the letter, whatever part of it is right; and a secret of another client is none."""
    secret, other = client["client_secret"], gateway.register("o12@example.com")["client_secret"]
    flipped = secret[:20] + ("A" if secret[20] != "A" else "B") + secret[21:]
    answers = [
        httpx.post(f"{gateway.url}/v1/oauth/token", data={"grant_type": "client_credentials"}, auth=(client["client_key"], wrong))
        for wrong in (secret[:-1], secret + "A", secret.upper(), secret[::-1], flipped, other, "")
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert gateway.token(client).status_code == 200
