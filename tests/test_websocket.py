"""RFC 6455 as an intermediary has to know it: handshakes, frame boundaries under any split, Close frames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, MalformedCredentials
from gateway.websocket import Frames, Handshake, accept_value, close_frame, elements, take_token

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def frame(opcode: int, payload: bytes, *, mask: bytes = b"", rsv: int = 0, fin: bool = True, longest: int = 0) -> bytes:
    """A frame; ``longest`` writes its length in a longer form than it needs."""
    size = max(len(payload), longest)
    head = bytes((opcode | rsv << 4 | fin << 7,))
    flag = 0x80 if mask else 0
    if size < 126:
        head += bytes((flag | len(payload),))
    elif size < 65536:
        head += bytes((flag | 126,)) + len(payload).to_bytes(2, "big")
    else:
        head += bytes((flag | 127,)) + len(payload).to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload)) if mask else head + payload


FRAMES = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 3, 7, 9, 10, 11, 15]),
    st.one_of(st.binary(max_size=140), st.sampled_from([b"x" * 125, b"x" * 126, b"\x88" * 65535, b"\x88" * 65536])),
    mask=st.sampled_from([b"", b"\0\0\0\0", b"\x88\x01\xff\x7f"]),
    rsv=st.integers(0, 7),
    fin=st.booleans(),
    longest=st.sampled_from([0, 200, 70000]),
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 2**20), max_size=12))
def test_any_split_of_any_frames_has_the_same_boundaries(sent: list[bytes], cuts: list[int]) -> None:
    """Unmasked, reserved, fragmented, written too long: an end is seen exactly where one is."""
    ends, at = {0}, 0
    for one in sent:
        at += len(one)
        ends.add(at)
    frames, place = Frames(), 0
    for piece in split(b"".join(sent), cuts):
        assert frames.feed(piece) == len(piece)
        place += len(piece)
        assert frames.between == (place in ends)
    assert frames.between
    assert not any((frames.lost, frames.closing))


@given(st.lists(FRAMES, min_size=1, max_size=4), st.lists(st.integers(0, 2**20), max_size=6))
def test_it_stops_at_the_first_end(sent: list[bytes], cuts: list[int]) -> None:
    """So that a Close can take the next frame's place."""
    frames, passed = Frames(), 0
    for piece in split(b"".join(sent), cuts):
        if not piece:
            continue
        used = frames.feed(piece, stop=True)
        passed += used
        if frames.between:
            break
        assert used == len(piece)
    assert passed == len(sent[0])


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_close_is_seen_and_what_follows_is_nothing(one_by_one: bool) -> None:
    frames = Frames()
    first, rest = frame(1, b"hello"), frame(8, b"\x03\xe8") + b"\x81\xff garbage"
    frames.feed(first)
    assert not frames.closing
    for piece in [rest[at : at + 1] for at in range(len(rest))] if one_by_one else [rest]:
        frames.feed(piece)
    assert frames.closed


SMALL = [
    frame(opcode, b"\x88" * size, mask=mask)
    for size in range(40) for mask in (b"", b"\x88\0\x88\0") for opcode in (0, 1, 15)
]  # fmt: skip


@pytest.mark.parametrize("opcode", [1, 8])
@pytest.mark.parametrize("at", [0, 1, 2, 100, len(SMALL)])
def test_runs_of_small_frames_end_where_one_by_one_they_do(opcode: int, at: int) -> None:
    """Whatever stands behind, and a Close among them is seen."""
    sent = [*SMALL[:at], frame(opcode, b"\x03\xe8", rsv=1), *SMALL[at:]]
    for tail in (b"", b"\x81", b"\x82\x85abcdhell"):
        whole, pieces = Frames(), Frames()
        data = b"".join(sent) + tail
        whole.feed(data)
        for number in range(len(data)):
            pieces.feed(data[number : number + 1])
        assert (whole.between, whole.closing, whole.closed) == (pieces.between, pieces.closing, pieces.closed)
        assert whole.closed == (opcode == 8)
        assert whole.between == (opcode == 8 or not tail)


