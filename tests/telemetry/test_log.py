"""The event log: one line an event, whatever is in it, and never a wait."""

from __future__ import annotations

import json
import logging
import os
import pty
from collections.abc import Iterator

import pytest

from gateway.telemetry.log import MAX_INFO, EventHandler, as_json, readable


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reading and a writing end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def a_record(event: str = "link.lost", name: str = "gateway.store", **facts: object) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.WARNING, "x.py", 1, event, (), None)
    record.facts = facts
    return record


def test_an_event_is_one_json_object_with_its_facts(pipe: tuple[int, int]) -> None:
    """Name, level and time first; facts beside them."""
    EventHandler(pipe[1], as_json).handle(a_record(reason="timeout", retry_in_ms=250))
    line = json.loads(os.read(pipe[0], 65536))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "event": "link.lost", "reason": "timeout", "retry_in_ms": 250}


@pytest.mark.parametrize("form", [as_json, readable])
def test_control_characters_of_a_fact_are_escaped(pipe: tuple[int, int], form: object) -> None:
    """A path with a newline or an escape sequence writes no second line and moves no cursor."""
    EventHandler(pipe[1], form).handle(a_record(path="a\r\nb\x1b[2J\x9b\u2028c"))  # type: ignore[arg-type]
    written = os.read(pipe[0], 65536)
    assert written.count(b"\n") == 1
    assert not any(byte < 0x20 or byte > 0x7E for byte in written.rstrip(b"\n"))


def test_x14_a_flood_of_events_is_sampled_and_what_is_lost_is_counted(pipe: tuple[int, int]) -> None:
    """Strangers can cause an event a request; warnings are ours, and all of them pass."""
    handler = EventHandler(pipe[1], as_json)

    def say(level: int, second: float) -> None:
        record = a_record("request.refused", "gateway.edge")
        record.levelno, record.created = level, second
        handler.handle(record)

    for _ in range(MAX_INFO + 50):
        say(logging.INFO, 7.5)
    assert os.read(pipe[0], 1 << 20).count(b"\n") == MAX_INFO
    say(logging.WARNING, 7.6)
    say(logging.INFO, 8.0)
    warning, info = map(json.loads, os.read(pipe[0], 65536).splitlines())
    assert warning["lines_dropped"] == 50
    assert "lines_dropped" not in info


def test_a_long_event_is_cut_to_what_a_pipe_takes_in_one_piece(pipe: tuple[int, int]) -> None:
    """Lines of several processes never mix."""
    EventHandler(pipe[1], as_json).handle(a_record(reason="x" * 10_000))
    assert len(os.read(pipe[0], 65536)) <= 4096


def test_a_reader_that_stopped_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    """The pipe holds 64 KiB; a thousand lines more neither block nor raise, and the loss is told afterwards."""
    handler = EventHandler(pipe[1], as_json)
    for _ in range(1000):
        handler.handle(a_record(reason="x" * 1000))
    os.read(pipe[0], 1 << 20)
    handler.handle(a_record(event="link.up"))
    line = json.loads(os.read(pipe[0], 65536).splitlines()[-1])
    assert line["event"] == "link.up"
    assert line["lines_dropped"] > 900


def test_the_file_of_others_stays_blocking(pipe: tuple[int, int]) -> None:
    """The mode belongs to the open file, which a terminal shares with the user's shell."""
    EventHandler(pipe[1], as_json)
    assert os.get_blocking(pipe[1])


def test_a_terminal_gets_readable_lines() -> None:
    """Time, level, event, key=value."""
    leader, follower = pty.openpty()
    try:
        EventHandler(follower, readable).handle(a_record(reason="no answer", port=6379))
        shown = os.read(leader, 4096).decode().strip()
    finally:
        os.close(leader)
        os.close(follower)
    assert shown.split(" ", 1)[1] == 'warning link.lost reason="no answer" port=6379'


def test_a_library_s_warning_is_an_event_too() -> None:
    """Its text is a fact, its logger another."""
    record = a_record("lost %s", name="aiohttp.server")
    record.args = ("a peer",)
    handler_facts = json.loads(as_json(record, {"logger": "aiohttp.server", "message": record.getMessage()}))
    assert handler_facts["event"] == "library.reported"
    assert handler_facts["message"] == "lost a peer"


def test_an_exception_is_told_with_its_trace(pipe: tuple[int, int]) -> None:
    """Type, text and the last frames."""
    record = a_record("process.crashed")
    try:
        raise ValueError("boom")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    EventHandler(pipe[1], as_json).handle(record)
    line = json.loads(os.read(pipe[0], 65536))
    assert line["error"] == "ValueError: boom"
    assert "test_log.py" in line["trace"]
