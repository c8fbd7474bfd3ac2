"""RFC 6749 section 3.2 and appendix B."""

import time

import pytest

from gateway.errors import InvalidRequest
from gateway.oauth.form import MAX_PARAMETERS, decode, parse_form, refuse_query


@pytest.mark.parametrize(("body", "parameters"), [
    pytest.param(b"", {}, id="nothing"),
    pytest.param(b"grant_type=client_credentials&scope=a+b", {"grant_type": "client_credentials", "scope": "a b"}, id="plus"),
    pytest.param(b"scope=a%20b%2Bc", {"scope": "a b+c"}, id="escapes, decoded once"),
    pytest.param(b"x=%2541", {"x": "%41"}, id="never twice"),
    pytest.param(b"scope=a b", {"scope": "a b"}, id="curl -d does not escape spaces"),
    pytest.param(b"a=1&&b=2&", {"a": "1", "b": "2"}, id="empty pairs"),
    pytest.param(b"token=a=b", {"token": "a=b"}, id="the first = separates"),
    pytest.param(b"scope=&grant_type", {}, id="empty counts as absent"),
    pytest.param("n=%C3%A9&m=é".encode(), {"n": "é", "m": "é"}, id="UTF-8"),
    pytest.param(b"resource=a&resource=b", {"resource": "a b"}, id="RFC 8707 lets it repeat"),
])
def test_rfc6749_3_2_parameters(body: bytes, parameters: dict[str, str]) -> None:
    """What is read out of a body."""
    assert parse_form(body) == parameters


@pytest.mark.parametrize("body", [
    pytest.param(b"scope=a&scope=b", id="repeated"),
    pytest.param(b"scope=a&scope=a", id="repeated alike"),
    pytest.param(b"scope=&scope=a", id="repeated, once empty"),
    pytest.param(b"unknown=1&unknown=2", id="an unknown one repeated"),
    pytest.param(b"sc%6Fpe=a&scope=b", id="repeated, once escaped"),
    pytest.param(b"scope=%", id="cut escape"),
    pytest.param(b"scope=%1", id="half an escape"),
    pytest.param(b"scope=%zz", id="no hex"),
    pytest.param(b"scope=%u0041", id="%u"),
    pytest.param(b"scope=%ff", id="not UTF-8"),
    pytest.param(b"scope=\xff", id="raw and not UTF-8"),
    pytest.param(b"scope=%c0%af", id="overlong UTF-8"),
    pytest.param(b"%ff=a", id="in a name"),
    pytest.param(b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS + 1)), id="too many"),
])
def test_rfc6749_3_2_what_can_be_read_in_two_ways_is_invalid_request(body: bytes) -> None:
    """And the refusal repeats nothing of it."""
    with pytest.raises(InvalidRequest) as refused:
        parse_form(body)
    assert "scope" not in refused.value.detail


def test_a_body_of_ampersands_costs_nothing() -> None:
    """64 KiB of them (X07)."""
    start = time.process_time()
    with pytest.raises(InvalidRequest):
        parse_form(b"&" * 65536)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("query", ["", "v=1", "utm_source=a&b", "%61=1"])
def test_a_harmless_query_is_ignored(query: str) -> None:
    """Section 3.2: unrecognized parameters are."""
    refuse_query(query)


@pytest.mark.parametrize("query", [
    "grant_type=client_credentials", "client_secret=x", "client_id=x", "refresh_token=x", "token=x", "scope=a",
    "access_token=x", "v=1&client_secret", "client%5Fsecret=x", "client_assertion=x", "%ff=1", "%zz",
])
def test_rfc6749_2_3_1_credentials_and_grants_never_stand_in_the_url(query: str) -> None:
    """However they are spelt (O08)."""
    with pytest.raises(InvalidRequest):
        refuse_query(query)


def test_decode_is_strict() -> None:
    """It is what Basic uses too."""
    assert decode(b"a%3Ab+c") == "a:b c"
    with pytest.raises(ValueError, match="broken"):
        decode(b"100%")
