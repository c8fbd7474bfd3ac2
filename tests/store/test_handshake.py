"""Reading what a server says; the conversations themselves are in test_link and test_link_faults."""

from __future__ import annotations

import hiredis
import pytest

from gateway.store.handshake import Refused, code, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WRONGPASS invalid username-password pair", "WRONGPASS"),
        ("ERR unknown command 'HELLO', with args beginning with: 'AUTH' 'me' 'pass-word'", "ERR"),
        ("pass-word", "unexpected reply"),
        ("", "unexpected reply"),
    ],
)
def test_only_the_code_of_an_error_is_told(text: str, expected: str) -> None:
    """A server may quote what we sent."""
    assert code(hiredis.ReplyError(text)) == expected


def test_anything_but_an_error_has_no_code() -> None:
    assert code(b"OK") == "unexpected reply"


def test_time_in_seconds() -> None:
    """TIME is two strings: seconds and microseconds."""
    assert seconds([b"1700000000", b"250000"]) == 1_700_000_000.25


@pytest.mark.parametrize("reply", [None, b"1", [b"1"], [b"a", b"b"], hiredis.ReplyError("ERR no"), [None, None]])
def test_anything_else_is_no_time(reply: object) -> None:
    with pytest.raises(Refused):
        seconds(reply)
