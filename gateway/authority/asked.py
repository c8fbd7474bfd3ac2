"""What an endpoint is asked with: aiohttp's request, or a short one that never met aiohttp (`gateway.authority.short`)."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict


class ShortRequest:
    """
    A POST to an OAuth endpoint, all of it here; what an endpoint asks of it, `aiohttp.web.Request` can tell too.

    Attributes:
        method: Always POST.
        path: As the endpoint is registered; there is no query.
        headers: All lines of the head.
        body: The whole body.
    """

    __slots__ = ("body", "headers", "path")
    method = "POST"

    def __init__(self, path: str, headers: CIMultiDict[str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body


Asked = web.Request | ShortRequest
