"""Answers that something has ended wait until this worker knows it too, so that it is dead on the next request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import InvalidGrant

CaughtUp = Callable[[], Awaitable[None]]
"""Returns once every change that the store has confirmed is known to the guard of this worker."""

_ENDING = frozenset((hdrs.METH_DELETE, hdrs.METH_PUT))


def settle(caught_up: CaughtUp, paths: frozenset[str]) -> Middleware:
    """
    Build the middleware; it stands inside of `gateway.authority.rescue`.

    Args:
        caught_up: What is waited for.
        paths: Where a POST ends something; DELETE and PUT always do.  So does a spent refresh token, with its chain.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except InvalidGrant:
            await caught_up()
            raise
        if request.method in _ENDING or request.path in paths:
            await caught_up()
        return response

    return middleware
