"""What an entry of ``upstreams`` may say beside its targets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta

from gateway.config.address import is_host
from gateway.config.certificates import Unusable, load_authorities, load_pair
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import UpstreamTls

MAX_DNS_REFRESH = timedelta(seconds=30)
"""A name that moved is followed within this time, whatever is configured."""

_NOT_PASSED = frozenset((
    "host", "authorization", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-authorization",
    "proxy-connection", "http2-settings",
))  # fmt: skip


def balancing(draft: Draft) -> Iterator[Fault]:
    """Weights fit the targets, and ``hash_on`` is read by somebody."""
    for name, upstream in draft.upstreams.items():
        weights, targets = len(upstream.weights), len(upstream.targets)
        if weights and weights != targets:
            yield draft.fault(f"{weights} weights for {targets} targets: write one for each", "upstreams", name, "weights")
        if upstream.balance != "hash" and draft.is_set("upstreams", name, "hash_on"):
            yield draft.fault("nothing is hashed here: add balance: hash, or remove this", "upstreams", name, "hash_on")
        elif upstream.hash_on.partition(":")[2].lower() in _NOT_PASSED:
            message = "no request has this header when its target is chosen: take another one, or client"
            yield draft.fault(message, "upstreams", name, "hash_on")


def health(draft: Draft) -> Iterator[Fault]:
    """A check can pass, and ends before the next one."""
    for name, upstream in draft.upstreams.items():
        section = upstream.health
        if section is not None and not section.status:
            yield draft.fault("no check could ever pass: write at least one", "upstreams", name, "health", "status")
        if section is not None and section.timeout > section.interval:
            yield draft.fault("is longer than interval: a check ends before the next", "upstreams", name, "health", "timeout")


def times(draft: Draft) -> Iterator[Fault]:
    """Durations are in order, and short enough."""
    for name, upstream in draft.upstreams.items():
        if upstream.dns_refresh > MAX_DNS_REFRESH:
            yield draft.fault("write 30s or less: names may move", "upstreams", name, "dns_refresh")
        if upstream.ejection.shortest > upstream.ejection.longest:
            message = "is longer than longest: write them in order"
            yield draft.fault(message, "upstreams", name, "ejection", "shortest")


def tls(draft: Draft) -> Iterator[Fault]:
    """There is something to speak TLS to, and what is said of it fits together."""
    for name, upstream in draft.upstreams.items():
        if upstream.tls is None:
            continue
        if not any(target.startswith("https:") for target in upstream.targets):
            message = "no target is https://, so this would do nothing: change a target or remove it"
            yield draft.fault(message, "upstreams", name, "tls", key=True)
        yield from _verification(draft, name, upstream.tls)


def _verification(draft: Draft, name: str, section: UpstreamTls) -> Iterator[Fault]:
    if section.server_name is not None and (section.server_name.startswith("[") or not is_host(section.server_name)):
        yield draft.fault("write a host name, without port", "upstreams", name, "tls", "server_name")
    if not section.verify:
        message = "certificates are not verified: anybody on the way can read and change everything; better name a ca_file"
        yield draft.warning(message, "upstreams", name, "tls", "verify")
        if section.ca_file is not None:
            yield draft.fault("nothing is verified against this: remove it or verify", "upstreams", name, "tls", "ca_file")
    if section.key_file is not None and section.cert_file is None:
        yield draft.fault("a key without a certificate: add cert_file", "upstreams", name, "tls", "key_file")


def files(draft: Draft) -> Iterator[Fault]:
    """What TLS to the targets needs can be used."""
    for name, upstream in draft.upstreams.items():
        section = upstream.tls
        if section is None:
            continue
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if section.ca_file is not None:
                load_authorities(context, "ca_file", section.ca_file)
            if section.cert_file is not None:
                load_pair(context, section.cert_file, section.key_file)
        except Unusable as unusable:
            yield draft.fault(str(unusable), "upstreams", name, "tls", unusable.key)
