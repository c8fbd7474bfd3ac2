"""Reading the session cookie."""

from __future__ import annotations

import pytest

from gateway.cookies import find_cookie, session_cookie, without_cookie, without_set_cookie


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


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b"Cookie: gateway=a\r\n", None),
        (b"cookie: gateway=a; b=c\r\n", b"cookie: b=c\r\n"),
        (b"COOKIE: b=c; gateway=a\r\n", b"COOKIE: b=c\r\n"),
        (b"Cookie: b=c; gateway=a; d=e\r\n", b"Cookie: b=c; d=e\r\n"),
        (b"Cookie: b=c;gateway=a;d=\"e f\"\r\n", b"Cookie: b=c;d=\"e f\"\r\n"),
        (b"Cookie: gateway=a; gateway=b; c=d\r\n", b"Cookie: c=d\r\n"),
        (b"Cookie: gateway ;\tgateway\t=x; c=d\r\n", b"Cookie: c=d\r\n"),
        (b"Cookie: gateway\r\n", None),
        (b"Cookie: gateway=a=b%3B;\r\n", None),
        (b"Cookie: ;;  a=\xe4 ; =x; gateway=a\r\n", b"Cookie: ;;  a=\xe4 ; =x\r\n"),
        (b"Cookie:   odd  ;; =;\r\n", b"Cookie:   odd  ;; =;\r\n"),
        (b"Cookie: xgateway=a; gateway2=b; Gateway=c\r\n", b"Cookie: xgateway=a; gateway2=b; Gateway=c\r\n"),
        (b"X-Cookie: gateway=a\r\n", b"X-Cookie: gateway=a\r\n"),
        (b"Cookie: \r\n", b"Cookie: \r\n"),
    ],
)
def test_c08_one_cookie_is_cut_and_the_rest_is_left_to_the_byte(line: bytes, left: bytes | None) -> None:
    lines = [b"A: b\r\n", line, b"C: d\r\n"]
    assert without_cookie(lines, b"gateway") == [b"A: b\r\n", *([] if left is None else [left]), b"C: d\r\n"]


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (b"Set-Cookie: gateway=a; Path=/\r\n", False),
        (b"set-cookie:gateway=\r\n", False),
        (b"Set-Cookie:  gateway = a\r\n", False),
        (b"Set-Cookie: gateway\r\n", False),
        (b"Set-Cookie: =gateway=a; Path=/\r\n", False),
        (b"Set-Cookie: gateway2=a\r\n", True),
        (b"Set-Cookie: a=gateway=b; gateway=c\r\n", True),
        (b"Set-Cookie: __Host-gateway=a\r\n", True),
        (b"Set-Cookie2: gateway=a\r\n", True),
        (b"X: gateway=a\r\n", True),
    ],
)
def test_h11_nobody_else_sets_it(line: bytes, passes: bool) -> None:
    assert without_set_cookie([b"A: b\r\n", line], b"gateway") == [b"A: b\r\n", *([line] if passes else [])]
