"""What matters most of the data plane's tests, once more over TLS, whose transports pause, end and abort in ways of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.server_certificates import server_context
from tests.certificates import Authority, client_context
from tests.edge.rig import Rig, get
from tests.edge.test_downstream import (  # noqa: F401 - pytest collects them here too, with this file's rig
    test_a_body_of_exactly_the_limit_passes,
    test_a_client_that_disconnects_takes_its_exchange_along,
    test_a_large_body_that_came_while_deciding_is_sent_once_and_whole,
    test_a_slow_client_leaves_no_paused_connection_in_the_pool,
    test_a_slow_reader_of_the_last_answer_is_not_kept_for_ever,
    test_a_stalled_answer_is_cut,
    test_an_error_after_continue_ends_the_connection,
    test_an_idle_connection_is_closed_without_a_word,
    test_bodies_arrive_whole_both_ways,
    test_connection_close_is_obeyed,
    test_f10_an_upstream_that_stays_silent_is_504,
    test_f27_an_upstream_that_reads_no_body_pauses_the_client,
    test_lingering_ends,
    test_s14_continue_is_said_after_the_permit_and_before_the_body,
    test_s16_a_refusal_survives_a_large_body,
    test_s16_a_refused_body_never_becomes_a_request,
    test_s18_pipelined_answers_come_in_order,
    test_s18_ten_thousand_pipelined_requests_stay_bounded,
    test_s20_http10_closes_unless_told_otherwise,
    test_ten_thousand_pipelined_refusals_do_not_recurse,
    test_what_arrives_while_deciding_waits_its_turn,
    test_x01_a_head_that_takes_too_long_is_408,
    test_x02_a_body_that_stalls_is_408,
    test_x03_a_client_that_never_reads_is_paused,
    test_x05_a_body_over_the_limit_is_413,
)
from tests.edge.test_upstream import (  # noqa: F401
    test_an_answer_of_unknown_length_is_framed_for_its_client,
    test_f12_a_truncated_answer_is_cut,
    test_f12_an_answer_until_close_that_is_reset_is_cut,
    test_s30_an_answer_to_head_has_no_body,
)

MIB = 1024 * 1024


@pytest.fixture
async def unstarted(tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig whose edge and clients speak TLS."""
    authority = Authority(tmp_path)
    context = server_context(*authority.issue("gw.test"), None, require=False)
    with (tmp_path / "access.log").open("wb+") as log:
        rig = Rig(log)
        rig.tls, rig.client_tls = lambda: context, client_context(authority.ca_file)
        yield rig
        await rig.stop()
        assert rig.faults == []
        assert rig.origin.failure is None


async def test_x03_a_client_that_reads_slowly_pauses_the_upstream(rig: Rig) -> None:
    """The answer waits where it is made; once the client reads, all of it comes, decrypted to the byte."""
    body = bytes(range(256)) * (64 * MIB // 256)
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    client, down = await rig.connected()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(get("/public/x"))
    await rig.eventually(lambda: down.write_paused)
    assert down.transport.get_write_buffer_size() < MIB
    assert down._exchange is not None
    assert down._exchange.sent < len(body)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert (await client.response()).body == body
