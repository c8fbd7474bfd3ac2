"""Which headers are whose."""

from __future__ import annotations

import pytest

from gateway.edge import head
from gateway.header_names import bars_request_edit, bars_response_edit


def test_whatever_no_client_may_say_no_route_may_but_credentials_and_its_back_end_s_own() -> None:
    """Each name that the edge treats apart is barred, or its value is the operator's to know."""
    operator_s = {"authorization", "content-type", *(name.decode() for name in head.SPOOFABLE)}
    for name in head._SPECIAL:
        assert bool(bars_request_edit(name.decode())) == (name.decode() not in operator_s), name


@pytest.mark.parametrize("name", ["X_Client_Id", "x_forwarded_for", "X-Forwarded-Uri", "X-Gateway-X", "HOST", "Content_Length"])
def test_h01_no_disguise_helps(name: str) -> None:
    """In any letters, with ``_`` for ``-``."""
    assert bars_request_edit(name)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Keep-Alive", "Trailer", "Upgrade", "TE"])
def test_no_answer_s_framing_is_a_route_s(name: str) -> None:
    """Both ways."""
    assert bars_response_edit(name)
    assert bars_request_edit(name)


@pytest.mark.parametrize("name", ["Host", "X-Client-Id", "Via", "Set-Cookie", "Server", "Strict-Transport-Security"])
def test_in_answers_all_others_may_be_changed(name: str) -> None:
    """They say nothing of the caller there."""
    assert not bars_response_edit(name)
