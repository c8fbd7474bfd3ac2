"""``listen.tls``: files that can be used, each fault with its line; and what is only unwise."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from gateway.config.load import load_all
from tests.certificates import Authority
from tests.config.writing import SOUND, faults, loaded, warnings, written

REST = SOUND.split("\n", 1)[1]
PAIR = "{cert_file: server.pem, key_file: server.key}"


def listening(tls: str, more: str = "", oauth: str = "") -> str:
    return f"listen:\n  tls:\n    - {tls}\n{more}{oauth}{REST}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue("gw.test")
    return authority


def test_a_sound_pair_is_taken_with_absolute_paths_and_an_https_issuer(tmp_path: Path, authority: Authority) -> None:
    text = listening(PAIR, "  client_ca_file: ca.pem\n  require_client_cert: true\n")
    found = loaded(tmp_path, text)
    assert found.warnings == []
    listen = found.config.listen
    assert (listen.tls[0].key_file, listen.client_ca_file) == (tmp_path / "server.key", authority.ca_file)
    assert found.config.oauth.issuer == "https://127.0.0.1:8080"


def test_a_pair_that_cannot_be_used_is_refused_at_its_line(tmp_path: Path, authority: Authority) -> None:
    """hardening.md F22; nothing of a file is ever quoted."""
    authority.issue("gw.test", to="other")
    (tmp_path / "nothing").write_text("-----BEGIN NOTHING-----\nSECRET\n")
    (tmp_path / "garbled.key").write_text("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "locked.key").write_bytes(secret)
    for pair, fault in (
        ("{cert_file: server.pem, key_file: other.key}", "3:41: listen.tls[0].key_file: the key is another certificate's"),
        ("{cert_file: gone.pem, key_file: server.key}", "3:19: listen.tls[0].cert_file: the file can't be read (No such file"),
        ("{cert_file: server.pem, key_file: gone.key}", "3:41: listen.tls[0].key_file: the file can't be read (No such file"),
        ("{cert_file: nothing, key_file: server.key}", "3:19: listen.tls[0].cert_file: there is no certificate in it"),
        ("{cert_file: server.key, key_file: server.key}", "3:19: listen.tls[0].cert_file: there is no certificate in it"),
        ("{cert_file: server.pem, key_file: nothing}", "3:41: listen.tls[0].key_file: there is no key in it"),
        ("{cert_file: server.pem, key_file: garbled.key}", "3:19: listen.tls[0].cert_file: OpenSSL refuses the pair"),
        ("{cert_file: server.pem, key_file: locked.key}", "3:41: listen.tls[0].key_file: the key has a passphrase"),
        ('{cert_file: "a\\0b", key_file: server.key}', "3:19: listen.tls[0].cert_file: the file can't be read (no path)"),
        ("{cert_file: server.pem}", '3:7: listen.tls[0]: "key_file" is missing'),
    ):
        found = faults(tmp_path, listening(pair))
        assert len(found) == 1, (pair, found)
        assert found[0].startswith(f"config.yaml:{fault}"), (pair, found)
        assert "SECRET" not in found[0]


def test_a_key_that_is_too_short_is_refused(tmp_path: Path, authority: Authority) -> None:
    short = rsa.generate_private_key(65537, 1024)
    (tmp_path / "server.key").write_bytes(short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (found,) = faults(tmp_path, listening(PAIR))
    assert "listen.tls[0]" in found


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("  require_client_cert: true\n", "4:24: listen.require_client_cert: nobody vouches for client certificates"),
        ("  client_ca_file: gone.pem\n", "4:19: listen.client_ca_file: the file can't be read"),
        ("  client_ca_file: server.key\n", "4:19: listen.client_ca_file: there is no certificate in it"),
    ],
)
def test_client_certificates_need_somebody_who_vouches_for_them(
    tmp_path: Path, authority: Authority, more: str, fault: str
) -> None:
    (found,) = faults(tmp_path, listening(PAIR, more))
    assert found.startswith(f"config.yaml:{fault}"), found


def test_client_certificates_need_tls(tmp_path: Path, authority: Authority) -> None:
    (found,) = faults(tmp_path, f"listen: {{client_ca_file: ca.pem}}\n{REST}")
    assert found.startswith("config.yaml:1:26: listen.client_ca_file: only TLS has client certificates")


def test_what_clients_or_others_on_the_machine_will_notice_is_warned_of(tmp_path: Path, authority: Authority) -> None:
    """It may be meant, so it does not keep the gateway from starting."""
    authority.issue("gw.test", ends=timedelta(hours=-1))
    (tmp_path / "server.key").chmod(0o644)
    found = warnings(tmp_path, listening(PAIR, oauth="oauth: {issuer: 'http://127.0.0.1:8080'}\n"))
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "listen.tls[0].cert_file", "listen.tls[0].key_file", "oauth.issuer",
    ]  # fmt: skip
    assert "has expired on" in found[0]
    assert "everybody on this machine may read the key" in found[1]


def test_a_second_certificate_without_a_name_is_warned_of(tmp_path: Path, authority: Authority) -> None:
    authority.issue(to="nameless")
    found = warnings(tmp_path, listening(f"{PAIR}\n    - {{cert_file: nameless.pem, key_file: nameless.key}}"))
    assert len(found) == 1
    assert "listen.tls[1].cert_file: the certificate holds no DNS name" in found[0]


def test_who_does_not_serve_needs_no_sound_files(tmp_path: Path) -> None:
    """A probe must not fail, and end a gateway that serves with what it has, because a renewal went wrong."""
    path = written(tmp_path, listening(PAIR))
    assert load_all(path, {}, files=False).config.listen.tls
