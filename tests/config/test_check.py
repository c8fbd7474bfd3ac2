"""``gateway check``."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import check
from tests.config.writing import SOUND, written


def run(path: Path, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    return check.run(path, environ=environ, out=out, err=err), out.getvalue(), err.getvalue()


def test_a_sound_file_is_ok(tmp_path: Path) -> None:
    """0, and one line on stdout."""
    path = written(tmp_path, SOUND)
    assert run(path) == (0, f"{path}: OK (1 route, 1 upstream)\n", "")
    path = written(tmp_path, f"{SOUND}  - {{path: /b, upstream: legacy}}\n")
    assert run(path)[1] == f"{path}: OK (2 routes, 1 upstream)\n"


def test_faults_go_to_stderr_one_a_line(tmp_path: Path) -> None:
    """78."""
    path = written(tmp_path, f"{SOUND}workers: 0\nstore: x\n")
    code, out, err = run(path)
    assert (code, out) == (78, "")
    assert err.splitlines()[0] == f"{path}:8:10: workers: write at least 1"
    assert len(err.splitlines()) == 2


def test_a_warning_does_not_fail(tmp_path: Path) -> None:
    """It is on stderr, and marked."""
    path = written(tmp_path, "upstreams: {}\n")
    code, out, err = run(path)
    assert (code, out) == (0, f"{path}: OK (0 routes, 0 upstreams)\n")
    assert err.endswith("404 (warning)\n")


def test_no_socket_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a store nor for a name."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    path = written(tmp_path, f"{SOUND}store: redis://nowhere.invalid:6379\n".replace("127.0.0.1:9000", "nowhere.invalid:9000"))
    assert run(path)[0] == 0


def test_config_imports_little(tmp_path: Path) -> None:
    """`gateway check` is meant for every save and every commit: no aiohttp, redis or asyncio is imported for it."""
    path = written(tmp_path, SOUND)
    program = (
        "import sys; from gateway.config.check import run; code = run(sys.argv[1]);"
        "print(*sorted({'aiohttp', 'redis', 'asyncio', 'uvloop', 'cryptography', 'httptools'} & set(sys.modules)));"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.splitlines()[1]) == (0, "", "")
