"""The verdict link behind slow, cutting, swallowing and old-fashioned servers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import InvalidToken, StoreUnavailable
from gateway.guard.verdict import Verdict
from gateway.store.codec import encode_client, encode_token
from gateway.store.dial import Address
from gateway.store.handshake import Login
from tests.servers import ValkeyServer
from tests.store.link_bench import CLIENT, KEYS, PATIENT, TIMEOUT, a_link, a_ref, a_token, once, until, write
from tests.store.proxy import Proxy, fake_server


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[Proxy]:
    """Between the link and Valkey."""
    found = await Proxy(valkey.socket).start()
    yield found
    await found.close()


def behind(proxy: Proxy, tls: ssl.SSLContext | None = None) -> Address:
    return Address("127.0.0.1", proxy.port, tls=tls)


# --- a bad network -----------------------------------------------------------------------------------------------------


async def test_a_confirmed_change_that_is_still_on_its_way_here_is_waited_for(valkey: ValkeyServer, proxy: Proxy) -> None:
    """The store's word of it comes on another connection, before the push."""
    write(valkey, 1)
    async with a_link(behind(proxy)) as bench:
        await bench.keep(1)
        proxy.delay = 0.05
        valkey.call("DEL", KEYS.token(a_ref(1)))
        assert bench.find(1) is not None
        await bench.link.caught_up()
        assert bench.find(1) is None


@pytest.mark.parametrize("how", ["cut", "black hole", "none"])
async def test_nobody_waits_for_a_change_on_a_link_that_is_lost(valkey: ValkeyServer, proxy: Proxy, how: str) -> None:
    """What was read on it counts no more; on a silent one it is a look-up's time."""
    write(valkey, 1)
    async with a_link(behind(proxy)) as bench:
        await bench.keep(1)
        if how == "none":
            await bench.link.close()
        else:
            proxy.swallow(on=True)
        waiting = asyncio.ensure_future(bench.link.caught_up())
        await asyncio.sleep(0)
        if how == "cut":
            assert not waiting.done()
            proxy.cut()
        async with asyncio.timeout(5):
            await waiting
        assert how == "black hole" or bench.find(1) is None
        proxy.swallow(on=False)


async def test_a_delay_keeps_the_order(valkey: ValkeyServer, proxy: Proxy) -> None:
    """The answer "alive" and the push that ends it come late, but in order: nothing dead is kept."""
    write(valkey, *range(20))
    async with a_link(behind(proxy)) as bench:
        await bench.fence()
        proxy.delay = 0.05
        answers = [bench.fetch(number) for number in range(20)]
        await asyncio.sleep(0.02)  # the server has answered, the answers are on their way
        for number in range(20):
            valkey.call("DEL", KEYS.token(a_ref(number)))
        assert all(isinstance(answer, Verdict | InvalidToken) for answer in await asyncio.gather(*answers))
        await bench.fence()
        assert [number for number in range(20) if bench.find(number)] == []
        assert bench.link.up


async def test_slower_than_the_budget_is_503_and_never_anothers_answer(valkey: ValkeyServer, proxy: Proxy) -> None:
    """Late answers are dropped, one by one; the first token asked in time again gets its own."""
    write(valkey, *range(50))
    async with a_link(behind(proxy)) as bench:
        await bench.fence()
        proxy.delay = TIMEOUT * 1.2
        answers = [once(bench.link.fetch_token, a_ref(number)) for number in range(50)]
        assert {type(answer) for answer in await asyncio.gather(*answers)} == {StoreUnavailable}
        proxy.delay = 0.0
        assert bench.link._line.connection is not None
        await until(lambda: not bench.link._line.connection or not bench.link._line.connection.asks)
        found = await asyncio.gather(*(once(bench.link.fetch_token, a_ref(number)) for number in range(50)))
        assert [token.chain_id for token in found] == [a_token(number).chain_id for number in range(50)]


async def test_a_cut_link_confirms_nothing(valkey: ValkeyServer, proxy: Proxy) -> None:
    """What was revoked during the cut is dead with the next look-up, and the loss alone refuses nobody."""
    write(valkey, 1, 2)
    async with a_link(behind(proxy), timeout=PATIENT) as bench:
        await bench.keep(1)
        await bench.keep(2)
        dials = proxy.dials
        proxy.cut()
        await until(lambda: bench.find(1) is None)
        valkey.call("DEL", KEYS.token(a_ref(1)))
        assert isinstance(await bench.fetch(1), InvalidToken)
        await bench.keep(2)
        assert proxy.dials > dials


async def test_a_link_that_serves_and_is_cut_again_and_again_comes_back_at_once(valkey: ValkeyServer, proxy: Proxy) -> None:
    """An operator's CLIENT KILL in a loop must not make the pauses grow: twelve cuts cost less than one long pause each."""
    write(valkey, 1)
    async with a_link(behind(proxy), timeout=PATIENT) as bench:
        for _ in range(12):
            await bench.keep(1)
            proxy.cut()
            await until(lambda: bench.find(1) is None)
            assert await until(lambda: bench.link.caching) < 0.4


