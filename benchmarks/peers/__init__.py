"""The proxies that are compared, each skipped with one line where it can't be had."""

from __future__ import annotations

from benchmarks.peers.aiohttp import PlainAiohttp
from benchmarks.peers.caddy import Caddy
from benchmarks.peers.envoy import Envoy
from benchmarks.peers.gateway import Gateway
from benchmarks.peers.haproxy import HAProxy
from benchmarks.peers.nginx import LuaCached, LuaRedis, PlainNginx
from benchmarks.peers.peer import Peer

OURS = Gateway.name


def all_peers() -> list[Peer]:
    """Ours first, then the others in the order of the table."""
    return [
        Gateway(), PlainNginx(), HAProxy(), LuaCached(), LuaRedis(), Envoy(), Caddy(), PlainAiohttp(), PlainAiohttp(redis=True),
    ]  # fmt: skip
