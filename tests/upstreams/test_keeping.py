"""When a fetched token is shown, renewed, given up; when its endpoint is left alone."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamCredentialFailed, UpstreamCredentialTimeout
from gateway.oauth.client_credentials import Granted
from gateway.upstreams.keeping import LONGEST_PAUSE, MARGIN, REST, Keeping

LINE = b"Authorization: Bearer abc\r\n"


def kept(life: float = 3600.0, at: float = 100.0) -> Keeping:
    keeping = Keeping()
    keeping.got(Granted("abc", life), at)
    return keeping


@pytest.mark.parametrize("life", [1.0, 10.0, 60.0, 3600.0])
def test_a_token_is_shown_until_shortly_before_its_end_and_renewed_ahead(life: float) -> None:
    keeping = kept(life)
    end = 100 + life - min(MARGIN, life / 10)
    assert (keeping.find(100), keeping.find(end - 0.01), keeping.find(end)) == (LINE, LINE, b"")
    assert not keeping.is_due(100 + (end - 100) * 0.79)
    assert keeping.is_due(100 + (end - 100) * 0.81)


def test_without_any_there_is_nothing_to_wait_for() -> None:
    keeping = Keeping()
    assert (keeping.find(0), keeping.is_due(0), keeping.refusal(0)) == (b"", True, None)


def test_an_endpoint_that_fails_is_left_alone_for_longer_and_longer() -> None:
    """And at once no more after it answered."""
    keeping, now, pauses = Keeping(), 50.0, []
    for _ in range(6):
        pauses.append(keeping.failed(UpstreamCredentialFailed, "why", now))
        assert not keeping.is_due(now + pauses[-1] - 0.01)
        refusal = keeping.refusal(now + pauses[-1] - 0.01)
        assert isinstance(refusal, UpstreamCredentialFailed)
        assert refusal.reason == "why"
        now += pauses[-1]
        assert keeping.is_due(now)
        assert keeping.refusal(now) is None
    assert pauses == [1.0, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    keeping.got(Granted("abc", 10), now)
    assert keeping.refusal(now) is None
    assert keeping.failed(UpstreamCredentialTimeout, "slow", now) == 1.0


def test_a_renewal_that_fails_leaves_what_lives() -> None:
    """Until its end, and with pauses between the attempts."""
    keeping = kept(100)
    keeping.failed(UpstreamCredentialTimeout, "slow", 180)
    assert keeping.find(190) == LINE
    assert (keeping.is_due(180.5), keeping.is_due(181)) == (False, True)
    assert isinstance(keeping.refusal(180.5), UpstreamCredentialTimeout)


def test_a_refused_token_is_given_up() -> None:
    """Once it is a while old: what was fetched just now would be no better."""
    keeping = kept()
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + LINE + b"\r\n"
    assert not keeping.refused(head, 100 + REST - 0.01)
    assert keeping.find(100 + REST) == LINE
    assert keeping.refused(head, 100 + REST)
    assert keeping.find(100 + REST) == b""
    assert keeping.is_due(100 + REST)
    assert not keeping.refused(head, 100 + REST)


def test_the_token_before_gives_up_no_later_one() -> None:
    """An answer that was long under way."""
    keeping = kept()
    keeping.got(Granted("new", 3600), 150)
    assert not keeping.refused(LINE, 500)
    assert not keeping.refused(b"", 500)
    assert keeping.find(500) == b"Authorization: Bearer new\r\n"
