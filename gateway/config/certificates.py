"""Are these files what TLS needs?  They are loaded as the gateway will, so that ``gateway check`` finds what start would."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


def authorities_fault(path: Path) -> str:
    """What is wrong with a file of trusted certificates; empty when nothing is."""
    if not os.access(path, os.R_OK) or path.is_dir():
        return "can't read this file"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return "holds no certificates in PEM, or a broken one"
    return ""


def pair_fault(cert_file: Path, key_file: Path | None) -> tuple[str, str]:
    """What is wrong with a certificate and its key, and at which of ``cert_file`` and ``key_file``; empty when nothing is."""
    for place, path in (("cert_file", cert_file), ("key_file", key_file)):
        if path is not None and (not os.access(path, os.R_OK) or path.is_dir()):
            return "can't read this file", place
    if b"-----BEGIN CERTIFICATE-----" not in cert_file.read_bytes():
        return "holds no certificate in PEM", "cert_file"
    try:
        # An empty password, so that nobody is asked for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:
        where = "key_file" if key_file is not None else "cert_file"
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is not the one of the certificate", where
        return "the certificate or the key can't be used: both have to be PEM, the key without a password", where
    except (OSError, ValueError):
        return "the certificate or the key can't be used: both have to be PEM, the key without a password", "cert_file"
    return "", ""
