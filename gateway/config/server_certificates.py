"""
Certificates and keys as files: can a listener use them, and for which names and until when.

Shared by ``gateway check``, which says what is wrong at a line, and by `gateway.ops.certificates`, which serves with them.
"""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

MAX_FILE = 1024 * 1024
"""Longest file that is read, bytes."""
CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has no others."""


class Unusable(ValueError):
    """A listener can't use the file; the text says why and how to mend it, and holds nothing of the file."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        """``cert_file``, ``key_file`` or ``client_ca_file``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says of itself."""

    names: tuple[str, ...]
    """Its DNS names in lower case, ``*.example.com`` among them (RFC 6125)."""
    begins: datetime
    ends: datetime


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
    _load_pair(context, cert_file, key_file)
    if client_ca_file is not None:
        _read("client_ca_file", client_ca_file)
        try:
            context.load_verify_locations(client_ca_file)
        except ssl.SSLError:
            raise Unusable("client_ca_file", "there is no certificate in it: write PEM, -----BEGIN CERTIFICATE-----") from None
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    return context


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
        raise Unusable("cert_file", "there is no certificate in it: write PEM, -----BEGIN CERTIFICATE-----") from None
    return Facts(tuple(name.lower() for name in names), first.not_valid_before_utc, first.not_valid_after_utc)


def is_open_to_all(key_file: Path) -> bool:
    """Whether everybody on this machine may read the file."""
    try:
        return bool(key_file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    read_facts(cert_file)
    key = _read("key_file", key_file)
    if b"PRIVATE KEY-----" not in key:
        raise Unusable("key_file", "there is no key in it: write PEM, -----BEGIN PRIVATE KEY-----")
    if b"ENCRYPTED" in key:
        raise Unusable("key_file", "the key has a passphrase that nobody could type: take it off with openssl pkey")
    try:
        context.load_cert_chain(cert_file, key_file, password="")  # a password, so that OpenSSL never asks a terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable("key_file", "the key is another certificate's: it must fit the first one in cert_file") from None
        raise Unusable("cert_file", f"OpenSSL refuses the pair ({error.reason or 'malformed'}): make a new one") from None
    except OSError as error:
        raise Unusable("cert_file", _unreadable(error)) from None


def _read(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE)
    except OSError as error:
        raise Unusable(key, _unreadable(error)) from None


def _unreadable(error: OSError) -> str:
    return f"the file can't be read ({error.strerror or 'no path'})"
