"""Certificates by name, and their renewal while the gateway serves."""

from __future__ import annotations

import asyncio
import os
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config.model import Listen
from gateway.errors import ConfigFault
from gateway.ops.certificates import Certificates
from gateway.telemetry.metrics import Registry, merge
from tests.certificates import DAY, Authority, client_context, put


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def serving(*pairs: tuple[Path, Path], **listen: object) -> Certificates:
    sections = [{"cert_file": cert_file, "key_file": key_file} for cert_file, key_file in pairs]
    return Certificates(Listen.model_validate({"tls": sections, **listen}))


class Connection:
    """A TLS connection in memory, after its handshake."""

    def __init__(self, server: ssl.SSLContext, authority: Authority, name: str | None) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(authority.ca_file)
        context.check_hostname = False
        self.client = context.wrap_bio(down, up, server_hostname=name)
        self.server = server.wrap_bio(up, down, server_side=True)
        waiting = [self.client, self.server]
        while waiting:
            side = waiting.pop(0)
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(side)

    @property
    def shown(self) -> str:
        """The common name of the certificate that the client was shown."""
        subject = (self.client.getpeercert() or {})["subject"]
        return str(subject[0][0][1])  # type: ignore[index]

    def talk(self) -> None:
        self.client.write(b"hi")
        assert self.server.read() == b"hi"
        self.server.write(b"ho")
        assert self.client.read() == b"ho"


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.test", "exact"), ("A.TEST", "exact"), ("b.test", "second"), ("x.b.test", "second"), ("special.b.test", "exact"),
        ("x.y.b.test", "exact"), ("nowhere.test", "exact"), ("c.test", "second"), (None, "exact"),
    ],
)  # fmt: skip
def test_the_name_that_a_client_asks_for_chooses(authority: Authority, asked: str | None, shown: str) -> None:
    """An exact name before a wildcard, which stands for one label; the first certificate where none fits."""
    first = authority.issue("a.test", "special.b.test", to="exact")
    second = authority.issue("b.test", "*.b.test", "C.Test", "a.test", to="second")
    assert Connection(serving(first, second).context(), authority, asked).shown == shown


def test_a_renewed_certificate_is_shown_once_it_has_come_to_rest(authority: Authority) -> None:
    """Two looks see the same; live connections go on with what they began with."""
    certificates = serving(authority.issue("a.test"), authority.issue("b.test", to="other"))
    live = Connection(certificates.context(), authority, "a.test")
    authority.issue("b.test", to="other")
    before = Connection(certificates.context(), authority, "b.test").client.getpeercert(binary_form=True)
    certificates.look()
    assert Connection(certificates.context(), authority, "b.test").client.getpeercert(binary_form=True) == before
    certificates.look()
    assert Connection(certificates.context(), authority, "b.test").client.getpeercert(binary_form=True) != before
    live.talk()


def test_names_may_move_between_certificates(authority: Authority) -> None:
    certificates = serving(authority.issue("a.test", to="one"), authority.issue("b.test", to="two"))
    authority.issue("b.test", "a.test", to="one")
    authority.issue("new.test", to="two")
    for _ in range(2):
        certificates.look()
    names = {"a.test": "one", "b.test": "one", "new.test": "two"}
    assert {name: Connection(certificates.context(), authority, name).shown for name in names} == names


def test_a_swapped_symlink_counts_as_a_change(authority: Authority, tmp_path: Path) -> None:
    """As Kubernetes renews a mounted secret: ..data points to another folder."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        for path, name in zip(authority.issue("a.test", to=version), ("tls.crt", "tls.key"), strict=True):
            path.rename(tmp_path / version / name)
    (tmp_path / "data").symlink_to("v1")
    certificates = serving((tmp_path / "data" / "tls.crt", tmp_path / "data" / "tls.key"))
    (tmp_path / "fresh").symlink_to("v2")
    os.replace(tmp_path / "fresh", tmp_path / "data")
    for _ in range(2):
        certificates.look()
    assert Connection(certificates.context(), authority, "a.test").shown == "v2"


async def test_a_broken_renewal_keeps_what_was_and_is_reported_once(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """hardening.md F22; the other pairs are renewed all the same, and so is this one once it is mended."""
    certificates = serving(authority.issue("a.test", to="one"), authority.issue("b.test", to="two"))
    registry = Registry()
    certificates.watch(asyncio.get_running_loop(), registry)
    certificates.close()
    first = Connection(certificates.context(), authority, "a.test").client.getpeercert(binary_form=True)
    put(tmp_path / "one.key", b"-----BEGIN PRIVATE KEY-----\nSECRET\n")
    (tmp_path / "two.pem").unlink()
    with caplog.at_level("INFO", "gateway.tls"):
        for _ in range(5):
            certificates.look()
    assert [record.message for record in caplog.records] == ["tls.reload_failed"] * 2
    assert "SECRET" not in str([record.__dict__ for record in caplog.records])
    failures = registry.snapshot()["gateway_tls_reload_failures_total"]["series"]
    assert failures == {"": 2}
    assert Connection(certificates.context(), authority, "a.test").client.getpeercert(binary_form=True) == first
    assert Connection(certificates.context(), authority, "b.test").shown == "two"
    authority.issue("a.test", to="one")
    for _ in range(2):
        certificates.look()
    assert Connection(certificates.context(), authority, "a.test").client.getpeercert(binary_form=True) != first


async def test_the_end_of_each_certificate_is_a_metric_and_the_earliest_of_all_workers_counts(authority: Authority) -> None:
    """A worker that could not renew is the one to hear of."""
    pages = []
    for days in (3, 1):
        registry = Registry()
        certificates = serving(authority.issue("a.test", ends=days * DAY))
        certificates.watch(asyncio.get_running_loop(), registry)
        certificates.close()
        pages.append(registry.snapshot())
    (early,) = pages[1]["gateway_certificate_expires_timestamp_seconds"]["series"].items()
    assert early[0] == 'file="server.pem"'
    series = merge([*pages, pages[0]])["gateway_certificate_expires_timestamp_seconds"]["series"]
    assert series == dict([early])
    (late,) = pages[0]["gateway_certificate_expires_timestamp_seconds"]["series"].values()
    assert late - early[1] >= timedelta(days=1).total_seconds()


def test_a_pair_that_cannot_be_used_at_start_is_a_fault_of_the_configuration(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="key_file"):
        serving((authority.issue("a.test")[0], tmp_path / "gone.key"))
