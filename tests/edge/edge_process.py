"""An `Edge` as a process of its own, whose memory can be measured: ``python -m tests.edge.edge_process UPSTREAM_PORT``."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvloop

from gateway.config.model import Config
from gateway.edge.listener import Edge
from gateway.routing import Router
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.metrics import Registry
from tests.edge.rig import FakeVerdicts


async def main(upstream: str) -> None:
    """Print the port, serve until stdin ends."""
    config = Config.model_validate({
        "upstreams": {"a": {"targets": [f"http://127.0.0.1:{upstream}"]}},
        "listen": {"head_timeout": "30s"},
        "routes": [
            {"path": "/public/", "upstream": "a", "public": True},
            {"path": "/limited/", "upstream": "a", "public": True, "max_body": "1MiB"},
        ],
    })  # fmt: skip
    registry = Registry()
    log = AccessLog(os.open(os.devnull, os.O_WRONLY), registry, readable=False)

    async def no_authority(factory: object) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        raise OSError("there is none")

    edge = Edge(config, Router(config), FakeVerdicts(), no_authority, registry, log)
    listening = socket.create_server(("127.0.0.1", 0))
    await edge.start([listening])
    print(listening.getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await edge.drain(0)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
