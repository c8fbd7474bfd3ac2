"""YAML 1.2 core schema, and not 1.1."""

from __future__ import annotations

import math

import pytest

from gateway.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None),
        ("true", True), ("False", False), ("TRUE", True),
        ("8080", 8080), ("-1", -1), ("+7", 7), ("0777", 777), ("0o17", 15), ("0x1f", 31),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-.inf", -math.inf),
        ("on", "on"), ("NO", "NO"), ("yes", "yes"), ("y", "y"), ("tRUE", "tRUE"), ("nUll", "nUll"),
        ("1:30", "1:30"), ("1_000", "1_000"), ("2026-11-23", "2026-11-23"), ("=", "="), ("<<", "<<"), ("0b11", "0b11"),
        ("9" * 65, "9" * 65), ("9" * 5000, "9" * 5000), ("30s", "30s"), ("\u0663", "\u0663"),
    ],
)  # fmt: skip
def test_a_plain_scalar_resolves_as_yaml_1_2_says(text: str, value: object) -> None:
    """The traps of YAML 1.1 (booleans, octals, sexagesimals, dates) stay text or decimal."""
    found = resolve(text)
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_one_value() -> None:
    """``.nan`` differs from itself, so it stands apart."""
    found = resolve(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)
