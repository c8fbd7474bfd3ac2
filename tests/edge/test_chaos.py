"""Everybody misbehaves at once: whatever happens, nobody gets another's answer, nothing leaks and nothing is left hanging."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.oauth.tokens import digest_access
from tests.edge.rig import OriginConnection, Rig, a_token, a_verdict, chunk, get, post, post_chunked


def answered(rng: random.Random, target: bytes) -> list[bytes]:
    """The answer to a target, which says whose it is, in one of many shapes, good and bad; in pieces."""
    body = target * rng.choice([1, 1, 10, 5000])
    length, chunked = b"Content-Length: %d\r\n\r\n" % len(body), b"Transfer-Encoding: chunked\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\n"
    whole = rng.choice([
        head + length + body,
        head + length + body,
        head + chunked + chunk(body) + b"0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + head + length + body,
        head + b"Connection: close\r\n" + length + body,
        head + length + body[: len(body) // 2],
        head + chunked + chunk(body),
        head + chunked + chunk(body) + b"zz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ])  # fmt: skip
    if whole == head + length + target and rng.random() < 0.3:
        # In one piece: a stray answer that comes after the next request was sent is no stray for anybody who can only read.
        return [whole + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"]
    cut = rng.randrange(len(whole) + 1)
    return [whole[:cut], whole[cut:]]


async def pause(rng: random.Random) -> None:
    """Let others go on for a few turns of the loop."""
    for _ in range(rng.choice([0, 0, 1, 3, 10])):
        await asyncio.sleep(0)


def wild_origin(rng: random.Random):  # type: ignore[no-untyped-def]
    """A script that answers, lies, stalls and dies."""

    async def script(connection: OriginConnection) -> None:
        while True:
            head = await connection.head()
            hasty = rng.random() < 0.15
            if not hasty:
                await connection.body(head)
            await pause(rng)
            for piece in answered(rng, head.first.split(b" ")[1]):
                await connection.send(piece)
                await pause(rng)
            match 0 if hasty else rng.randrange(12):
                case 0:
                    connection.close()
                    return
                case 1:
                    connection.reset()
                    return

    return script


async def wild_client(rig: Rig, rng: random.Random, name: int) -> int:
    """Ask this and that, alone or pipelined, whole or not, and check that each answer is one's own; returns how many came."""
    came = 0
    for turn in range(6):
        client = await rig.client()
        targets = [f"/quick/{name}-{turn}-{number}." + "x" * rng.randrange(50) + "!" for number in range(rng.choice([1, 1, 3]))]
        token = f"Authorization: Bearer {a_token(rng.randrange(4)).decode()}"
        messages = [
            rng.choice([
                get(target, token),
                get(target, token),
                get(target.replace("/quick", "/v1/nothing"), token),
                post(target, b"b" * rng.choice([1, 1000, 200_000])),
                post_chunked(target, b"c" * rng.choice([1, 1000, 70_000])),
                post_chunked(target, b"d", last=False) + b"zz\r\n",
                post(target, b"short", length=50),
            ])
            for target in targets
        ]  # fmt: skip
        stream = b"".join(messages)
        try:
            while stream:
                size = rng.choice([1, 100, 10_000, len(stream)])
                await client.send(stream[:size])
                stream = stream[size:]
                if rng.random() < 0.05:
                    break
                await pause(rng)
            if rng.random() < 0.15:
                client.reset()
                continue
            for target in targets:
                answer = await client.response()
                came += 1
                assert answer.status in (200, 400, 401, 404, 408, 502, 503, 504)
                if answer.status == 200:
                    assert answer.body == target.encode() * (len(answer.body) // len(target)), target
        except (EOFError, ConnectionError):
            pass
        client.close()
    return came


@pytest.mark.parametrize("limit", [2, 1000])
@pytest.mark.parametrize("seed", range(2))
async def test_nobody_gets_anothers_answer_and_nothing_leaks(unstarted: Rig, seed: int, limit: int) -> None:
    """Fifteen clients, one upstream; afterwards every connection has ended and a stranger is served."""
    rng = random.Random(seed)
    rig = await unstarted.start(upstream={"max_connections": limit})
    for number in range(3):
        rig.verdicts.cold[digest_access(a_token(number))] = a_verdict(f"gwc_{number}")
    rig.edge.head_timeout = rig.edge.keepalive_timeout = rig.edge.linger_timeout = 0.3
    rig.origin.script = wild_origin(rng)
    came = await asyncio.gather(*(wild_client(rig, random.Random(seed * 100 + name), name) for name in range(15)))
    assert sum(came) > 40
    await rig.eventually(lambda: rig.edge.connections == 0)
    pool = rig.edge.groups["a"].pools[0]
    await rig.eventually(lambda: not pool._tasks)
    assert all(exchange.over for exchange in pool._waiting)
    assert pool.open == len(pool._idle) + sum(up.exchange is None and up not in pool._idle for up in pool._open)
    for connection in rig.origin.connections:
        connection.writer.transport.abort()
    await rig.eventually(lambda: pool.open == 0)
    await rig.assert_unharmed()
