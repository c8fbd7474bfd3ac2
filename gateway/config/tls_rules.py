"""What ``listen.tls`` may say, and whether the files that it names can be used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.config.certificates import Unusable, read_facts
from gateway.config.draft import Draft
from gateway.config.exposure import is_open_to_all
from gateway.config.faults import Fault
from gateway.config.model import Certificate
from gateway.config.server_certificates import server_context


def tls(draft: Draft) -> Iterator[Fault]:
    """Client certificates need TLS and somebody who vouches for them."""
    listen = draft.config.listen
    if listen.client_ca_file is not None and not listen.tls:
        message = "only TLS has client certificates: add listen.tls or remove this"
        yield draft.fault(message, "listen", "client_ca_file")
    if listen.require_client_cert and listen.client_ca_file is None:
        message = "nobody vouches for client certificates: add listen.client_ca_file or remove this"
        yield draft.fault(message, "listen", "require_client_cert")


def issuer_speaks_tls(draft: Draft) -> Iterator[Fault]:
    """A listener of TLS is not reached by http."""
    if draft.config.listen.tls and draft.config.oauth.issuer.startswith("http:") and draft.is_set("oauth", "issuer"):
        yield draft.warning("listen speaks TLS only, so clients reach it by https://", "oauth", "issuer")


def files(draft: Draft) -> Iterator[Fault]:
    """Each pair can be read and belongs together; and what will be a nuisance soon."""
    listen = draft.config.listen
    for position, pair in enumerate(listen.tls):
        try:
            server_context(pair.cert_file, pair.key_file, listen.client_ca_file, require=False)
        except Unusable as unusable:
            if unusable.key != "client_ca_file":
                yield draft.fault(str(unusable), "listen", "tls", position, unusable.key)
            elif not position:
                yield draft.fault(str(unusable), "listen", unusable.key)
        else:
            yield from _soon(draft, position, pair)


def _soon(draft: Draft, position: int, pair: Certificate) -> Iterator[Fault]:
    facts, now = read_facts(pair.cert_file), datetime.now(UTC)
    if facts.ends < now:
        message = f"the certificate has expired on {facts.ends:%Y-%m-%d}: renew it, or clients will refuse it"
        yield draft.warning(message, "listen", "tls", position, "cert_file")
    if facts.begins > now:
        message = f"the certificate begins on {facts.begins:%Y-%m-%d} only: until then clients will refuse it"
        yield draft.warning(message, "listen", "tls", position, "cert_file")
    if not facts.names and len(draft.config.listen.tls) > 1:
        message = "the certificate holds no DNS name, so no client can ask for it: it serves as the first one only"
        if position:
            yield draft.warning(message, "listen", "tls", position, "cert_file")
    if is_open_to_all(pair.key_file):
        message = "everybody on this machine may read the key: chmod 600, or 640 with a group of its own"
        yield draft.warning(message, "listen", "tls", position, "key_file")
