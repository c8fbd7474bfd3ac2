"""Durations, sizes, flags, numbers, networks: what is taken, and how they are written."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.values import parse_duration, parse_flag, parse_network, parse_size, parse_whole, write_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("30d", 2_592_000_000), ("0s", 0)]
)
def test_a_duration_has_a_unit(text: str, milliseconds: int) -> None:
    """And nothing between number and unit."""
    assert parse_duration(text) == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("value", [30, "30", "", "s", "1.5s", "-1s", "1 s", "1s ", "1S", "1w", "\u0663s", None, True, "9999999999s", "3651d"])
def test_anything_else_is_no_duration(value: object) -> None:
    """A bare 30 could be anything."""
    with pytest.raises(ValueError, match="write a duration"):
        parse_duration(value)


@given(st.integers(0, 3650 * 86_400_000))
def test_a_duration_is_written_as_it_is_read(milliseconds: int) -> None:
    """Without loss."""
    value = timedelta(milliseconds=milliseconds)
    if len(write_duration(value)) <= 11:
        assert parse_duration(write_duration(value)) == value


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1_073_741_824), ("0B", 0)])
def test_a_size_has_a_unit(text: str, size: int) -> None:
    """Binary ones only, so that nobody has to guess."""
    assert parse_size(text) == size


@pytest.mark.parametrize("value", [10, "10", "10MB", "10 MiB", "-1B", "1.5MiB", "", None, True])
def test_anything_else_is_no_size(value: object) -> None:
    """A bare 10 could be anything."""
    with pytest.raises(ValueError, match="write a size"):
        parse_size(value)


@pytest.mark.parametrize("value", ["on", "yes", "1", 1, 0, "True", None, ""])
def test_a_flag_is_true_or_false(value: object) -> None:
    """``public: on`` must not open a route for one reader and not for another."""
    assert (parse_flag(True), parse_flag("true"), parse_flag(False), parse_flag("false")) == (True, True, False, False)
    with pytest.raises(ValueError, match="write true or false"):
        parse_flag(value)


@pytest.mark.parametrize("value", [True, 1.0, "1.0", "1_0", " 1", "0x1f", "", None, "1" * 19])
def test_a_whole_number_is_digits(value: object) -> None:
    """Quoted or not."""
    assert (parse_whole(80), parse_whole("80"), parse_whole("-1")) == (80, 80, -1)
    with pytest.raises(ValueError, match="write a whole number"):
        parse_whole(value)


def test_a_network_has_no_host_bits() -> None:
    """A single address is a network of one."""
    assert parse_network("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert parse_network("::1") == ip_network("::1/128")
    with pytest.raises(ValueError, match="write fd00::/8"):
        parse_network("fd00::1/8")
    for value in ("", "x", 10, None, True, "10.0.0.0/33"):
        with pytest.raises(ValueError, match="write a network"):
            parse_network(value)
