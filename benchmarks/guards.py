"""
What each guard costs an authorized request that it lets pass: ``python -m benchmarks.guards [ROUNDS]``.

The same exchange as in `benchmarks.hot_path`, with one key of the configuration at a time; the variants take turns in every
round, and the least of each is compared, as noise only adds; time is the process's own, so preemption is none of it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from pydantic import ValidationError

from benchmarks.hot_path import measure
from benchmarks.report import Cell, Table, render

COUNT = 4_000
_SET = {"set": {"X-Tenant": "a"}, "remove": ["X-Debug"]}
_CREDENTIALS = {"credentials": {"k": {"basic": {"username": "gateway", "password": "legacy"}}}}
_ISSUERS = {"issuers": {"idp": {"issuer": "https://idp.example.com", "audience": ["api"]}}}
_BY_CLIENT = {"default": "k", "by_client": {"gwc_x": "k"}}
_TWO = ["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
PLAIN, TWO = "nothing", "two targets, round_robin"
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    PLAIN: (PLAIN, {}),
    "max_body": (PLAIN, {"route": {"max_body": "1MiB"}}),
    "timeouts.total": (PLAIN, {"route": {"timeouts": {"total": "30s"}}}),
    "streams": (PLAIN, {"route": {"streams": {}}}),
    "cors": (PLAIN, {"route": {"cors": {"origins": ["https://app.example.com"]}}}),
    "ip_allow": (PLAIN, {"route": {"ip_allow": ["127.0.0.0/8", "10.0.0.0/8"]}}),
    "rewrite": (PLAIN, {"route": {"rewrite": "/legacy"}}),
    "preserve_host": (PLAIN, {"route": {"preserve_host": True}}),
    "request_headers": (PLAIN, {"route": {"request_headers": _SET}}),
    "credential": (PLAIN, {"route": {"credential": "k"}, "more": _CREDENTIALS}),
    "credential by_client": (PLAIN, {"route": {"credential": _BY_CLIENT}, "more": _CREDENTIALS}),
    "identity.headers": (PLAIN, {"route": {"identity": {"headers": {"X-User": "sub"}}}}),
    "response_headers": (PLAIN, {"route": {"response_headers": _SET}}),
    "limits: rate": (PLAIN, {"route": {"limits": [{"rate": "1000000/s"}]}}),
    "limits: rate, quota": (PLAIN, {"route": {"limits": [{"rate": "1000000/s"}, {"quota": "1000000000000/month"}]}}),
    "limits: concurrency": (PLAIN, {"route": {"limits": [{"concurrency": 1_000_000}]}}),
    "issuers, an own token": (PLAIN, {"route": {"issuers": ["own", "idp"]}, "more": _ISSUERS}),
    "trusted_proxies": (PLAIN, {"more": {"trusted_proxies": ["127.0.0.0/8"]}}),
    "max_connections_per_address": (PLAIN, {"more": {"listen": {"max_connections_per_address": 100}}}),
    "ejection and retry_budget off": (PLAIN, {"upstream": {"ejection": {"failures": 0}, "retry_budget": 0}}),
    "ejection on server_errors": (PLAIN, {"upstream": {"ejection": {"server_errors": True}}}),
    TWO: (TWO, {"upstream": {"targets": _TWO}}),
    "two targets, weights": (TWO, {"upstream": {"targets": _TWO, "weights": [3, 1]}}),
    "two targets, least_loaded": (TWO, {"upstream": {"targets": _TWO, "balance": "least_loaded"}}),
    "two targets, hash": (TWO, {"upstream": {"targets": _TWO, "balance": "hash"}}),
}
"""Name: what it is compared to, and what is added to the configuration."""


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    least: dict[str, float] = {}
    unknown: set[str] = set()
    for _ in range(rounds):
        for name, (_, extra) in VARIANTS.items():
            if name not in unknown:
                try:
                    took = asyncio.run(measure(COUNT, 1, clock=time.process_time, **extra))
                except ValidationError:  # a commit that has no such key
                    unknown.add(name)
                else:
                    least[name] = min(took, least.get(name, took))
    rows: list[list[Cell]] = [[name, took, took - least[VARIANTS[name][0]]] for name, took in least.items()]
    notes = [f"not in this version: {name}" for name in VARIANTS if name in unknown]
    print(render(Table("guards", "µs of an authorized request, sockets apart", ["with", "µs", "more"], rows, notes)))


if __name__ == "__main__":
    main()
