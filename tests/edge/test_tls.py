"""TLS on the public port: who gets in, how long it may take, and what upstreams and the authority are told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.server_certificates import server_context
from tests.certificates import Authority, client_context
from tests.edge.rig import OK, PATIENCE, Client, Rig, get

Start = Callable[..., Any]
HELLO = bytes.fromhex("16030100") + b"\xc0\x01\x00\x00\xbc\x03\x03" + bytes(185)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def rig(unstarted: Rig, authority: Authority) -> Rig:
    """A rig that speaks TLS and asks for client certificates, without insisting."""
    context = server_context(*authority.issue("gw.test"), authority.ca_file, require=False)
    unstarted.tls, unstarted.client_tls = lambda: context, client_context(authority.ca_file)
    return await unstarted.start(listen={"client_ca_file": authority.ca_file, "max_connections": 20})


async def plain(rig: Rig) -> Client:
    """A connection without a handshake."""
    client = Client(*await asyncio.open_connection("127.0.0.1", rig.port))
    rig._clients.append(client)
    return client


async def test_upstreams_and_the_authority_hear_that_it_was_https(rig: Rig) -> None:
    client = await rig.client()
    assert (await client.ask(get("/public/x", "X-Forwarded-Proto: http"))).body == b"ok"
    (request,) = rig.origin.requests
    assert request.one("x-forwarded-proto") == b"https"
    assert b"proto=https" in (request.one("forwarded") or b"")
    await client.ask(get("/v1/oauth/token"))
    assert rig.authority.requests[0].one("x-gateway-scheme") == b"https"


async def test_only_the_authority_hears_of_a_verified_client_certificate(rig: Rig, authority: Authority) -> None:
    """And no client can say it by a header, here or over the connection of another."""
    stranger = await rig.client()
    pair = authority.issue("device-7", to="client")
    rig.client_tls = client_context(authority.ca_file, pair)
    client = await rig.client()
    claims = ("X-Gateway-Client-Certificate: forged", "x_gateway_client_certificate: forged", "X-Client-Cert: forged")
    for who in (client, stranger):
        await who.ask(get("/v1/oauth/token", *claims))
        await who.ask(get("/public/x", *claims))
    told, nothing = rig.authority.requests
    der = ssl.PEM_cert_to_DER_cert(pair[0].read_text())
    assert base64.b64decode(told.one("x-gateway-client-certificate") or b"") == der
    assert nothing.all("x-gateway-client-certificate") == []
    assert b"forged" not in told.raw + nothing.raw
    for request in rig.origin.requests:
        assert b"forged" not in request.raw
        assert hashlib.sha256(der).hexdigest().encode() not in request.raw
        assert b"client-cert" not in request.raw.lower()


async def test_a_certificate_of_a_stranger_is_turned_away(rig: Rig, tmp_path: Path, authority: Authority) -> None:
    """One that is shown has to be good, even where none has to be shown."""
    (tmp_path / "other").mkdir()
    rig.client_tls = client_context(authority.ca_file, Authority(tmp_path / "other", "other").issue("device-7", to="client"))
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, AssertionError)):
        await (await rig.client()).ask(get("/public/x"))
    rig.client_tls = client_context(authority.ca_file)
    await rig.assert_unharmed()
    assert len(rig.origin.requests) == 2


async def test_where_certificates_are_required_nobody_gets_in_without_one(unstarted: Rig, authority: Authority) -> None:
    context = server_context(*authority.issue("gw.test"), authority.ca_file, require=True)
    unstarted.tls, unstarted.client_tls = lambda: context, client_context(authority.ca_file)
    rig = await unstarted.start(listen={"client_ca_file": authority.ca_file})
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await (await rig.client()).ask(get("/public/x"))
    rig.client_tls = client_context(authority.ca_file, authority.issue("device-7", to="client"))
    await rig.assert_unharmed()
    assert len(rig.origin.requests) == 2


@pytest.mark.parametrize("offered", [["http/1.1"], ["h2", "http/1.1"], ["h2"], []])
async def test_http_1_1_is_what_is_agreed_on(rig: Rig, authority: Authority, offered: list[str]) -> None:
    """Who offers HTTP/2 alone gets no agreement, and an answer if it speaks HTTP/1.1 all the same."""
    context = client_context(authority.ca_file)
    if offered:
        context.set_alpn_protocols(offered)
    rig.client_tls = context
    client = await rig.client()
    agreed = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()
    assert agreed == ("http/1.1" if "http/1.1" in offered else None)
    await client.assert_kept()


async def test_s21_http_2_preface_over_tls_is_refused(rig: Rig) -> None:
    client = await rig.client()
    await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (await client.response()).status in (400, 505)
    await client.assert_closed()


def _agree(port: int, context: ssl.SSLContext) -> tuple[str | None, tuple[str, str, int] | None]:
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    with sock, context.wrap_socket(sock, server_hostname="gw.test") as tls:
        return tls.version(), tls.cipher()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
async def test_old_protocols_and_weak_ciphers_are_refused(rig: Rig, authority: Authority) -> None:
    """RFC 8996; RFC 9325 section 4.2: no CBC, no RSA key exchange."""
    old = client_context(authority.ca_file)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    weak = client_context(authority.ca_file)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-GCM-SHA256:AES256-SHA256:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0")
    for context in (old, weak):
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(_agree, rig.port, context)
    good = client_context(authority.ca_file)
    good.maximum_version = ssl.TLSVersion.TLSv1_2
    version, cipher = await asyncio.to_thread(_agree, rig.port, good)
    assert version == "TLSv1.2"
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-")
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
    await rig.assert_unharmed()


async def test_plain_http_on_the_tls_port_is_closed_and_harms_nobody(rig: Rig) -> None:
    client = await plain(rig)
    await client.send(get("/public/x"))
    assert b"HTTP/1.1 2" not in await client.rest()
    assert rig.origin.requests == []
    await rig.assert_unharmed()


async def test_s31_a_tls_hello_on_the_plain_port_is_refused(unstarted: Rig) -> None:
    rig = await unstarted.start()
    client = await rig.client()
    await client.send(HELLO)
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    await rig.assert_unharmed()


async def test_x01_a_handshake_that_never_comes_ends_in_time_and_holds_nobody_up(unstarted: Rig, authority: Authority) -> None:
    """Whoever is at it counts as a connection: beyond the limit newcomers wait, and get in once the deadline has passed."""
    context = server_context(*authority.issue("gw.test"), None, require=False)
    unstarted.tls, unstarted.client_tls = lambda: context, client_context(authority.ca_file)
    rig = await unstarted.start(listen={"max_connections": 4, "head_timeout": "400ms"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    idle = [await plain(rig) for _ in range(3)]
    await rig.assert_unharmed()
    assert loop.time() - began < 0.4
    await rig.eventually(lambda: rig.edge.connections == 0)
    idle.append(await plain(rig))
    last = await rig.client()  # the fourth and last place is taken: it waits for one of the silent
    await last.assert_kept()
    for client in idle:
        await client.assert_closed()


async def test_x01_the_deadline_of_a_head_begins_with_the_connection(unstarted: Rig, authority: Authority) -> None:
    """A slow handshake and then a slow head do not get it twice."""
    context = server_context(*authority.issue("gw.test"), None, require=False)
    unstarted.tls, unstarted.client_tls = lambda: context, client_context(authority.ca_file)
    rig = await unstarted.start(listen={"head_timeout": "1s"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    await rig.eventually(lambda: rig.edge.handshakes == 1)
    rig.edge.head_timeout = 60.0  # whoever began to count anew after the handshake would count this
    await writer.start_tls(client_context(authority.ca_file), server_hostname="gw.test")
    await rig.eventually(lambda: rig.edge.connections == 1)
    (down,) = rig.edge._connections
    assert down.deadline <= began + 1.5
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_leaves_in_the_handshake_leaves_nothing_behind(rig: Rig) -> None:
    for piece in (b"", b"\x16", HELLO[:20], HELLO, b"\x15\x03\x01\x00\x02\x02\x28", bytes(100)):
        client = await plain(rig)
        await client.send(piece)
        client.reset() if len(piece) % 2 else client.close()
    await rig.eventually(lambda: rig.edge.connections == 0 and rig.edge.handshakes == 0)
    await rig.assert_unharmed()


async def test_an_answer_and_the_end_arrive_together(rig: Rig) -> None:
    """close_notify stands behind the last byte: a client can tell a whole answer from a cut one."""
    rig.origin.answer = OK
    client = await rig.client()
    await client.send(get("/public/x", "Connection: close"))
    assert (await client.rest()).endswith(b"\r\n\r\nok")
    await rig.eventually(lambda: rig.edge.connections == 0)


async def test_a_client_that_never_says_goodbye_is_cut(rig: Rig) -> None:
    """Its own close_notify is waited for as long as a refused body is read on, no longer."""
    rig.edge.linger_timeout = 0.2
    client = await rig.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(get("/public/x", "Connection: close"))
    await rig.eventually(lambda: rig.origin.requests)
    await rig.eventually(lambda: rig.edge.connections == 0)


async def test_a_certificate_that_is_too_long_to_tell_counts_as_none() -> None:
    """The authority's reader takes 8 KiB a line."""
    from gateway.edge.head import MAX_CERTIFICATE, Peer

    assert b"Certificate: AAAA" in Peer("::1", "https", trusted=False, certificate=bytes(MAX_CERTIFICATE)).own_lines
    assert b"Certificate" not in Peer("::1", "https", trusted=False, certificate=bytes(MAX_CERTIFICATE + 1)).own_lines
    assert MAX_CERTIFICATE * 4 / 3 < 8190 - 100
