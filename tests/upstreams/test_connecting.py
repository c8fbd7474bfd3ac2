"""https targets, with real certificates: who is believed, what is shown, and when an answer is whole."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.config.certificates import Authority
from tests.edge.rig import OK, Origin, OriginConnection, Rig, get, post
from tests.upstreams.conftest import Start
from tests.upstreams.several import bodies

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhalf"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the targets' certificates."""
    return Authority(tmp_path)


def speaking(files: tuple[Path, Path], clients: Authority | None = None) -> ssl.SSLContext:
    """A target's side; it asks for a certificate of ``clients``, if there are any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)
    return context


async def started(rig: Rig, origin: Origin, host: str = "127.0.0.1", **tls: Any) -> Rig:
    async def resolve(name: str) -> list[str]:
        return ["127.0.0.1"]

    tls = {key: str(value) if isinstance(value, Path) else value for key, value in tls.items()}
    upstream = {"tls": tls} if tls else {}
    return await rig.start(targets=[f"https://{host}:{origin.port}"], upstream=upstream, resolve=resolve)


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(str(record.facts.get("reason")) for record in caplog.records if hasattr(record, "facts"))


async def test_a_certificate_of_the_authority_is_believed(unstarted: Rig, another: Start, authority: Authority) -> None:
    """TLS 1.2 at least, ALPN http/1.1; the connection is kept like any other, and bodies go both ways."""
    origin = await another(tls=speaking(authority.issue("127.0.0.1")))
    rig = await started(unstarted, origin, ca_file=authority.file)
    client = await rig.client()
    assert await bodies(client, 2) == "00"
    assert (await client.ask(post("/public/x", b"b" * 300_000))).status == 200
    assert origin.requests[2].body == b"b" * 300_000
    (connection,) = origin.connections
    spoken = connection.writer.get_extra_info("ssl_object")
    assert spoken.version() in ("TLSv1.2", "TLSv1.3")
    assert spoken.selected_alpn_protocol() == "http/1.1"
    assert origin.requests[0].one("host") == b"127.0.0.1:%d" % origin.port


async def test_a_stranger_s_certificate_is_not(
    unstarted: Rig, another: Start, tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """502 that says nothing of it, with the reason in the log; nothing is sent."""
    caplog.set_level("INFO")
    (tmp_path / "other").mkdir()
    origin = await another(tls=speaking(Authority(tmp_path / "other").issue("127.0.0.1")))
    rig = await started(unstarted, origin, ca_file=authority.file)
    answer = await (await rig.client()).ask(get("/public/x"))
    assert (answer.status, answer.problem["code"]) == (502, "bad_gateway")
    assert b"certificate" not in answer.body
    assert "certificate is not trusted" in reasons(caplog)
    assert origin.requests == []


async def test_verification_is_the_default(unstarted: Rig, another: Start, authority: Authority) -> None:
    """Without a ``tls`` section the system's authorities count, and ours is none of them."""
    origin = await another(tls=speaking(authority.issue("127.0.0.1")))
    rig = await started(unstarted, origin)
    assert await bodies(await rig.client(), 1) == "b"


@pytest.mark.parametrize(
    ("names", "host", "server_name", "passes"),
    [
        (["api.internal"], "api.internal", None, True),
        (["other.internal"], "api.internal", None, False),
        (["other.internal"], "api.internal", "other.internal", True),
        (["api.internal"], "api.internal", "other.internal", False),
        (["api.internal"], "127.0.0.1", "api.internal", True),
        (["api.internal"], "127.0.0.1", None, False),
        (["127.0.0.2"], "127.0.0.1", None, False),
    ],
)
async def test_the_name_is_verified_and_sent(
    unstarted: Rig, another: Start, authority: Authority, names: list[str], host: str, server_name: str | None, passes: bool
) -> None:
    """The target's host, or ``server_name``; never the address that the host happens to have."""
    seen: list[str | None] = []
    context = speaking(authority.issue(*names))
    context.sni_callback = lambda connection, name, context: seen.append(name)
    origin = await another(tls=context)
    tls = {"ca_file": authority.file} | ({"server_name": server_name} if server_name else {})
    rig = await started(unstarted, origin, host, **tls)
    assert await bodies(await rig.client(), 1) == ("0" if passes else "b")
    assert set(seen) == {server_name or (host if host != "127.0.0.1" else None)}


