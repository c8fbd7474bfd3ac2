"""
The certificates that the public listener shows: chosen by name, and read again when their files were renewed.

Connections keep what they began with.  Made before workers are forked, so that a worker that starts while a broken file lies
there has the last good pair, and so that all of them know the same session tickets until the first renewal.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from gateway.config.certificates import Facts, Unusable, read_facts
from gateway.config.model import Certificate, Listen
from gateway.config.server_certificates import server_context
from gateway.errors import ConfigFault
from gateway.telemetry.metrics import Registry

LOOK = 2.0
"""Seconds between two looks at the files; a change is taken once two looks saw the same."""

log = logging.getLogger("gateway.tls")

_State = tuple[tuple[int, int, int], ...]
"""What tells that one of some files is another: inode, size and time of change; a swapped symlink leads to another inode."""


class _Pair:
    """One certificate, as it was last read without a fault."""

    def __init__(self, section: Certificate, listen: Listen) -> None:
        self.section = section
        self._client_ca_file = listen.client_ca_file
        self._require = listen.require_client_cert
        self.context: ssl.SSLContext
        self.facts: Facts
        self.loaded = self.seen = self.failed = self.state()
        self.read()

    def state(self) -> _State:
        paths = (self.section.cert_file, self.section.key_file, self._client_ca_file)
        return tuple(_stamp(path) for path in paths if path is not None)

    def expires(self) -> float:
        return self.facts.ends.timestamp()

    def read(self) -> None:
        """
        Take the files as they are now.

        Raises:
            Unusable: And what was there before stays.
        """
        state = self.state()
        section = self.section
        context = server_context(section.cert_file, section.key_file, self._client_ca_file, require=self._require)
        self.facts = read_facts(section.cert_file)
        self.context = context
        self.loaded = state


class Certificates:
    """
    All certificates of ``listen.tls``.

    Raises:
        ConfigFault: One of them can't be used.
    """

    def __init__(self, listen: Listen) -> None:
        try:
            self._pairs = [_Pair(section, listen) for section in listen.tls]
        except Unusable as unusable:
            raise ConfigFault([f"listen.tls: {unusable.key}: {unusable}"]) from None
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._failures = Registry().counter("unwatched_total", "")
        self._index()

    def context(self) -> ssl.SSLContext:
        """What a new connection begins with: the first pair, which gives way to another as soon as a name is asked for."""
        return self._pairs[0].context

    def watch(self, loop: asyncio.AbstractEventLoop, registry: Registry) -> None:
        """Look after the files from now on, and say in metrics what comes of it."""
        self._failures = registry.counter("gateway_tls_reload_failures_total", "Renewed certificates that could not be used.")
        for pair in self._pairs:
            registry.watch(
                "gateway_certificate_expires_timestamp_seconds", "When a certificate of the public listener ends, Unix time.",
                pair.expires, file=pair.section.cert_file.name,
            )  # fmt: skip
        self._timer = loop.call_later(LOOK, self._tick, loop)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Take what was renewed and has come to rest; what is broken is reported once, and tried again when it changes."""
        for pair in self._pairs:
            state, before = pair.state(), pair.seen
            pair.seen = state
            if state == before and state not in (pair.loaded, pair.failed):
                self._read(pair, state)

    def _read(self, pair: _Pair, state: _State) -> None:
        facts = {"cert_file": str(pair.section.cert_file)}
        try:
            pair.read()
        except Unusable as unusable:
            pair.failed = state
            self._failures.inc()
            log.error("tls.reload_failed", extra={"facts": {**facts, "file": unusable.key, "reason": str(unusable)}})
        else:
            self._index()
            log.info("tls.reloaded", extra={"facts": {**facts, "expires": pair.facts.ends.isoformat()}})

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK, self._tick, loop)
        self.look()

    def _index(self) -> None:
        by_name: dict[str, ssl.SSLContext] = {}
        for pair in self._pairs:
            pair.context.sni_callback = self._choose
            for name in pair.facts.names:
                by_name.setdefault(name, pair.context)
        self._by_name = by_name

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL's callback; may not raise.  An exact name wins over a wildcard, which stands for one label (RFC 9525)."""
        if name:
            lower = name.lower()
            found = self._by_name.get(lower) or self._by_name.get(f"*.{lower.partition('.')[2]}")
            if found is not None:
                connection.context = found


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
