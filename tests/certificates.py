"""Certificates for tests: an authority, and what it signs, as PEM files."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """
    Signs certificates.

    Attributes:
        ca_file: What to trust.
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._count = 0
        self.ca_file = directory / f"{name}.pem"
        now = datetime.now(UTC)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._begin(self._name, self._key, now - DAY, now + DAY).add_extension(constraints, critical=True)
        self.ca_file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, *names: str, to: str = "server", ends: timedelta = DAY) -> tuple[Path, Path]:
        """Certificate and key for DNS names, in ``TO.pem`` and ``TO.key``, each swapped in whole."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, to)])
        builder = self._begin(subject, key, min(now, now + ends) - DAY, now + ends)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        cert_file, key_file = self._directory / f"{to}.pem", self._directory / f"{to}.key"
        put(cert_file, certificate.public_bytes(Encoding.PEM))
        put(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert_file, key_file

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
    ) -> x509.CertificateBuilder:
        self._count += 1
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
            .serial_number(self._count).not_valid_before(begins).not_valid_after(ends)
        )  # fmt: skip


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file as certificate managers do: another file takes its name at once."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    os.replace(fresh, path)


def client_context(ca_file: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client that verifies, perhaps with a certificate of its own."""
    context = ssl.create_default_context(cafile=ca_file)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context
