"""The command line."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``gateway``."""
    raise SystemExit(2)
