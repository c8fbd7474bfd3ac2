"""
What a listener needs to speak TLS with certificates and keys of files.

Shared by ``gateway check``, which says what is wrong at a line, and by `gateway.ops.certificates`, which serves with them.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from gateway.config.certificates import load_authorities, load_pair

CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has no others."""


def server_context(cert_file: Path, key_file: Path, client_ca_file: Path | None, *, require: bool) -> ssl.SSLContext:
    """
    What a listener needs to speak TLS 1.2 and 1.3 with this certificate.

    Args:
        cert_file: The certificate and what leads from it to its authority, PEM.
        key_file: Its key, PEM, without a passphrase.
        client_ca_file: Authorities of client certificates; None asks for none.
        require: Whether a client must show one.

    Raises:
        Unusable: One of the files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, cert_file, key_file)
    if client_ca_file is not None:
        load_authorities(context, "client_ca_file", client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    return context
