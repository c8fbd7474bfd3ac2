"""``GET {prefix}/oauth/jwks.json``: the keys that sign JWT access tokens, as a JWK set (RFC 7517 section 5)."""

from __future__ import annotations

from aiohttp import web

from gateway.authority.signing import SigningKeys


class JwksEndpoint:
    """What resource servers verify tokens with."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def handle(self, _request: web.Request) -> web.Response:
        """Answer with the key set; a new key stands in it an hour before it signs, so a few minutes in a cache do no harm."""
        headers = {"Content-Type": "application/jwk-set+json", "Cache-Control": "max-age=300", "Access-Control-Allow-Origin": "*"}
        return web.Response(body=await self._keys.published(), headers=headers)
