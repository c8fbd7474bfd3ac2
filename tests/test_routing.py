"""Which route a path belongs to; the P cases of hardening.md that are the router's."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.errors import MethodNotAllowed, RouteNotFound
from gateway.routing import AUTHORITY, OWN_MAX_BODY, Router


def a_router(*routes: dict[str, Any], **config: Any) -> Router:
    return Router(Config.model_validate({
        "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}}, "routes": [{"upstream": "a", **route} for route in routes],
        **config,
    }))  # fmt: skip


def found(router: Router, path: str, method: str = "GET", host: str = "gw") -> str:
    return router.match(host, method, path).route.name


TABLE = a_router(
    {"path": "/", "public": True},
    {"path": "/admin"},
    {"path": "/admin/"},
    {"path": "/v1/orders/", "methods": ["GET", "POST"]},
    {"path": "/v1/orders/special", "methods": ["PUT"]},
    {"path": "/v1/things:delete"},
    {"path": "/Mixed/Case/"},
    {"path": "/caf%C3%A9/"},
    {"path": "/files/", "allow": ["encoded_slash"]},
    {"path": "/files/secret/"},
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"), ("/x", "/"), ("/x/y/z", "/"), ("/admin", "/admin"), ("/admin/", "/admin/"), ("/admin/x/y", "/admin/"),
        ("/administrator", "/"), ("/admin%20x", "/"), ("/v1/orders/1", "/v1/orders/"), ("/v1/orders", "/"), ("/v1/orders/",
        "/v1/orders/"),
        ("/Mixed/Case/x", "/Mixed/Case/"), ("/v1/things:delete", "/v1/things:delete"), ("/caf%C3%A9/x", "/caf%C3%A9/"),
        ("/files/a%2Fb", "/files/"), ("/files/secret/x", "/files/secret/"), ("/UPPER/x", "/"),
    ],
)  # fmt: skip
def test_p10_p14_the_most_specific_route_wins_at_segment_ends(path: str, name: str) -> None:
    """Whatever the order of the table."""
    assert found(TABLE, path) == name


@pytest.mark.parametrize(
    "path",
    [
        "/ADMIN", "/Admin/x", "/admiN/", "/aDMIN/x", "/V1/orders/1", "/v1/ORDERS/1", "/mixed/case/x",
        "/MIXED/Case/", "/v1/things%3Adelete", "/v1/things%253Adelete", "/%2561dmin", "/%2561dmin/x", "/CAF%C3%89/x",
        "/caf%25C3%25A9/x",
        "/files/secret%2Fx", "/files%2Fsecret%2Fx", "/files/secret%5Cx", "/files/%2Fsecret%2Fx", "/v1/things%3adelete",
        "/v1/order%C5%BF/1", "/admin%252Fx", "/%25%36%31dmin",
    ],
)  # fmt: skip
def test_p09_a_path_that_some_back_end_reads_as_a_deeper_route_has_none(path: str) -> None:
    """Folded, decoded once or twice, backslash as slash: the open catch-all does not get it."""
    with pytest.raises(RouteNotFound):
        found(TABLE, path)


@pytest.mark.parametrize("path", ["/admin/%41", "/v1/orders/A%2541", "/files/X%2FY", "/X%3AY", "/100%25"])
def test_other_escapes_and_capitals_are_data(path: str) -> None:
    """Nothing is refused for being odd alone."""
    assert found(TABLE, path)


def test_p15_no_route_is_no_route() -> None:
    """404, whatever the host."""
    router = a_router({"path": "/x/"}, {"path": "/y", "hosts": ["y.example"]})
    for path, host in (("/", "gw"), ("/x", "gw"), ("/xy", "gw"), ("/y", "gw"), ("/y", "x.example"), ("/y/", "y.example")):
        with pytest.raises(RouteNotFound):
            found(router, path, host=host)


def test_p14_a_wrong_method_is_405_and_never_a_shorter_route() -> None:
    """Allow tells what would do; HEAD follows GET."""
    with pytest.raises(MethodNotAllowed) as caught:
        found(TABLE, "/v1/orders/1", "DELETE")
    assert caught.value.allow == {"GET", "HEAD", "POST"}
    with pytest.raises(MethodNotAllowed):
        found(TABLE, "/v1/orders/special", "GET")
    assert found(TABLE, "/v1/orders/1", "HEAD") == "/v1/orders/"
    assert found(TABLE, "/v1/orders/special", "PUT") == "/v1/orders/special"


@pytest.mark.parametrize("method", ["get", "\nGET", "GET ", "FOO"])
def test_methods_are_case_sensitive(method: str) -> None:
    """RFC 9110 section 9.1."""
    with pytest.raises(MethodNotAllowed):
        found(TABLE, "/v1/orders/1", method)


def test_entries_of_one_path_merge() -> None:
    """By method and by host; an entry for a host comes before one for any."""
    router = a_router(
        {"path": "/x", "methods": ["GET"], "public": True},
        {"path": "/x", "methods": ["POST"]},
        {"path": "/y", "public": True},
        {"path": "/y", "hosts": ["Y.example"]},
    )
    assert router.match("gw", "GET", "/x").route.public
    assert not router.match("gw", "POST", "/x").route.public
    assert router.match("gw", "GET", "/y").route.public
    assert not router.match("y.example", "GET", "/y").route.public
    assert router.is_known_host("y.example")
    assert not router.is_known_host("gw")
    with pytest.raises(MethodNotAllowed) as caught:
        router.match("gw", "PUT", "/x")
    assert caught.value.allow == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    "path",
    ["/v1/oauth/token", "/v1/oauth/", "/v1/register", "/v1/clients", "/v1/clients/x/keys",
    "/v1/forward-auth", "/v1/forward-auth/v1/x",
    "/.well-known/oauth-authorization-server"],
)
def test_own_endpoints_win_over_a_broader_route(path: str) -> None:
    """They go to the authority, with the caller's Authorization and a bounded body."""
    route = a_router({"path": "/", "public": True}, {"path": "/v1/"}).match("gw", "POST", path).route
    assert (route.upstream, route.own, route.forward_authorization, route.max_body) == (AUTHORITY, True, True, OWN_MAX_BODY)


def test_the_account_page_is_own_only_where_people_sign_in() -> None:
    for sign_in in (True, False):
        upstreams, routes = {"u": {"targets": ["http://u"]}}, [{"path": "/", "upstream": "u"}]
        config = Config.model_validate({"oauth": {"sign_in": sign_in}, "upstreams": upstreams, "routes": routes})
        for path in ("/v1/account", "/v1/account/clients"):
            assert Router(config).match("gw", "GET", path).route.own is sign_in


def test_own_endpoints_are_not_reached_in_disguise() -> None:
    """Nor does a disguise reach the back end behind them."""
    router = a_router({"path": "/", "public": True})
    for path in ("/V1/oauth/token", "/v1/OAuth/token", "/v1/oauth%2Ftoken", "/v1%252Foauth/token"):
        with pytest.raises(RouteNotFound):
            found(router, path)


def test_what_a_match_knows() -> None:
    """Scopes of the method, and whether it may be repeated (RFC 9110 section 9.2.2)."""
    router = a_router({"path": "/x", "scopes": {"GET": ["r"], "POST": ["w"]}})
    get, head, post = (router.match("gw", method, "/x") for method in ("GET", "HEAD", "POST"))
    assert (get.scopes, head.scopes, post.scopes) == ({"r"}, {"r"}, {"w"})
    with pytest.raises(MethodNotAllowed):  # no default that opens
        router.match("gw", "PUT", "/x")
    assert [match.repeatable for match in (get, head, post)] == [True, True, False]
