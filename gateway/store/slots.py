"""Redis Cluster as data: which slot a command belongs to, who serves which slots, where a refusal points.  No I/O."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.store.resp import Reply, Word

SLOTS = 16_384
_KEYLESS = frozenset({"PING", "TIME", "INFO", "CLUSTER", "WAIT"})
_SCRIPTS = frozenset({"EVAL", "EVALSHA"})


class Range(NamedTuple):
    """Slots that one primary serves, the last one included."""

    first: int
    last: int
    host: str
    port: int


class Elsewhere(NamedTuple):
    """What MOVED and ASK say."""

    host: str
    port: int
    once: bool
    """ASK: for this command alone, as the slot is on its way there."""


def slot_of(key: bytes) -> int:
    """The slot of a key: of what stands between its first ``{`` and the next ``}``, unless that is nothing."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) % SLOTS


def slot_of_command(words: Sequence[Word]) -> int | None:
    """
    The slot of a command's first key; None for one without keys.

    All keys of a command lie in one slot (house.md, "Keys and slots"); the server refuses what does not.
    """
    name = str(words[0])
    if name in _KEYLESS:
        return None
    at = 1
    if name in _SCRIPTS:
        if not int(words[2]):
            return None
        at = 3
    key = words[at]
    return slot_of(key if isinstance(key, bytes) else str(key).encode())


def read_layout(reply: Reply, asked: str) -> tuple[Range, ...]:
    """
    Read the reply to CLUSTER SLOTS.

    Args:
        reply: As the server sent it.
        asked: The host that was asked, which is meant by one that does not know its own name.

    Raises:
        ValueError: It is anything else, or somebody's slots overlap.
    """
    ranges = []
    try:
        for first, last, primary, *_replicas in reply:
            host = bytes(primary[0] or b"").decode("ascii")
            ranges.append(Range(int(first), int(last), host if host not in ("", "?") else asked, int(primary[1])))
    except (TypeError, IndexError) as error:
        raise ValueError("not a layout") from error
    ranges.sort()
    if any(one.last >= two.first for one, two in pairwise(ranges)):
        raise ValueError("slots overlap")
    if any(not 0 <= one.first <= one.last < SLOTS for one in ranges):
        raise ValueError("no such slots")
    return tuple(ranges)


def read_state(reply: Reply) -> tuple[bool, int]:
    """Read the reply to CLUSTER INFO: whether the node serves its slots, and the epoch of what it knows."""
    lines = dict(line.split(":", 1) for line in bytes(reply or b"").decode("ascii", "replace").splitlines() if ":" in line)
    epoch = lines.get("cluster_current_epoch", "0")
    return lines.get("cluster_state") == "ok", int(epoch) if epoch.isdigit() else 0


def read_elsewhere(text: str) -> Elsewhere | None:
    """Read an error reply like ``MOVED 3999 127.0.0.1:6381``; None when it is another one."""
    words = text.split()
    if len(words) != 3 or words[0] not in ("MOVED", "ASK"):
        return None
    host, _, port = words[2].rpartition(":")
    return Elsewhere(host, int(port), words[0] == "ASK") if port.isdigit() else None
