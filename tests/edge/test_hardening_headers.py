"""Headers of routes that change them, and the H cases of hardening.md section 2.3 that have no test elsewhere."""

from __future__ import annotations

import pytest

from tests.edge.rig import Rig, get


@pytest.mark.parametrize(
    ("host", "sent"), [("api.example:8443", b"api.example:8443"), ("API.example.", b"API.example."), ("[::1]:80", b"[::1]:80")]
)
async def test_h10_a_route_may_pass_the_client_s_host_on(unstarted: Rig, host: str, sent: bytes) -> None:
    """As the client wrote it, validated; other routes on the same connection keep the target's own."""
    routes = [{"path": "/kept/", "upstream": "a", "public": True, "preserve_host": True}]
    rig = await unstarted.start(routes=[*routes, {"path": "/public/", "upstream": "a", "public": True}])
    client = await rig.client()
    for target in ("/kept/x", "/public/x", "/kept/x"):
        assert (await client.ask(get(target, host=host))).status == 200
    assert [request.one("host") for request in rig.origin.requests] == [sent, b"127.0.0.1:%d" % rig.origin.port, sent]
    assert len(rig.origin.connections) == 1


async def test_h10_without_a_host_there_is_none_to_pass_on(unstarted: Rig) -> None:
    """HTTP/1.0 need not send one; an invalid one is 400 whatever the route."""
    rig = await unstarted.start(routes=[{"path": "/kept/", "upstream": "a", "public": True, "preserve_host": True}])
    client = await rig.client()
    assert (await client.ask(b"GET /kept/x HTTP/1.0\r\n\r\n")).status == 200
    assert rig.origin.requests[0].one("host") == b"127.0.0.1:%d" % rig.origin.port
    for host in ("evil\\.example", "a@b", "gw, evil", "gw:99999"):
        assert (await (await rig.client()).ask(get("/kept/x", host=host))).status == 400
    assert len(rig.origin.requests) == 1
