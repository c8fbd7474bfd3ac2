"""
Time travel without a second clock in the scripts: the clock moves forward if every time in the store moves back.

Each record, index and expiry is shifted by the same span; a script can't tell the difference from having waited.
"""

from __future__ import annotations

from typing import Any

import msgpack
from redis.asyncio import Redis

_TIMES = {
    b"at": (b"i", b"x"), b"ch": (b"i", b"x", b"t", b"y", b"z"), b"cl": (b"i",), b"ck": (b"i", b"x"), b"ac": (b"i",),
    b"ss": (b"i", b"t"),
}  # fmt: skip


async def pass_time(redis: Redis, milliseconds: int) -> None:
    """Let a span pass for all of the gateway's keys."""
    async for key in redis.scan_iter(b"gw:*"):
        kind = key.split(b":")[1]
        expires = await redis.pttl(key)
        if kind in (b"cx", b"pd", b"sx", b"rs"):
            for member, score in await redis.zrange(key, 0, -1, withscores=True):
                await redis.zadd(key, {member: score - milliseconds})
        elif kind == b"cn":
            for client_id, time in (await redis.hgetall(key)).items():
                await redis.hset(key, client_id, int(time) - milliseconds)
        elif kind == b"lu":
            at, _, marks = (await redis.get(key)).partition(b" ")
            await redis.set(key, b"%d %b" % (int(at) - milliseconds, marks), keepttl=True)
        elif kind == b"lr":
            await redis.set(key, str(float(await redis.get(key)) - milliseconds * 1000), keepttl=True)
        elif kind == b"ls":
            for worker, held in (await redis.hgetall(key)).items():
                slots, _, until = held.partition(b" ")
                await redis.hset(key, worker, b"%b %d" % (slots, int(until) - milliseconds))
        elif kind == b"lt":
            for name, number in (await redis.hgetall(key)).items():
                if name != b"n":
                    await redis.hdel(key, name)
                    await redis.hset(key, str(int(name) - milliseconds), number)
        elif kind == b"jk":
            found = msgpack.unpackb(await redis.get(key), raw=True)
            ring = [[*fields[:3], fields[3] - milliseconds, fields[4]] for fields in found]
            await redis.set(key, msgpack.packb(ring, use_bin_type=False), keepttl=True)
        elif kind in _TIMES:
            value: Any = await redis.get(key)
            await redis.set(key, _shift(kind, value, milliseconds), keepttl=True)
        if expires >= 0:
            await redis.pexpire(key, expires - milliseconds)


def _shift(kind: bytes, value: bytes, span: int) -> bytes:
    record = msgpack.unpackb(value, raw=True)
    for name in _TIMES[kind]:
        if record.get(name):  # 0 is no time: never, or dead
            record[name] -= span
    if kind == b"ch":
        record[b"a"] = [item - span if index % 2 else item for index, item in enumerate(record[b"a"])]
    if kind == b"cl":
        record[b"r"] = {key: time - span for key, time in dict(record[b"r"] or {}).items()}
    packed: bytes = msgpack.packb(record, use_bin_type=False)
    return packed
