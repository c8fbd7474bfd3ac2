"""
The event log: what happened to the gateway itself, one line an event on stderr (requests go to the access log on stdout).

An event has a constant name (noun.past), its facts are fields with the unit in the key:

    log = logging.getLogger("gateway.store")
    log.warning("link.lost", extra={"facts": {"reason": "timeout", "retry_in_ms": 250}})

On a terminal a line is for people, elsewhere it is JSON.  A reader that stopped reading costs lines, never the gateway:
what does not fit is dropped and counted, and the next line that passes says how many were lost.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Facts = Mapping[str, object]
Format = Callable[[logging.LogRecord, Facts], str]

MAX_INFO = 200
"""Events a second, below warnings, that are written; the others are counted."""
_MAX_LINE = 4096
"""Bytes; a pipe takes up to PIPE_BUF (4096 on Linux) in one piece, so lines of several processes never mix."""


class EventHandler(logging.Handler):
    """Writes each event as one line to a file descriptor, without ever waiting for its reader."""

    def __init__(self, fd: int, form: Format) -> None:
        super().__init__()
        self._fd = _private(fd)
        self._form = form
        self._dropped = 0
        self._second = 0
        self._left = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write or drop one event."""
        if record.levelno <= logging.INFO and not self._may_say(int(record.created)):
            self._dropped += 1
            return
        facts = dict(facts_of(record))
        if self._dropped:
            facts["lines_dropped"] = self._dropped
        line = self._form(record, facts).encode("utf-8", "backslashreplace")
        if len(line) >= _MAX_LINE:
            line = line[: _MAX_LINE - 4].decode("utf-8", "ignore").encode() + b"..."
        try:
            os.write(self._fd, line + b"\n")
        except OSError:
            self._dropped += 1
        else:
            self._dropped = 0

    def _may_say(self, second: int) -> bool:
        """Whether this second has room for an event that strangers can cause, as a refused request is one (X14)."""
        if second != self._second:
            self._second, self._left = second, MAX_INFO
        self._left -= 1
        return self._left >= 0


class Sparingly:
    """Says an event at most once a second, with how often it happened since: a flood of them may not become a flood of lines."""

    def __init__(self, log: logging.Logger, event: str) -> None:
        self._log = log
        self._event = event
        self._again = 0.0
        self._unsaid = 0

    def say(self, now: float, **facts: object) -> None:
        """It happened, at ``now`` (event-loop seconds)."""
        self._unsaid += 1
        if now >= self._again:
            self._again = now + 1.0
            self._log.warning(self._event, extra={"facts": {**facts, "times": self._unsaid}})
            self._unsaid = 0


def configure(*, fd: int = 2, level: int = logging.INFO) -> None:
    """Send the events of this process to ``fd``; what other libraries warn of goes there too."""
    handler = EventHandler(fd, readable if os.isatty(fd) else as_json)
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(level)
    logging.captureWarnings(True)


def facts_of(record: logging.LogRecord) -> Facts:
    """The fields of an event.  A library's record has no event name: its logger's name and text are the facts."""
    if record.name == "gateway" or record.name.startswith("gateway."):
        facts: dict[str, object] = dict(getattr(record, "facts", {}))
    else:
        facts = {"logger": record.name, "message": record.getMessage()}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        facts["error"] = f"{type(error).__name__}: {error}"
        facts["trace"] = "".join(traceback.format_tb(error.__traceback__, limit=-8))
    return facts


def as_json(record: logging.LogRecord, facts: Facts) -> str:
    """One JSON object, ASCII only, so that no control character of a fact reaches a terminal or splits a line."""
    head = {"time": _time(record, "milliseconds"), "level": record.levelname.lower(), "event": _event(record)}
    return json.dumps({**head, **facts}, default=str)


def readable(record: logging.LogRecord, facts: Facts) -> str:
    """For people at a terminal: time, level, event, then ``key=value``; control characters are escaped."""
    fields = " ".join(f"{key}={_plain(value)}" for key, value in facts.items() if key != "trace")
    clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
    line = f"{clock} {record.levelname.lower():<7} {_event(record)} {fields}".rstrip()
    return f"{line}\n{facts['trace']}".rstrip() if "trace" in facts else line


def _event(record: logging.LogRecord) -> str:
    return record.msg if isinstance(record.msg, str) and record.name.partition(".")[0] == "gateway" else "library.reported"


def _time(record: logging.LogRecord, precision: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isascii() and text.isprintable() and " " not in text and text else json.dumps(text)


def _private(fd: int) -> int:
    """
    A descriptor of our own for the same pipe or terminal, in non-blocking mode.

    O_NONBLOCK belongs to the open file, which a pipe or terminal shares with other processes: setting it on ``fd`` itself
    would change the user's shell.  Where a new one can't be had (a socket, a file), ``fd`` is used: files don't block.
    """
    kind = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)):
        return fd
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return fd