@pytest.mark.parametrize("small", [b"\x82\x80abcd", b"\x82\x00", b"\x82\x9fabcd" + bytes(31)])
def test_x09_a_flood_of_small_frames_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, small: bytes) -> None:
    """One read may hold a hundred thousand; looked at one by one they would stop the worker for 0.2 s."""
    begun = 0
    begin = Frames._begin

    def counting(frames: Frames, data: bytes, at: int) -> int:
        nonlocal begun
        begun += 1
        return begin(frames, data, at)

    monkeypatch.setattr(Frames, "_begin", counting)
    frames = Frames()
    frames.feed(small * (256_000 // len(small)) + b"\x88\x00")
    assert frames.closed
    assert begun < 5


def test_a_close_that_has_begun_is_no_whole_one() -> None:
    frames = Frames()
    frames.feed(frame(8, b"\x03\xe8")[:3])
    assert frames.closing
    assert not frames.closed


def test_a_length_beyond_the_rfc_can_not_be_followed() -> None:
    """Section 5.2: the most significant bit MUST be 0; no end is claimed from there on."""
    frames = Frames()
    frames.feed(frame(1, b"a") + b"\x82\x7f" + b"\xff" * 8 + b"rest")
    assert frames.lost
    assert not frames.between
    frames.feed(frame(8, b""))
    assert not frames.closing


@given(st.integers(0, 65535), st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_a_close_frame_is_read_back(code: int, reason: bytes, mask: bytes) -> None:
    plain, masked = close_frame(code, reason), close_frame(code, reason, mask)
    assert plain == frame(8, code.to_bytes(2, "big") + reason)
    assert masked == frame(8, code.to_bytes(2, "big") + reason, mask=mask)


# --- the opening handshake -----------------------------------------------------------------------------------------


def test_rfc6455_1_3_the_example_of_the_rfc() -> None:
    assert accept_value(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert Handshake(b"GET", {b"keep-alive", b"upgrade"}, [KEY], [b"13"]).accept == accept_value(KEY)


@pytest.mark.parametrize(
    ("method", "connection", "keys", "versions"),
    [
        pytest.param(b"POST", {b"upgrade"}, [KEY], [b"13"], id="no GET"),
        pytest.param(b"GET", {b"close"}, [KEY], [b"13"], id="Connection does not list it"),
        pytest.param(b"GET", {b"upgrade"}, [], [b"13"], id="no key"),
        pytest.param(b"GET", {b"upgrade"}, [KEY, KEY], [b"13"], id="two keys"),
        pytest.param(b"GET", {b"upgrade"}, [b"dGhlIHNhbXBsZSBub25j"], [b"13"], id="a key of 15 bytes"),
        pytest.param(b"GET", {b"upgrade"}, [KEY + b"\n"], [b"13"], id="a key with a line end"),
        pytest.param(b"GET", {b"upgrade"}, [KEY], [], id="no version"),
        pytest.param(b"GET", {b"upgrade"}, [KEY], [b"13", b"13"], id="two versions"),
        pytest.param(b"GET", {b"upgrade"}, [KEY], [b"8"], id="an old version"),
    ],
)
def test_rfc6455_4_2_1_a_malformed_handshake_is_refused(
    method: bytes, connection: set[bytes], keys: list[bytes], versions: list[bytes]
) -> None:
    with pytest.raises(BadRequest):
        Handshake(method, connection, keys, versions)


def test_rfc6455_4_4_another_version_hears_of_ours() -> None:
    with pytest.raises(BadRequest) as refused:
        Handshake(b"GET", {b"upgrade"}, [KEY], [b"25"])
    assert ("Sec-WebSocket-Version", "13") in refused.value.headers


@pytest.mark.parametrize(
    ("offered", "token", "left"),
    [
        ([b"chat", b"v2"], None, [b"chat", b"v2"]),
        ([b"bearer", b"T"], b"T", []),
        ([b"bearer", b"T", b"chat"], b"T", [b"chat"]),
        ([b"chat", b"bearer", b"T", b"v2"], b"T", [b"chat", b"v2"]),
        ([b"bearer"], b"", []),
        ([b"Bearer", b"T"], None, [b"Bearer", b"T"]),
    ],
)
def test_the_token_is_parted_from_the_subprotocols(offered: list[bytes], token: bytes | None, left: list[bytes]) -> None:
    """Names of subprotocols are case-sensitive; `bearer` without a token is an empty one, which is invalid."""
    assert take_token(offered) == (token, left)


def test_two_tokens_are_one_too_many() -> None:
    with pytest.raises(MalformedCredentials):
        take_token([b"bearer", b"T", b"bearer", b"U"])


def test_a_list_may_stand_on_several_lines() -> None:
    assert elements([b"a, b ,,", b"\tc"]) == [b"a", b"b", b"c"]
