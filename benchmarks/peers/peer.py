"""What a peer is."""

from __future__ import annotations

from typing import Protocol

from benchmarks.stage import Running, Stage


class Peer(Protocol):
    """
    A proxy that can be started in front of the stage's upstream.

    Attributes:
        name: As it stands in the table; also the name of its folder.
        authorizes: Whether it refuses requests without a good token.
        scopes: Whether it also knows the 100 routes and their scopes.
    """

    name: str
    authorizes: bool
    scopes: bool

    def missing(self) -> str | None:
        """Why it can't be run here, with the remedy; None when it can."""

    def start(self, stage: Stage) -> Running:
        """
        Start it on the proxy core and wait until it listens.

        Raises:
            BenchError: If it does not.
        """
