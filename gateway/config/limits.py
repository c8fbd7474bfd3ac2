"""How rates and quotas are written."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MOST_PER_PERIOD = 1_000_000
MOST_OF_QUOTA = 10**12

RATE_PATTERN = r"^[1-9][0-9]{0,6}/[smhd]$"
QUOTA_PATTERN = r"^[1-9][0-9]{0,12}/(day|month)$"
BY_PATTERN = r"^(client|credential|address|route|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"


def parse_rate(text: str) -> tuple[int, int]:
    """
    Read ``100/s``, ``30/m``, ``500/h`` or ``1000/d``: a number, and seconds.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,6})/([smhd])", text)
    if found is None or int(found[1]) > MOST_PER_PERIOD:
        raise ValueError("write a rate like 100/s, 30/m, 500/h or 1000/d; a million at most")
    return int(found[1]), _SECONDS[found[2]]


def parse_quota(text: str) -> tuple[int, str]:
    """
    Read ``10000/day`` or ``200000/month``: a number, and the word.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,12})/(day|month)", text)
    if found is None or int(found[1]) > MOST_OF_QUOTA:
        raise ValueError("write a quota like 10000/day or 200000/month")
    return int(found[1]), found[2]


def check_rate(text: str) -> str:
    """The text, if it is a rate."""
    parse_rate(text)
    return text


def check_quota(text: str) -> str:
    """The text, if it is a quota."""
    parse_quota(text)
    return text