async def test_f02_a_black_hole(valkey: ValkeyServer, proxy: Proxy) -> None:
    """Packets vanish: in time, the cached verdict is no longer believed; afterwards all is well in less than 2 s."""
    write(valkey, 1, 2)
    loop = asyncio.get_running_loop()
    async with a_link(behind(proxy)) as bench:
        await bench.keep(1)
        proxy.swallow(on=True)
        valkey.call("DEL", KEYS.token(a_ref(1)))
        began = loop.time()
        assert isinstance(await bench.fetch(2), StoreUnavailable)
        assert loop.time() - began <= TIMEOUT + 0.1
        await until(lambda: bench.find(1) is None)
        assert loop.time() - began < 3.2, "two seconds of silence end the link"
        proxy.swallow(on=False)
        assert await until(lambda: bench.link.caching) < 2.0
        assert isinstance(await bench.fetch(1), InvalidToken)
        await bench.keep(2)


async def test_reconnecting_does_not_hammer() -> None:
    """A server that hangs up at once is asked again with growing pauses; look-ups fail at once meanwhile."""
    dials = 0

    def hang_up(words: list[bytes]) -> bytes:
        nonlocal dials
        dials += 1
        return b""

    async with fake_server(hang_up) as port, a_link(Address("127.0.0.1", port)) as bench:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: loop.time() - began > 1.0)
        assert 3 < dials < 20
        began = loop.time()
        assert isinstance(await bench.fetch(), StoreUnavailable)
        assert loop.time() - began < TIMEOUT / 4


# --- other servers -----------------------------------------------------------------------------------------------------


class OldServer:
    """
    A server before RESP3, with two records.

    Attributes:
        commands: What it was asked.
        replies: What it says to some commands instead; by name.
        password: What AUTH needs; empty: no AUTH.
    """

    def __init__(self, **replies: bytes) -> None:
        self.commands: list[list[bytes]] = []
        self.replies = replies
        self.password = ""
        self.authenticated = False
        self.records = {KEYS.token(a_ref()): encode_token(a_token()), KEYS.client(CLIENT.client_id): encode_client(CLIENT)}

    def answer(self, words: list[bytes]) -> bytes:
        """One command."""
        self.commands.append(words)
        name = words[0].decode()
        if name in self.replies:
            return self.replies[name]
        if name == "AUTH":
            self.authenticated = words[-1].decode() == self.password
            return b"+OK\r\n" if self.authenticated else b"-ERR invalid password\r\n"
        if self.password and not self.authenticated:
            return b"-NOAUTH Authentication required.\r\n"
        if name == "TIME":
            now = datetime.now(UTC).timestamp()
            return _array(str(int(now)).encode(), b"0")
        if name == "GET":
            return _bulk(self.records.get(words[1]))
        quoted = " ".join(f"'{word.decode()}'" for word in words[1:])
        return f"-ERR unknown command '{name}', with args beginning with: {quoted}\r\n".encode()


def _bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def _array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(map(_bulk, values))


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """The facts of all log events of a name."""
    return [record.facts for record in caplog.records if record.message == name]  # type: ignore[attr-defined]


@pytest.mark.parametrize("password", ["", "pass-word"])
async def test_a_server_that_refuses_hello_is_used_without_a_cache(caplog: pytest.LogCaptureFixture, password: str) -> None:
    """RESP2, AUTH apart, no tracking asked; one warning, and what we sent is not in it although the server quotes it."""
    server = OldServer()
    server.password = password
    with caplog.at_level(logging.DEBUG):
        async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port), Login("", password)) as bench:
            for _ in range(3):
                assert isinstance(await bench.fetch(), Verdict)
                assert bench.find() is None
            assert not bench.link.caching
            assert bench.metric("gateway_store_link_caching") == 0
    assert len(events(caplog, "link.caching_refused")) == 1
    assert [b"CLIENT", b"TRACKING", b"ON"] not in server.commands
    assert "pass-word" not in repr([vars(record) for record in caplog.records])


async def test_a_wrong_password_for_an_old_server(caplog: pytest.LogCaptureFixture) -> None:
    """Not served, and nothing secret logged."""
    server = OldServer()
    server.password = "other"
    with caplog.at_level(logging.DEBUG):
        async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port), Login("", "pass-word")) as bench:
            assert isinstance(await bench.fetch(), StoreUnavailable)
    assert {facts["reason"] for facts in events(caplog, "link.not_connected")} == {"ERR"}
    assert "pass-word" not in repr([vars(record) for record in caplog.records])


