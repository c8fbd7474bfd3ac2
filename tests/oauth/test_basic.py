"""RFC 6749 section 2.3.1 and RFC 7617."""

from base64 import b64encode

import pytest

from gateway.oauth.basic import BasicCredentials, read_basic


def basic(text: str | bytes) -> str:
    return "Basic " + b64encode(text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize(("header", "user", "password"), [
    pytest.param(basic("key:secret"), "key", "secret", id="plain"),
    pytest.param(basic("key:a:b::c"), "key", "a:b::c", id="the first colon separates"),
    pytest.param(basic("k%3Ay:s%2Bc%25r"), "k:y", "s+c%r", id="decoded once"),
    pytest.param(basic("k:%2541"), "k", "%41", id="not twice"),
    pytest.param(basic("a+b:c+d"), "a b", "c d", id="plus is a space"),
    pytest.param(basic("é:%C3%A9"), "é", "é", id="UTF-8, raw and escaped"),
    pytest.param(basic(":"), "", "", id="both empty"),
    pytest.param(basic("k:s").replace("Basic", "bAsIc"), "k", "s", id="the scheme has no case"),
    pytest.param(basic("k:s").replace(" ", "   "), "k", "s", id="several spaces"),
])
def test_rfc6749_2_3_1_client_authentication(header: str, user: str, password: str) -> None:
    """Form-encoded inside base64 (O25)."""
    assert read_basic(header, form_encoded=True) == BasicCredentials(user, password)


@pytest.mark.parametrize("header", [
    "", "Basic", "Basic ", "Basic !!!", "Basic a2V5", "Bearer a2V5OnNlY3JldA==", "Basic a2V5OnNlY3JldA", "a2V5OnNlY3JldA==",
    "Basic a2V5OnNl Y3JldA==", "Basic a2V5OnNlY3JldA==, Basic a2V5OnNlY3JldA==", basic(b"\xff:\xff"), basic("k:%zz"),
    basic("k:%ff"), basic("nocolon"), "Basic " + "A" * 8000, "Basic é", "Basic \udcff",
])
def test_garbage_is_nobody(header: str) -> None:
    """Without an exception, whatever it is."""
    assert read_basic(header, form_encoded=True) is None


def test_rfc7617_people_are_not_form_encoded() -> None:
    """A password may hold a percent sign and a plus."""
    assert read_basic(basic("ann@x.org:50%+1:é"), form_encoded=False) == BasicCredentials("ann@x.org", "50%+1:é")


def test_a_password_does_not_show() -> None:
    """In no repr."""
    assert "secret" not in repr(read_basic(basic("key:secret"), form_encoded=True))
