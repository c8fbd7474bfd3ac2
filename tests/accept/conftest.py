"""The rig of the data plane: who comes in is tested on real sockets, through a real `Edge`."""

from tests.edge.conftest import pytest_asyncio_loop_factories, rig, unstarted

__all__ = ["pytest_asyncio_loop_factories", "rig", "unstarted"]
