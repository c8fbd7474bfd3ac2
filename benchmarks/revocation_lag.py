"""
How long a revoked token still passes, seen from outside: ``python -m benchmarks.revocation_lag [REVOCATIONS]``.

Two gateways with two workers each on one store, on loopback.  A token is used at every worker until all know it, revoked at one
gateway, and asked about at each worker without a pause from the moment the 200 is here: what still passed after that, and when
the last of them refused.  Beside it what the gateways say themselves (gateway_revocation_lag_seconds).
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Cell, Table, render
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer

PASSES = 502
"""Nobody is behind the gateways."""
CONNECTIONS = 4
"""To each gateway; workers take them in turns, so that each has some."""


def use(connection: http.client.HTTPConnection, token: str) -> int:
    """The status of a request on a kept connection."""
    connection.request("GET", "/v1/resource", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def measure(gateways: list[Gateway], revocations: int) -> tuple[list[float], int]:
    """Seconds from each 200 to the first refusal at the last worker, and how many requests passed meanwhile."""
    client = gateways[0].register("someone")
    lags, passed = [], 0
    ports = [gateway.port for gateway in gateways for _ in range(CONNECTIONS)]
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for port in ports]
    for _ in range(revocations):
        token = str(gateways[0].token(client)["access_token"])
        for connection in connections * 2:
            status = use(connection, token)
            assert status == PASSES, status
        assert gateways[0].form(client, "/v1/oauth/revoke", f"token={token}") == 200
        began = last = time.perf_counter()
        for connection in connections:
            while use(connection, token) == PASSES:
                passed += 1
                last = time.perf_counter()
        lags.append(last - began)
    return lags, passed


def main() -> None:
    """Print the table."""
    revocations = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    store = ValkeyServer().start()
    gateways = []
    try:
        for _ in range(2):
            folder = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
            (folder / "config.yaml").write_text(CONFIG)
            environ = {"GATEWAY_STORE__URL": store.url, "GATEWAY_WORKERS": "2", "GATEWAY_STORE__CANARY": "50ms"}
            environ["GATEWAY_LISTEN__BAD_TOKENS"] = "0"
            gateways.append(Gateway(folder, **environ).start())
        lags, passed = measure(gateways, revocations)
        pages = [gateway.ask("GET", "/metrics", admin=True)[1] for gateway in gateways]
    finally:
        for gateway in gateways:
            gateway.kill_all()
        store.remove()
    lags.sort()
    rows: list[list[Cell]] = [
        ["seen from outside, after the 200", 1e3 * lags[len(lags) // 2], 1e3 * lags[int(len(lags) * 0.99)], len(lags), passed],
        ["by themselves, to the store and back", *(1e3 * quantile(pages, q) for q in (0.5, 0.99)), total(pages), None],
    ]
    columns = ["revocation lag", "p50 ms", "p99 ms at most", "revocations", "requests that still passed"]
    print(render(Table("revocation_lag", "Two gateways with two workers each on one store", columns, rows, [])))


def quantile(pages: list[str], q: float) -> float:
    """The upper bound of the bucket that holds a quantile, over several pages."""
    counts: dict[float, float] = {}
    for page in pages:
        for line in page.splitlines():
            if line.startswith("gateway_revocation_lag_seconds_bucket"):
                name, _, number = line.rpartition(" ")
                bound = float(name.partition('le="')[2].partition('"')[0].replace("+Inf", "inf"))
                counts[bound] = counts.get(bound, 0.0) + float(number)
    return next(bound for bound, count in sorted(counts.items()) if count >= q * max(counts.values()))


def total(pages: list[str]) -> float:
    """How many canaries were heard."""
    lines = [line for page in pages for line in page.splitlines() if line.startswith("gateway_revocation_lag_seconds_count")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


if __name__ == "__main__":
    main()
