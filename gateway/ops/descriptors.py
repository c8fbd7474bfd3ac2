"""File descriptors: as many as the configured connections need, or fewer connections where they are scarce (X04, F26)."""

from __future__ import annotations

import resource

RESERVED = 64
"""Descriptors that no client may take: listeners, the store, logs, the admin listener and its probes."""
_EACH = 2
"""A client's connection, and the one to the upstream that its request goes on over."""


def raise_limit(connections: int) -> int:
    """
    Raise the soft limit as far as so many client connections need and the hard limit allows.

    Returns:
        The limit there is then.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * _EACH + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):
        return soft  # a system with yet another limit
    return raised


def bounded(connections: int, limit: int) -> int:
    """How many client connections fit so many descriptors, so that each can be served: at most those configured."""
    return max(1, min(connections, (limit - RESERVED) // _EACH))
