"""One line a request, whatever the request says and however slow the reader is."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.oauth.tokens import mint_access, mint_code, mint_initial
from gateway.telemetry import accesslog
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.metrics import Registry

RECORD = {
    "peer": "192.0.2.1", "method": "GET", "path": "/x", "status": 200, "seconds": 0.0123, "route": "/x", "client_id": "gwc_me",
    "upstream": "http://127.0.0.1:1", "request_id": "a-1", "received": 1, "sent": 2, "refusal": "",
}  # fmt: skip


@pytest.fixture
def pipe() -> Any:
    """Both ends of a pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def written(pipe: tuple[int, int], *records: dict[str, object], readable: bool = False) -> bytes:
    reader, writer = pipe
    log = AccessLog(writer, Registry(), readable=readable, wall=lambda: 1_700_000_000.5)
    for record in records:
        log.add(**{**RECORD, **record})  # type: ignore[arg-type]
    log.close()
    os.close(writer)
    with os.fdopen(os.dup(reader), "rb") as end:
        return end.read()


def test_a_line_of_json(pipe: tuple[int, int]) -> None:
    """All that is known of the request, its time in UTC with milliseconds."""
    assert orjson.loads(written(pipe, {})) == {
        "time": "2023-11-14T22:13:20.500Z", "event": "request", "request_id": "a-1", "peer": "192.0.2.1", "method": "GET",
        "path": "/x",
        "status": 200, "duration_ms": 12.3, "route": "/x", "client_id": "gwc_me", "upstream": "http://127.0.0.1:1", "bytes_in": 1,
        "bytes_out": 2, "refusal": "",
    }  # fmt: skip


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("path", ["/a\nb", '/a"b', "/a\r\n{}", "/\x1b[31m", "/\xe4\x85\u2028"])
def test_x14_a_request_writes_one_line(pipe: tuple[int, int], path: str, *, readable: bool) -> None:
    """Log injection: neither a second line nor a terminal's escape."""
    text = written(pipe, {"path": path}, {}, readable=readable)
    assert text.count(b"\n") == 2
    assert text.endswith(b"\n")
    assert b"\x1b" not in text
    assert b"\r" not in text


def test_a_readable_line(pipe: tuple[int, int]) -> None:
    """For a terminal: what a person wants to know."""
    assert written(pipe, {"refusal": "invalid_token", "status": 401, "upstream": ""}, readable=True) == (
        b"22:13:20  401  GET /x  12.3 ms  client_id=gwc_me  refusal=invalid_token  request_id=a-1\n"
    )


def test_lines_keep_their_order_over_batches(tmp_path: Path) -> None:
    """A batch is handed over when it is full."""
    with (tmp_path / "log").open("wb") as file:
        log = AccessLog(file.fileno(), Registry(), readable=False)
        for number in range(600):
            log.add(**{**RECORD, "request_id": str(number)})  # type: ignore[arg-type]
        log.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [orjson.loads(line)["request_id"] for line in lines] == [str(number) for number in range(600)]


def test_lines_of_several_processes_never_mix(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe takes PIPE_BUF bytes in one piece, so each write is no longer and ends with a line; a longer line stands alone."""
    pieces: list[bytes] = []
    monkeypatch.setattr("gateway.telemetry.accesslog.os.write", lambda _, piece: pieces.append(piece) or len(piece))
    log = AccessLog(pipe[1], Registry(), readable=False)
    for number in range(100):
        log.add(**{**RECORD, "path": "/" + "x" * (6_000 if number == 50 else 7 * number)})  # type: ignore[arg-type]
    log.close()
    assert all(piece.endswith(b"\n") and (len(piece) <= 4096 or piece.count(b"\n") == 1) for piece in pieces)
    assert len(b"".join(pieces).splitlines()) == 100 > len(pieces)


def test_a_slow_reader_costs_lines_and_nothing_else(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the pipe: `add` and `flush` return, and what is too much is dropped and counted."""
    monkeypatch.setattr(accesslog, "MAX_WAITING", 200_000)
    _, writer = pipe
    registry = Registry()
    log = AccessLog(writer, registry, readable=False)
    for _ in range(5_000):
        log.add(**RECORD)  # type: ignore[arg-type]
    dropped = registry.counter("gateway_access_log_dropped_total", "")
    assert 0 < dropped.value < 5_000
    assert log._queued < 300_000
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(pipe[0], 65536), b"")])
    reader.start()
    log.close()
    os.close(writer)
    reader.join(5)
    assert not reader.is_alive()


def test_x14_a_full_disk_is_counted_and_survived() -> None:
    """/dev/full refuses every byte."""
    registry = Registry()
    descriptor = os.open("/dev/full", os.O_WRONLY)
    log = AccessLog(descriptor, registry, readable=False)
    for _ in range(3):
        log.add(**RECORD)  # type: ignore[arg-type]
    log.close()
    os.close(descriptor)
    assert registry.counter("gateway_access_log_dropped_total", "").value == 3


@pytest.mark.parametrize("token", [
    mint_access("abc", bytes(32)), mint_initial("abc", bytes(32)), mint_code("abc", bytes(32)),
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xIn0.c2lnbmF0dXJl",
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6",
])  # fmt: skip
def test_o31_a_token_in_a_path_is_masked(pipe: tuple[int, int], token: str) -> None:
    """It is the client's mistake to put it there, and none of the log's business."""
    text = written(pipe, {"path": f"/nope/{token}/x"})
    assert token.encode() not in text
    assert orjson.loads(text)["path"] == "/nope/masked/x"
