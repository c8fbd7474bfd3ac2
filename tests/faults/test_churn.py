"""Upstreams that end kept connections, and ways to them that are slow: requests arrive, and arrive once."""

from __future__ import annotations

import asyncio
import random

from tests.edge.rig import OriginConnection, get
from tests.faults.arena import Arena, eventually

GETS = 1_200


async def test_f11_zero_502_for_gets_while_the_upstream_ends_connections(arena: Arena) -> None:
    """
    F11: after each answer the upstream ends the connection by FIN or RST, now or a moment later, without saying so.

    It serves at most one request a connection, so each kept one is a trap.
    """
    rng = random.Random(9112)

    async def script(connection: OriginConnection) -> None:
        request = await connection.request()
        arena.wild.requests.append(request)
        await connection.send(arena.wild.answer(request))  # type: ignore[operator]
        for _ in range(rng.choice([0, 0, 1, 5, 20])):
            await asyncio.sleep(0)
        connection.reset() if rng.random() < 0.5 else connection.close()

    async def ask(name: int) -> None:
        client = await arena.client()
        for number in range(GETS // 12):
            target = f"/wild/{name}/{number}"
            answer = await client.ask(get(target, arena.gateway.auth))
            assert (answer.status, answer.body) == (200, target.encode() + b" ")
        client.close()

    arena.wild.script = script
    async with arena.unharmed():
        await asyncio.gather(*(ask(name) for name in range(12)))
    targets = [request.target for request in arena.wild.requests]
    assert len(set(targets)) == GETS
    assert len(targets) == GETS, "a request that the upstream had read was sent again"


async def test_f11_a_post_is_never_sent_twice_under_churn(arena: Arena) -> None:
    """F11: it may be 502 where the connection died first, but the upstream sees each at most once."""
    rng = random.Random(9110)

    async def script(connection: OriginConnection) -> None:
        request = await connection.request()
        arena.wild.requests.append(request)
        if rng.random() < 0.8:
            await connection.send(arena.wild.answer(request))  # type: ignore[operator]
        connection.close()

    arena.wild.script = script
    async with arena.unharmed():
        for turn in range(20):
            found = await arena.outcomes(arena.post(f"/wild/{turn}/{number}", b"once") for number in range(10))
            assert set(found) <= {200, 502}
        await arena.wild.stop()
    targets = [request.target for request in arena.wild.requests]
    assert len(targets) == len(set(targets))


async def test_f29_a_slow_and_lossy_way_amplifies_nothing(arena: Arena) -> None:
    """F29: 5 to 25 ms each way, and one piece in ten stalls for 200 ms, as when TCP has to send again: all is served, once."""
    rng = random.Random(29)

    async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await asyncio.sleep(0.2 if rng.random() < 0.1 else rng.uniform(0.005, 0.025))
            sink.write(data)
        sink.close()

    async def script(connection: OriginConnection) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", arena.second.port)
        try:
            await asyncio.gather(relay(connection.reader, writer), relay(reader, connection.writer))
        finally:
            writer.transport.abort()

    async def ask(name: int) -> None:
        client = await arena.client()
        for number in range(8):
            target, body = f"/wild/{name}/{number}", b"b" * 20_000 * (number % 2)
            request = arena.post(target, body) if body else arena.get(target)
            answer = await client.ask(request)
            assert (answer.status, answer.body) == (200, target.encode() + b" " + body)
        client.close()

    arena.wild.script = script
    async with arena.unharmed():
        await asyncio.gather(*(ask(name) for name in range(20)))
        await eventually(lambda: len(arena.second.requests) == 160)
        await arena.wild.stop()
    assert len({request.target for request in arena.second.requests}) == len(arena.second.requests) == 160


async def test_f16_f18_answers_are_relayed_as_they_are(arena: Arena) -> None:
    """F16, F18: no redirect is followed, no cookie kept, nothing decoded; among others' requests as well."""
    plain = b"not gzip at all"
    answers = [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(plain), plain),
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]
    arena.wild.answer = lambda request: answers[int(request.target.rsplit(b"/")[-1]) % len(answers)]
    async with arena.unharmed():
        for number in range(40):
            answer = await arena.ask(arena.get(f"/wild/{number}"))
            assert answer.status == [302, 200, 304, 204][number % 4]
            assert answer.body == (plain if number % 4 == 1 else b"")
        assert len(arena.wild.requests) == 40
        assert not any(request.all("cookie") for request in arena.wild.requests)
        await arena.wild.stop()
