"""Redis Cluster as data."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from gateway.store.caller import Moved, refusal
from gateway.store.slots import Range, read_elsewhere, read_layout, read_state, slot_of, slot_of_command


@given(st.one_of(st.binary(max_size=60), st.text("{}ab", max_size=8).map(str.encode)))
def test_slots_are_those_of_the_server(key: bytes) -> None:
    """As redis-py counts them, braces anywhere."""
    assert slot_of(key) == key_slot(key)


def test_a_command_lies_where_its_first_key_does() -> None:
    assert slot_of_command(("GET", b"gw:at:{abc}:x")) == slot_of(b"abc")
    assert slot_of_command(("EVALSHA", "digest", 2, b"a{abc}", b"b{abc}", 7)) == slot_of(b"abc")
    assert slot_of_command(("SET", "gw:ia:{q}:", 1, "PX", 5)) == slot_of(b"q")
    assert [slot_of_command(words) for words in [("TIME",), ("PING",), ("EVAL", "return 1", 0)]] == [None] * 3


def test_a_layout_is_read_with_the_name_of_who_was_asked_where_a_node_has_none() -> None:
    reply = [[5461, 16383, [b"10.0.0.2", 7001, b"id", []], [b"10.0.0.3", 7002, b"id", []]], [0, 5460, [None, 7000, b"id"]]]
    assert read_layout(reply, "h") == (Range(0, 5460, "h", 7000), Range(5461, 16383, "10.0.0.2", 7001))
    assert read_layout([[0, 1, [b"", 7, b"id"]], [2, 3, [b"?", 8, b"id"]]], "h") == (Range(0, 1, "h", 7), Range(2, 3, "h", 8))


@pytest.mark.parametrize("reply", [
    hiredis.ReplyError("ERR This instance has cluster support disabled"), None, [[0, 5]], [[0, 5, []]], [[0, 16384, [b"h", 1]]],
    [[0, 9, [b"h", 1]], [9, 10, [b"h", 2]]], [[7, 3, [b"h", 1]]], b"OK", [[0, 5, [b"\xff", 1]]],
])  # fmt: skip
def test_what_is_no_layout_is_refused(reply: object) -> None:
    with pytest.raises(ValueError):
        read_layout(reply, "h")


def test_a_state_is_ok_only_by_saying_so() -> None:
    assert read_state(b"cluster_state:ok\r\ncluster_current_epoch:12\r\n") == (True, 12)
    assert read_state(b"cluster_state:fail\r\ncluster_current_epoch:x\r\n") == (False, 0)
    assert read_state(b"") == (False, 0)


def test_a_refusal_that_points_elsewhere_is_read_and_no_other() -> None:
    assert read_elsewhere("MOVED 3999 127.0.0.1:6381") == ("127.0.0.1", 6381, False)
    assert read_elsewhere("ASK 3999 ::1:6381") == ("::1", 6381, True)
    assert read_elsewhere("MOVED 3999 :6381") == ("", 6381, False)
    for text in ("MOVED 3999", "ERR MOVED x y", "MOVED 3999 h:port", "CLUSTERDOWN Hash slot not served"):
        assert read_elsewhere(text) is None
    moved = refusal("MOVED 3999 10.1.2.3:6381")
    assert isinstance(moved, Moved)
    assert (moved.reason, moved.host) == ("MOVED", "10.1.2.3")
