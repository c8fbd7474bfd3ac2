"""What tests of several targets share."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.edge.rig import Client, Origin, Rig, get


@contextmanager
def black_hole(port: int = 0) -> Iterator[int]:
    """A port whose backlog is full: connections to it hang, as behind a firewall that drops them."""
    fillers = []
    with socket.socket() as full:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", port))
        full.listen(0)
        address = full.getsockname()
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        try:
            yield address[1]
        finally:
            for filler in fillers:
                filler.close()


def targets(*origins: Origin | int) -> list[str]:
    """Where they are; a number is a port."""
    return [f"http://127.0.0.1:{origin if isinstance(origin, int) else origin.port}" for origin in origins]


async def bodies(client: Client, count: int, *lines: str, target: str = "/public/x") -> str:
    """Who answered so many GETs, one after another; a letter for who did not: the first one of the code."""
    answers = ""
    for _ in range(count):
        answer = await client.ask(get(target, *lines))
        answers += answer.body.decode() if answer.status == 200 else str(answer.problem["code"])[0]
    return answers


async def crowd(rig: Rig, clients: int, each: int) -> Counter[str]:
    """Who answered many clients' GETs."""

    async def one() -> str:
        return await bodies(await rig.client(), each)

    return Counter("".join(await asyncio.gather(*(one() for _ in range(clients)))))


def metric(rig: Rig, name: str, **labels: str) -> Any:
    """The value of one series of the upstream ``a``."""
    label = ",".join(f'{key}="{value}"' for key, value in {"upstream": "a", **labels}.items())
    return rig.registry.snapshot()[f"gateway_upstream_{name}"]["series"][label]


def events(caplog: Any) -> list[tuple[str, dict[str, Any]]]:
    """What was logged of upstreams."""
    return [(record.getMessage(), record.facts) for record in caplog.records if record.name == "gateway.upstreams"]
