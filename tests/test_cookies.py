"""Reading the session cookie."""

from __future__ import annotations

import pytest

from gateway.cookies import find_cookie, session_cookie


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], None),
        ([""], None),
        (["gateway=a"], "a"),
        (["x=1; gateway=a; y=2"], "a"),
        (["x=1;gateway=a"], "a"),
        (["x=1", "gateway=a=b"], "a=b"),
        (["gateway="], ""),
        (["gateway"], ""),
        (["xgateway=a", "gateway2=b", "Gateway=c", "x=gateway=d"], None),
        (["gateway=a; gateway=a"], None),
        (["gateway=a", "gateway=b"], None),
        (["; ;=;==; gateway=a;"], "a"),
    ],
)
def test_c09_one_cookie_of_that_name_or_none(lines: list[str], found: str | None) -> None:
    assert find_cookie(lines, "gateway") == found


def test_c03_the_name_says_that_no_other_host_can_set_it() -> None:
    assert session_cookie("https://api.example.com") == "__Host-gateway"
    assert session_cookie("http://127.0.0.1:8080") == "gateway"
