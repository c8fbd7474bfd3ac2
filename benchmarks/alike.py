"""
Whether unknown and wrong take as long: ``python -m benchmarks.alike [ROUNDS]``.

The authority with a real Valkey, one request at a time on a kept connection, the two of each pair in turns, limits off.  As
shipped (failures are answered on a beat), and with no beat: what the paths themselves cost (O10; CWE-208).
"""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from statistics import median

import uvloop
from aiohttp import ClientSession, web

from benchmarks.report import Cell, Table, render
from gateway.authority import throttle
from gateway.authority.application import RUNNER_OPTIONS, build
from gateway.authority.hasher import Hasher
from gateway.authority.operators import add_client
from gateway.config.model import Config
from gateway.oauth.tokens import mint_client_id, mint_client_key, mint_secret
from gateway.store.admissions import RedisAdmissions
from gateway.store.authorizations import RedisAuthorizations
from gateway.store.clients import RedisClients
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.tokens import RedisTokens
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer

UNLIMITED = {"per_credential": 0, "per_source": 0, "per_account": 0, "registrations": 0}
WARM_UP = 20


async def main(rounds: int) -> None:
    """Print the table."""
    server, hasher = ValkeyServer().start(), Hasher()
    wire = Wire(Address(path=str(server.socket)), Login(), timeout=0.5, registry=Registry())
    await wire.start()
    clients, tokens, admissions = RedisClients(wire, "gw"), RedisTokens(wire, "gw"), RedisAdmissions(wire, "gw")
    config = Config.model_validate({"oauth": {"attempts": UNLIMITED}})
    application = build(config, clients, tokens, admissions, RedisAuthorizations(wire, "gw"), hasher, registry=Registry())
    runner = web.AppRunner(application, **RUNNER_OPTIONS)
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        issued = await add_client(clients, hasher, username="ann", password="client-password")
        unknown, wrong = mint_client_key("abc", bytes(16)), mint_secret(issued.client_id[4:7], bytes(32))
        pairs = [
            ("client_key", unknown, issued.client_key), ("client_id", mint_client_id("abc", bytes(16)), issued.client_id),
        ]  # fmt: skip
        rows: list[list[Cell]] = []
        async with ClientSession(origin) as http:
            for beat in (throttle.SLOT, 1e-9):
                throttle.SLOT = beat
                said = f"beat of {beat * 1e3:.0f} ms" if beat > 1e-6 else "no beat"
                for name, nobody, somebody in pairs:
                    times = await compare(http, "/v1/oauth/token", (f"{nobody}:{wrong}", f"{somebody}:{wrong}"), rounds)
                    rows.append([f"{name}, {said}", *times])
                times = await compare(http, "/v1/oauth/account", ("bob:client-passwort", "ann:client-passwort"), rounds // 10)
                rows.append([f"username, {said}", *times])
    finally:
        await runner.cleanup()
        await wire.close()
        hasher.close()
        server.remove()
    columns = ["credentials", "unknown µs", "wrong µs", "apart µs", "spread µs"]
    notes = ["medians; spread is what the middle half of the unknown differ by"]
    print(render(Table("alike", "µs to a 401, median", columns, rows, notes)))


async def compare(http: ClientSession, path: str, users: tuple[str, str], rounds: int) -> list[float]:
    """Medians for nobody and for somebody, how far they are apart, and the spread of the first; µs."""
    took: tuple[list[float], list[float]] = ([], [])
    headers = [{"Authorization": "Basic " + b64encode(user.encode()).decode()} for user in users]
    for number in range(rounds + WARM_UP):
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            if path.endswith("token"):
                answer = http.post(path, headers=headers[which], data={"grant_type": "client_credentials"})
            else:
                answer = http.get(path, headers=headers[which])
            async with answer as response:
                assert response.status == 401, response.status
                await response.read()
            if number >= WARM_UP:
                took[which].append((time.perf_counter() - began) * 1e6)
    unknown, wrong = median(took[0]), median(took[1])
    ordered = sorted(took[0])
    return [unknown, wrong, abs(unknown - wrong), ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 4]]


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