async def test_a_server_that_wants_a_password_that_we_have_not(caplog: pytest.LogCaptureFixture) -> None:
    """F05: NOAUTH."""
    server = OldServer()
    server.password = "other"
    with caplog.at_level(logging.DEBUG):
        async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port)) as bench:
            assert isinstance(await bench.fetch(), StoreUnavailable)
    assert {facts["reason"] for facts in events(caplog, "link.not_connected")} == {"NOAUTH"}


@pytest.mark.parametrize("error", ["LOADING x", "MASTERDOWN x", "NOAUTH x", "NOPERM x", "CLUSTERDOWN x", "MOVED 1 h:1"])
async def test_f05_an_error_reply_is_an_outage(caplog: pytest.LogCaptureFixture, error: str) -> None:
    """Never "unknown token"; only the code is logged."""
    server = OldServer(GET=f"-{error} secret\r\n".encode())
    with caplog.at_level(logging.WARNING):
        async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port)) as bench:
            assert isinstance(await bench.fetch(), StoreUnavailable)
            del server.replies["GET"]
            assert isinstance(await bench.fetch(), Verdict)
    assert [facts["reason"] for facts in events(caplog, "record.unreadable")] == [error.split()[0]]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(b"not RESP\r\n", "protocol error", id="garbage"),
        pytest.param(b"$3\r\nabc\r\n$3\r\nabc\r\n", "a reply that nobody asked for", id="two replies for one"),
    ],
)
async def test_a_server_out_of_step_is_left(caplog: pytest.LogCaptureFixture, reply: bytes, reason: str) -> None:
    """After one reply too many no later one could be trusted."""
    server = OldServer(GET=reply)
    with caplog.at_level(logging.WARNING):
        async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port)) as bench:
            assert isinstance(await bench.fetch(), StoreUnavailable)
            del server.replies["GET"]
            await until(lambda: bench.link.up)
            assert isinstance(await bench.fetch(), Verdict)
    assert reason in [facts["reason"] for facts in events(caplog, "link.lost")]


async def test_a_server_without_a_clock_is_not_used() -> None:
    """Expiry could not be told."""
    server = OldServer(TIME=b"-ERR no\r\n")
    async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port)) as bench:
        assert isinstance(await bench.fetch(), StoreUnavailable)
        assert not bench.link.seen


async def test_a_proxy_that_answers_hello_with_another_protocol_is_not_trusted_to_push() -> None:
    """A map that says 2."""
    server = OldServer(HELLO=b"%1\r\n$5\r\nproto\r\n:2\r\n", CLIENT=b"+OK\r\n")
    async with fake_server(server.answer) as port, a_link(Address("127.0.0.1", port)) as bench:
        assert isinstance(await bench.fetch(), Verdict)
        assert not bench.link.caching


# --- TLS ---------------------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "store.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return file


async def test_tls(valkey: ValkeyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A trusted certificate is needed, and enough; look-ups and pushes work as without."""
    write(valkey, 1)
    pem = certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    proxy = await Proxy(valkey.socket, theirs).start()
    try:
        async with a_link(behind(proxy, ssl.create_default_context(cafile=pem))) as bench:
            await bench.keep()
            valkey.call("DEL", KEYS.token(a_ref()))
            await bench.fence()
            assert bench.find() is None
        with caplog.at_level(logging.WARNING):
            async with a_link(behind(proxy, ssl.create_default_context())) as bench:
                assert isinstance(await bench.fetch(), StoreUnavailable)
        assert events(caplog, "link.not_connected")[0]["reason"] == "SSLCertVerificationError"
    finally:
        await proxy.close()


async def test_a_revocation_that_a_worker_without_a_link_makes_holds_for_what_it_knew_too(
    valkey: ValkeyServer, proxy: Proxy
) -> None:
    """Whoever waits until all is known here ends what routes with on_store_failure: cached would go on with."""
    write(valkey, 1)
    async with a_link(behind(proxy), keeps_stale=True) as bench:
        await bench.keep(1)
        assert bench.stale(1) is None
        proxy.swallow(on=True)  # new connections hang
        proxy.cut()
        await until(lambda: not bench.link.up)
        assert bench.stale(1) is not None
        await bench.link.caught_up()
        assert bench.stale(1) is None
        proxy.swallow(on=False)


async def test_what_was_known_is_gone_on_with_until_the_link_stands_again(valkey: ValkeyServer, proxy: Proxy) -> None:
    """A token that was revoked meanwhile is dead from then on."""
    write(valkey, 1)
    async with a_link(behind(proxy), keeps_stale=True) as bench:
        await bench.keep(1)
        proxy.swallow(on=True)
        proxy.cut()
        await until(lambda: not bench.link.up)
        valkey.call("DEL", KEYS.token(a_ref(1)))
        assert bench.stale(1) is not None
        proxy.swallow(on=False)
        await until(lambda: bench.link.up)
        assert bench.stale(1) is None
        assert isinstance(await bench.fetch(1), InvalidToken)
