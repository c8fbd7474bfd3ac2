"""``GET /.well-known/oauth-authorization-server``: RFC 8414."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway.config.model import OAuth
from gateway.oauth.grants import grant_types
from gateway.oauth.metadata import metadata


class MetadataEndpoint:
    """The metadata document; it changes only with the configuration."""

    def __init__(self, oauth: OAuth, *, jwks: bool) -> None:
        """``jwks``: whether there are keys that sign access tokens."""
        self._body = orjson.dumps(metadata(
            oauth.issuer, oauth.prefix,
            grant_types=grant_types(refresh=oauth.refresh_for_client_credentials, sign_in=oauth.sign_in),
            scopes=frozenset(oauth.scopes),
            client_secret_post=oauth.client_secret_post,
            registration=oauth.registration != "closed",
            sign_in=oauth.sign_in,
            jwks=jwks,
        ))  # fmt: skip

    async def handle(self, _request: web.Request) -> web.Response:
        """Answer with the document; it is public, for browsers of any origin too, and a few minutes in a cache do no harm."""
        headers = {"Content-Type": "application/json", "Cache-Control": "max-age=300", "Access-Control-Allow-Origin": "*"}
        return web.Response(body=self._body, headers=headers)
