"""
Certificates and keys as files: can TLS use them, for which names and until when.

They are loaded as the gateway will, so that ``gateway check`` finds what start would.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

MAX_FILE = 1024 * 1024
"""Longest file that is read, bytes."""

_NO_CERTIFICATE = "there is no certificate in it: write PEM, -----BEGIN CERTIFICATE-----"


class Unusable(ValueError):
    """TLS can't use the file; the text says why and how to mend it, and holds nothing of the file."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        """``cert_file``, ``key_file``, ``ca_file`` or ``client_ca_file``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says of itself."""

    names: tuple[str, ...]
    """Its DNS names in lower case, ``*.example.com`` among them (RFC 6125)."""
    begins: datetime
    ends: datetime


def read_facts(cert_file: Path) -> Facts:
    """
    Names and life of the first certificate of a file.

    Raises:
        Unusable: There is none.
    """
    from cryptography import x509

    content = _read("cert_file", cert_file)
    try:
        first = x509.load_pem_x509_certificates(content)[0]
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    except ValueError:
        raise Unusable("cert_file", _NO_CERTIFICATE) from None
    return Facts(tuple(name.lower() for name in names), first.not_valid_before_utc, first.not_valid_after_utc)


def load_authorities(context: ssl.SSLContext, key: str, path: Path) -> None:
    """
    Have a context trust the certificates of a file; ``key`` is what the configuration calls it.

    Raises:
        Unusable: The file.
    """
    _read(key, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise Unusable(key, _NO_CERTIFICATE) from None


def load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """
    Have a context show a certificate.

    Args:
        context: Of either end.
        cert_file: The certificate and what leads from it to its authority, PEM.
        key_file: Its key, PEM, without a passphrase; None: it stands in ``cert_file``.

    Raises:
        Unusable: One of the files.
    """
    read_facts(cert_file)
    where = "cert_file" if key_file is None else "key_file"
    key = _read(where, key_file or cert_file)
    if b"PRIVATE KEY-----" not in key:
        raise Unusable(where, "there is no key in it: write PEM, -----BEGIN PRIVATE KEY-----")
    if b"ENCRYPTED" in key:
        raise Unusable(where, "the key has a passphrase that nobody could type: take it off with openssl pkey")
    try:
        context.load_cert_chain(cert_file, key_file, password="")  # a password, so that OpenSSL never asks a terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(where, "the key is another certificate's: it must fit the first one in cert_file") from None
        raise Unusable("cert_file", f"OpenSSL refuses the pair ({error.reason or 'malformed'}): make a new one") from None
    except OSError as error:
        raise Unusable("cert_file", _unreadable(error)) from None


def _read(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise Unusable(key, _unreadable(error)) from None


def _unreadable(error: OSError | ValueError) -> str:
    return f"the file can't be read ({getattr(error, 'strerror', None) or 'no path'})"
