"""The plain registration's body (G07)."""

import json
import time

import pytest

from gateway.errors import InvalidInput
from gateway.oauth.registration import read_nothing, read_registration

GOOD = {"username": "Client-Email@domain.com", "password": "client-password"}


def test_the_contracts_body() -> None:
    """The username is folded; the password does not show."""
    found = read_registration(json.dumps(GOOD).encode())
    assert (found.username, found.password) == ("client-email@domain.com", "client-password")
    assert "client-password" not in repr(found)


@pytest.mark.parametrize(("body", "message"), [
    pytest.param(b"", "not valid JSON", id="empty"),
    pytest.param(b"username=a&password=b", "not valid JSON", id="a form"),
    pytest.param(b'{"username":"abc",}', "not valid JSON", id="trailing comma"),
    pytest.param(b"[]", "must be a JSON object", id="array"),
    pytest.param(b"null", "must be a JSON object", id="null"),
    pytest.param(b'"x"', "must be a JSON object", id="string"),
    pytest.param(b"{}", "username is missing", id="nothing in it"),
    pytest.param(b'{"username":"abc"}', "password is missing", id="no password"),
    pytest.param(b'{"password":"12345678"}', "username is missing", id="no username"),
    pytest.param(b'{"username":null,"password":"12345678"}', "username must be a string", id="null username"),
    pytest.param(b'{"username":["abc"],"password":"12345678"}', "username must be a string", id="username is a list"),
    pytest.param(b'{"username":"abc","password":12345678}', "password must be a string", id="password is a number"),
    pytest.param(b'{"username":"abc","password":{"$ne":1}}', "password must be a string", id="password is an object"),
    pytest.param(b'{"username":"abc","password":"12345678","is_admin":true}', "is_admin is not a known", id="is_admin"),
    pytest.param(b'{"username":"abc","password":"12345678","scopes":["a"]}', "scopes is not a known", id="scopes"),
    pytest.param(b'{"username":"abc","password":"12345678","client_id":"x"}', "client_id is not a known", id="client_id"),
    pytest.param(b'{"username":"abc","password":"12345678","__proto__":{}}', "__proto__ is not a known", id="__proto__"),
    pytest.param(b'{"Username":"abc","password":"12345678"}', "Username is not a known", id="case"),
    pytest.param(b'{"username":"abc","password":"12345678","<b>":1}', "A field with an odd name", id="markup not echoed"),
    pytest.param(b'{"username":"abc","username":"abd","password":"12345678"}', "username stands twice", id="duplicate"),
    pytest.param(b'{"username":"abc","password":"12345678","x":{"a":1,"a":2}}', "a stands twice", id="duplicate below"),
    pytest.param(b'{"username":"abc","user\\u006eame":"abd"}', "username stands twice", id="duplicate, escaped"),
    pytest.param(b'{"username":"\xff\xfe","password":"12345678"}', "not valid JSON", id="not UTF-8"),
    pytest.param(b"\xef\xbb\xbf{}", "not valid JSON", id="byte order mark"),
    pytest.param(b'{"username":NaN}', "not valid JSON", id="NaN"),
    pytest.param(b'{"username":' + b"9" * 60_000 + b"}", "not valid JSON", id="an integer of 60,000 digits"),
    pytest.param(b'{"username":' + b"[" * 60_000, "not valid JSON", id="60,000 deep"),
    pytest.param(b'{"a":' * 12_000 + b"1" + b"}" * 12_000, "not valid JSON", id="12,000 objects deep"),
])
def test_anything_else_is_refused_and_says_what(body: bytes, message: str) -> None:
    """Within 100 ms of CPU (X07); the best of three, since a collection of pytest's own garbage may fall into any one."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        with pytest.raises(InvalidInput, match=message) as refused:
            read_registration(body)
        spent.append(time.process_time() - start)
        assert "<" not in refused.value.detail
    assert min(spent) < 0.1


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b" {} "])
def test_nothing_to_say(body: bytes) -> None:
    """Empty or an empty object."""
    read_nothing(body)


@pytest.mark.parametrize("body", [b"[]", b'{"scopes":["admin"]}', b"x"])
def test_something_where_nothing_is_to_say(body: bytes) -> None:
    """Is not ignored."""
    with pytest.raises(InvalidInput):
        read_nothing(body)
