"""The test servers themselves: what others rely on."""

from __future__ import annotations

import pytest

from tests.servers import ValkeyServer, fake_redis


async def test_the_valkey_fixture_answers_on_both_addresses(valkey: ValkeyServer) -> None:
    client = valkey.client()
    await client.set("a", 1)
    assert await client.get("a") == b"1"
    await client.aclose()
    assert valkey.call("INFO", "server")["tcp_port"] == valkey.port


def test_each_test_starts_empty(valkey: ValkeyServer) -> None:
    assert valkey.call("DBSIZE") == 0


def test_debian_redis_is_another_server(debian_redis: ValkeyServer) -> None:
    assert debian_redis.call("DBSIZE") == 0


def test_acknowledged_data_survives_a_restart() -> None:
    server = ValkeyServer().start()
    try:
        server.call("SET", "a", "1")
        server.restart()
        assert server.call("GET", "a") == b"1"
        server.kill()
        assert not server.running
    finally:
        server.remove()


def test_a_server_that_can_not_start_says_why() -> None:
    server = ValkeyServer("--no-such-option", "1")
    try:
        with pytest.raises(RuntimeError, match="no-such-option"):
            server.start()
    finally:
        server.remove()


async def test_fakeredis_packs_like_the_real_one(valkey: ValkeyServer) -> None:
    script = "return cmsgpack.pack({a = cmsgpack.unpack(ARGV[1]), b = 1800000000000, c = {}, d = {'x'}})"
    fake, real = fake_redis(), valkey.client()
    value = b"\x81\xa1x\xda\x00\x02\xff\x00"
    answers = [await fake.eval(script, 0, value), await real.eval(script, 0, value)]
    assert len(answers[0]) == len(answers[1])
    await fake.aclose()
    await real.aclose()
