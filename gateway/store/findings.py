"""What routes that only report would have refused, of all workers and gateways on the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice

from gateway.errors import StoreUnavailable
from gateway.guard.reports import Finding
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.resp import Word
from gateway.store.script import Script, answering

KEPT_MS = 90 * 24 * 3_600_000
"""How long findings are kept after the last one."""
MAX_FINDINGS = 50_000
"""Different ones."""
_BATCH = 500

_ADD_FINDINGS = Script("add_findings")


class RedisFindings:
    """Everything raises `StoreUnavailable` when the store does not answer or refuses."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._key = Keys(prefix).findings()

    async def add(self, findings: Mapping[Finding, int]) -> None:
        """Add to the counts; what is new beyond `MAX_FINDINGS` is not kept."""
        left = iter(findings.items())
        while batch := list(islice(left, _BATCH)):
            args: list[Word] = [KEPT_MS, MAX_FINDINGS]
            for finding, count in batch:
                args += [json.dumps(finding, separators=(",", ":")), count]
            await _ADD_FINDINGS(self._caller, [self._key], args)

    async def all(self) -> tuple[dict[Finding, int], int]:
        """All counts, and when the first one came (ms of the store's clock; 0: there is none)."""
        with answering("findings"):
            flat = await self._caller.call("HGETALL", self._key)
            pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
            counts = {bytes(name): int(count) for name, count in pairs}
        since = counts.pop(b"", 0)
        try:
            return {Finding(*json.loads(name)): count for name, count in counts.items()}, since
        except (ValueError, TypeError):
            raise StoreUnavailable("findings: corrupt record") from None

    async def forget(self) -> None:
        """Begin anew."""
        with answering("findings"):
            await self._caller.call("DEL", self._key)