async def test_without_verification_anybody_is_believed(unstarted: Rig, another: Start, authority: Authority) -> None:
    origin = await another(tls=speaking(authority.issue("somebody.else")))
    rig = await started(unstarted, origin, verify=False)
    assert await bodies(await rig.client(), 1) == "0"


async def test_the_gateway_shows_its_certificate_to_who_asks(unstarted: Rig, another: Start, authority: Authority) -> None:
    origin = await another(tls=speaking(authority.issue("127.0.0.1"), clients=authority))
    cert_file, key_file = authority.issue("gateway")
    rig = await started(unstarted, origin, ca_file=authority.file, cert_file=cert_file, key_file=key_file)
    assert await bodies(await rig.client(), 2) == "00"
    assert origin.connections[0].writer.get_extra_info("peercert")["subject"] == ((("commonName", "gateway"),),)


async def test_without_one_it_is_refused(unstarted: Rig, another: Start, authority: Authority) -> None:
    origin = await another(tls=speaking(authority.issue("127.0.0.1"), clients=authority))
    rig = await started(unstarted, origin, ca_file=authority.file)
    assert await bodies(await rig.client(), 1) == "b"
    assert origin.requests == []


async def test_a_target_that_speaks_no_tls_is_502(unstarted: Rig, another: Start, authority: Authority) -> None:
    """In plain text to an https target, and the other way round."""
    origin = await another()
    rig = await started(unstarted, origin, ca_file=authority.file)

    async def grumbles(connection: OriginConnection) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    origin.script = grumbles
    assert await bodies(await rig.client(), 1) == "b"


async def test_a_handshake_that_hangs_is_504(unstarted: Rig, another: Start, authority: Authority) -> None:
    """Within timeouts.connect."""
    origin = await another()

    async def silent(connection: OriginConnection) -> None:
        await connection.rest()

    origin.script = silent
    rig = await started(unstarted, origin, ca_file=authority.file)
    assert (await (await rig.client()).ask(get("/quick/x"))).status == 504


async def test_f12_an_answer_until_close_ends_with_close_notify(unstarted: Rig, another: Start, authority: Authority) -> None:
    origin = await another(tls=speaking(authority.issue("127.0.0.1")))
    origin.replies(UNTIL_CLOSE, close=True)
    rig = await started(unstarted, origin, ca_file=authority.file)
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.status, answer.body) == (200, b"half")


@pytest.mark.parametrize("ending", ["fin", "rst"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_f12_one_that_ends_without_it_is_cut(
    unstarted: Rig, another: Start, authority: Authority, ending: str, version: str
) -> None:
    """Anybody on the way can end a TCP connection: no last chunk for HTTP/1.1, a reset for HTTP/1.0."""
    sent = asyncio.Event()

    async def torn(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(UNTIL_CLOSE)
        await sent.wait()
        sock = socket.socket(fileno=os.dup(connection.writer.get_extra_info("socket").fileno()))
        if ending == "fin":
            sock.shutdown(socket.SHUT_WR)
            sock.close()
            await connection.rest()
        else:
            sock.close()
            connection.reset()

    origin = await another(tls=speaking(authority.issue("127.0.0.1")))
    origin.script = torn
    rig = await started(unstarted, origin, ca_file=authority.file)
    client = await rig.client()
    await client.send(get("/public/x", version=version))
    await client.until(b"half")
    sent.set()
    if version == "1.1":
        assert b"0\r\n\r\n" not in await client.rest()
    else:
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_f11_a_stale_tls_connection_is_replaced(unstarted: Rig, another: Start, authority: Authority) -> None:
    """As one without TLS: no GET fails while the target closes after each answer."""
    origin = await another(tls=speaking(authority.issue("127.0.0.1")))
    origin.replies(OK, close=True)
    rig = await started(unstarted, origin, ca_file=authority.file)
    assert await bodies(await rig.client(), 30) == "ok" * 30
