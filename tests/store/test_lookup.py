"""What becomes of a reply: a record, none, or an outage; never a guess."""

from __future__ import annotations

import hiredis
import pytest

from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.lookup import Beat, Get


def read(value: bytes) -> int:
    return int(value)


class Heard:
    """Collects what an ask tells."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.complaints: list[tuple[str, str]] = []
        self.clock: list[tuple[float, float]] = []

    def unreadable(self, kind: str, reason: str) -> GatewayError:
        self.complaints.append((kind, reason))
        return StoreUnavailable(reason)

    def get(self) -> Get:
        return Get("token", b"k", read, self.answers.append, self.unreadable)

    def beat(self) -> Beat:
        return Beat(5.0, lambda asked, store: self.clock.append((asked, store)), self.unreadable)


def test_the_command() -> None:
    assert Heard().get().command == b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"


@pytest.mark.parametrize(("reply", "answer"), [(b"7", 7), (None, None)])
def test_a_record_or_none(reply: bytes | None, answer: int | None) -> None:
    heard = Heard()
    heard.get().answer(reply)
    assert heard.answers == [answer]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(hiredis.ReplyError("WRONGTYPE Operation"), "WRONGTYPE", id="error"),
        pytest.param(b"garbage", "corrupt record", id="what the decoder refuses"),
        pytest.param(7, "unexpected reply", id="another type"),
        pytest.param([b"7"], "unexpected reply", id="a list"),
    ],
)
def test_anything_else_is_an_outage(reply: object, reason: str) -> None:
    heard = Heard()
    heard.get().answer(reply)
    assert [type(answer) for answer in heard.answers] == [StoreUnavailable]
    assert heard.complaints == [("token", reason)]


def test_given_up_it_is_abandoned() -> None:
    """So that the connection drops the reply."""
    heard, error = Heard(), StoreUnavailable()
    ask = heard.get()
    ask.fail(error)
    assert ask.abandoned
    assert heard.answers == [error]


def test_a_beat_sets_the_clock_or_complains() -> None:
    heard = Heard()
    heard.beat().answer([b"10", b"500000"])
    heard.beat().answer(hiredis.ReplyError("NOPERM x"))
    assert heard.clock == [(5.0, 10.5)]
    assert heard.complaints == [("clock", "TIME: NOPERM")]
