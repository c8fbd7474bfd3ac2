"""Addresses in answers, said in the client's terms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mapping import Outward, public_origin
from gateway.rewriting import Rewriting

HOST_ONLY = Outward("http://127.0.0.1:9000", b"127.0.0.1:9000", b"https://api.example", None)
MOVED = Outward("http://legacy.internal", b"legacy.internal", b"https://api.example:8443", Rewriting("/api/", "/new/app/"))
STRIPPED = Outward("unix:/run/x", b"localhost", b"http://gw", Rewriting("/api/", "/"))
EXACT = Outward("https://u:8443", b"u:8443", b"http://gw", Rewriting("/shop", "/old/shop"))
KEPT = Outward("http://u", b"api.example", b"https://api.example", Rewriting("/api/", "/"))
NAMELESS = Outward("http://u", b"u", b"", None)
TARGETS = {
    HOST_ONLY: (b"/a/b", b"/a/b"), MOVED: (b"/api/x/y?a/b", b"/new/app/x/y?a/b"), STRIPPED: (b"/api/x", b"/x"),
    EXACT: (b"/shop", b"/old/shop"), KEPT: (b"/api/", b"/"), NAMELESS: (b"/", b"/"),
}  # fmt: skip
"""What was asked and what was sent."""


@pytest.mark.parametrize(
    ("view", "reference", "mapped"),
    [
        # another Host alone
        (HOST_ONLY, b"http://127.0.0.1:9000/x?y#z", b"https://api.example/x?y#z"),
        (HOST_ONLY, b"HTTP://127.0.0.1:9000", b"https://api.example/"),
        (HOST_ONLY, b"http://127.0.0.1:9000?x", b"https://api.example/?x"),
        (HOST_ONLY, b"https://127.0.0.1:9000/x", b"https://api.example/x"),  # it was told of https, and of its own host
        (HOST_ONLY, b"//127.0.0.1:9000/x", b"https://api.example/x"),
        (HOST_ONLY, b"/x", b"/x"), (HOST_ONLY, b"../x", b"../x"), (HOST_ONLY, b"", b""), (HOST_ONLY, b"?x", b"?x"),
        # elsewhere
        *((HOST_ONLY, url, url) for url in (
            b"http://127.0.0.1:9001/x", b"http://127.0.0.1/x", b"http://other/x", b"https://api.example/x", b"mailto:a@b",
            b"ftp://127.0.0.1:9000/x", b"http://u@127.0.0.1:9000/x", b"http://127.0.0.1:9000.evil.com/", b"//evil.com/x",
            b"http://evil.com/127.0.0.1:9000/", b"javascript:alert(1)", b"http:127.0.0.1:9000/x", b"\xe4", b"http://\xe4/",
        )),
        # another path
        (MOVED, b"http://legacy.internal/new/app/z", b"https://api.example:8443/api/z"),
        (MOVED, b"http://Legacy.Internal:80/new/app/z", b"https://api.example:8443/api/z"),
        (MOVED, b"http://legacy.internal:8080/new/app/z", b"http://legacy.internal:8080/new/app/z"),
        (MOVED, b"http://legacy.internal/new/app", b"https://api.example:8443/api/"),
        (MOVED, b"http://legacy.internal/login", b"https://api.example:8443/login"),
        (MOVED, b"/new/app/z?/new/app/", b"/api/z?/new/app/"), (MOVED, b"/login", b"/login"),
        (MOVED, b"/new/apple", b"/new/apple"),
        # relative references mean the same from both sides, until they climb out
        (MOVED, b"z", b"z"), (MOVED, b"../z", b"../z"), (MOVED, b"?q", b"?q"), (MOVED, b"#f", b"#f"), (MOVED, b".", b"."),
        (MOVED, b"../../z", b"/new/z"), (MOVED, b"../../../z", b"../../../z"), (MOVED, b"../../app/z?q", b"/api/z?q"),
        (MOVED, b"../..//evil.com", b"/new//evil.com"), (MOVED, b"../../..//evil.com", b"../../..//evil.com"),
        (STRIPPED, b"http://localhost/y", b"http://gw/api/y"), (STRIPPED, b"/y", b"/api/y"), (STRIPPED, b"/", b"/api/"),
        (STRIPPED, b"../y", b"/api/y"), (STRIPPED, b"y", b"y"), (STRIPPED, b"/../y", b"/api/y"),
        (EXACT, b"https://u:8443/old/shop;jsessionid=1", b"http://gw/shop;jsessionid=1"), (EXACT, b"/old/other", b"/old/other"),
        (EXACT, b"shop", b"shop"), (EXACT, b"./shop;a", b"./shop;a"), (EXACT, b"cart", b"/old/cart"),
        # the client's own Host was sent
        (KEPT, b"http://api.example/y", b"https://api.example/api/y"), (KEPT, b"http://u/y", b"https://api.example/api/y"),
        (KEPT, b"http://api.example:80/y", b"http://api.example:80/y"),
        # a client that named no host gets a path, never another host
        (NAMELESS, b"http://u/x", b"/x"), (NAMELESS, b"http://u//evil.com/", b"/evil.com/"),
        (NAMELESS, b"http://u/\\evil", b"/evil"),
    ],
)  # fmt: skip
def test_rfc9110_10_2_2_a_location_is_the_client_s(view: Outward, reference: bytes, mapped: bytes) -> None:
    """The upstream's own addresses, in the client's terms; all others to the byte."""
    where = TARGETS[view]
    assert view.url(reference, *where) == mapped
    assert view.lines([b"Location: %b\r\n" % reference], *where) == [b"Location: %b\r\n" % mapped]
    (line,) = view.lines([b"CONTENT-location: %b \r\n" % reference], *where)
    assert line.rstrip() == (b"CONTENT-location: %b" % mapped).rstrip()
    assert view.refresh(b"5; URL=" + reference, *where) == b"5; URL=" + mapped


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        (b"0;url=/new/app/z", b"0;url=/api/z"),
        (b"5, URL = '/new/app/z' ; x", b"5, URL = '/api/z' ; x"),
        (b'5; url="http://legacy.internal/new/app/"', b'5; url="https://api.example:8443/api/"'),
        (b'5; url="/new/app/z', b'5; url="/api/z'),
        (b"5;/new/app/z", b"5;/api/z"),
        (b"5", b"5"),
        (b"", b""),
        (b"5; url=http://elsewhere/", b"5; url=http://elsewhere/"),
    ],
)
def test_refresh_names_a_url_too(value: bytes, mapped: bytes) -> None:
    """In quotes or not, its delay as it was."""
    assert MOVED.refresh(value, *TARGETS[MOVED]) == mapped


@pytest.mark.parametrize(
    ("view", "cookie", "mapped"),
    [
        (MOVED, b"a=b; Path=/new/app/; HttpOnly", b"a=b; Path=/api/; HttpOnly"),
        (MOVED, b"a=b;path=/new/app", b"a=b;path=/api"),
        (MOVED, b"a=b; Path=/new/app/z; SameSite=Lax", b"a=b; Path=/api/z; SameSite=Lax"),
        (MOVED, b"a=b; Path=/new", b"a=b; Path=/api"),  # it was for all that the route reaches
        (MOVED, b"a=b; Path=/", b"a=b; Path=/"),
        (MOVED, b"a=b; Path=/ne", b"a=b; Path=/ne"),
        (MOVED, b"a=b; Path", b"a=b; Path"),
        (MOVED, b"a=/new/app/; Path=x", b"a=/new/app/; Path=x"),
        (MOVED, b"a=b; Domain=legacy.internal; Secure", b"a=b; Domain=api.example; Secure"),
        (MOVED, b"a=b; domain=.LEGACY.internal", b"a=b; domain=api.example"),
        (MOVED, b"a=b; Domain=internal", b"a=b; Domain=internal"),
        (MOVED, b"a=b; Domain=api.example", b"a=b; Domain=api.example"),
        (MOVED, b"Domain=legacy.internal", b"Domain=legacy.internal"),
        (MOVED, b"__Host-a=b; Secure; Path=/", b"__Host-a=b; Secure; Path=/"),
        (STRIPPED, b"a=b; Path=/", b"a=b; Path=/api/"),
        (STRIPPED, b"a=b; Path=/x", b"a=b; Path=/api/x"),
        (STRIPPED, b"__host-a=b; Secure; Path=/", b"__host-a=b; Secure; Path=/"),
        (STRIPPED, b"a=b; Domain=localhost; Path=/x", b"a=b; Path=/api/x"),  # "gw" can have no subdomains
        (HOST_ONLY, b"a=b; dOmAiN=127.0.0.1; Path=/x", b"a=b; dOmAiN=api.example; Path=/x"),
        (EXACT, b"a=b; Path=/old/shop", b"a=b; Path=/shop"),
        (EXACT, b"a=b; Path=/old", b"a=b; Path=/old"),
        (NAMELESS, b"a=b; Domain=u", b"a=b"),
    ],
)
def test_rfc6265_a_cookie_comes_back(view: Outward, cookie: bytes, mapped: bytes) -> None:
    """Domain and Path, as a browser will compare them; everything else to the byte."""
    assert view.cookie(cookie) == mapped
    lines = [b"X: y\r\n", b"set-cookie: %b\r\n" % cookie]
    assert view.lines(lines, b"/", b"/") == [b"X: y\r\n", b"set-cookie: %b\r\n" % mapped]


@pytest.mark.parametrize("host", [b"192.0.2.1:80", b"[::1]:80", b"localhost"])
def test_a_cookie_for_a_host_without_subdomains_names_none(host: bytes) -> None:
    """RFC 6265 section 5.1.3: no address has any."""
    view = Outward("http://u", b"u", b"http://" + host, None)
    assert view.cookie(b"a=b; Domain=u; Secure") == b"a=b; Secure"


@pytest.mark.parametrize(
    ("forwarding", "origin"),
    [
        ({}, b"http://gw:80"),
        ({b"x-forwarded-proto": b"https"}, b"https://gw:80"),
        ({b"x-forwarded-proto": b" HTTPS", b"x-forwarded-host": b"api.example"}, b"https://api.example"),
        ({b"x-forwarded-proto": b"https, http"}, b"http://gw:80"),
        ({b"x-forwarded-proto": b"javascript"}, b"http://gw:80"),
        ({b"x-forwarded-host": b"a, b"}, b"http://gw:80"),
        ({b"x-forwarded-host": b"evil/x"}, b"http://gw:80"),
        ({b"x-forwarded-host": b"u@evil"}, b"http://gw:80"),
        ({b"x-forwarded-host": b""}, b"http://gw:80"),
    ],
)
def test_h04_the_public_origin(forwarding: dict[bytes, bytes], origin: bytes) -> None:
    """What a trusted proxy says counts where it is one sound value."""
    assert public_origin("http", b"gw:80", forwarding) == origin
    assert public_origin("http", b"", {}) == b""


@given(st.binary(max_size=40), st.sampled_from([HOST_ONLY, MOVED, STRIPPED, EXACT, KEPT, NAMELESS]))
def test_no_bytes_crash_it_or_make_another_line(value: bytes, view: Outward) -> None:
    """What goes out has no more line ends than what came in."""
    for name in (b"Location", b"Refresh", b"Set-Cookie"):
        for before in (b"", b"//", b"http://u/", b"5;url=", b"a=b;Path=/", b"a=b; Domain="):
            value = before + value.replace(b"\r", b"").replace(b"\n", b"")
            (line,) = view.lines([name + b": " + value + b"\r\n"], *TARGETS[view])
            assert line.startswith(name + b":")
            assert line.endswith(b"\r\n")
            assert line.count(b"\n") == line.count(b"\r") == 1


@given(st.text(alphabet="/\\.ae;%2F:@?#x", max_size=14), st.sampled_from([HOST_ONLY, MOVED, STRIPPED, EXACT, KEPT, NAMELESS]))
def test_no_path_of_the_upstream_becomes_another_host(text: str, view: Outward) -> None:
    """An open redirect would be of our own making."""
    if not text.startswith(("/", "\\")):
        assert not view.url(b"http://u/" + text.encode(), *TARGETS[view]).startswith((b"//", b"/\\"))
    if not text.startswith(("//", "/\\", "\\")):
        assert not view.url(text.encode(), *TARGETS[view]).startswith((b"//", b"/\\"))
