"""References: what becomes of them, and what becomes a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.faults import Fault
from gateway.config.interpolate import Interpolation
from gateway.config.nodes import to_data
from gateway.config.yaml_nodes import compose

ENVIRON = {"PORT": "8443", "NAME": "world", "EMPTY": "", "NASTY": "}\nroutes: [{public: true}] # ${NAME}", "FLAG": "true"}


def replaced(text: str, folder: Path) -> tuple[Any, list[Fault]]:
    """The data of a YAML text with its references replaced, and what was wrong."""
    root, _ = compose(text)
    assert root is not None
    interpolation = Interpolation(ENVIRON, folder)
    return to_data(interpolation.replace(root)), interpolation.faults


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("v: ${PORT}", 8443),
        ('v: "${PORT}"', "8443"),
        ("v: ${FLAG}", True),
        ("v: hello ${NAME}, ${PORT}", "hello world, 8443"),
        ("v: ${MISSING:-9000}", 9000),
        ("v: ${EMPTY:-full}", "full"),
        ("v: ${EMPTY}", None),
        ('v: "${EMPTY}"', ""),
        ("v: ${MISSING:-}", None),
        ("v: ${MISSING:-a:-b:?c}", "a:-b:?c"),
        ("v: ${NAME:?must be there}", "world"),
        ("v: $$", "$"),
        ("v: $${PORT}", "${PORT}"),
        ("v: pa$word$", "pa$word$"),
        ("v: ${NASTY}", ENVIRON["NASTY"]),
        ("v: |\n  a ${NAME}\n", "a world\n"),
    ],
)
def test_references_are_replaced_in_scalars(tmp_path: Path, text: str, value: object) -> None:
    """A replaced plain scalar resolves like any other; what came in is not looked at again."""
    assert replaced(text, tmp_path) == ({"v": value}, [])


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("${MISSING}", "MISSING is not set: set it, or write ${MISSING:-default}"),
        ("${MISSING:?ask the team}", "MISSING is not set: ask the team"),
        ("${EMPTY:?ask the team}", "EMPTY is empty: ask the team"),
        ("${EMPTY:?}", "EMPTY is empty: set it"),
        ("${}", "not a reference"),
        ("${1A}", "not a reference"),
        ("${A-b}", "not a reference"),
        ("${NAME", "not closed"),
        ("${A:-${NAME}}", "holds another"),
        ("${file:}", "name a file"),
        ("${file:nothing-here}", "No such file"),
        ("${file:.}", "Is a directory"),
        ("${file:large}", "larger than 64 KiB"),
        ("${file:binary}", "not UTF-8"),
    ],
)
def test_what_can_not_be_replaced_is_a_fault_at_its_place(tmp_path: Path, reference: str, part: str) -> None:
    """And the value stays as it stands, so that loading goes on."""
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("large", "binary"):
        (tmp_path / name).chmod(0o600)
    data, faults = replaced(f"first: 1\nv: '{reference}'", tmp_path)
    assert data["v"] == reference
    assert [(fault.mark.line, fault.mark.column) for fault in faults] == [(2, 4)]
    assert part in faults[0].message


@pytest.mark.parametrize(
    ("content", "value"),
    [("s3cret\n", "s3cret"), ("s3cret", "s3cret"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a "), ("null", "null"), ("", "")],
)
def test_a_file_loses_its_last_line_break_only(tmp_path: Path, content: str, value: str) -> None:
    """And is never nothing: a password may be "null"."""
    secret = tmp_path / "secret"
    secret.write_bytes(content.encode())
    secret.chmod(0o600)
    assert replaced("v: ${file:secret}", tmp_path) == ({"v": value}, [])
    assert replaced(f"v: ${{file:{secret}}}", tmp_path / "elsewhere") == ({"v": value}, [])


def test_a_secret_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    """It names the file and not the secret."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    data, faults = replaced("v: ${file:secret}", tmp_path)
    assert data == {"v": "s3cret"}
    assert [(fault.fatal, "s3cret" in fault.message, str(secret) in fault.message) for fault in faults] == [(False, False, True)]
