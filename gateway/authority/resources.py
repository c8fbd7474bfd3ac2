"""``GET /.well-known/oauth-protected-resource[/route path]``: RFC 9728."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson
from aiohttp import web

from gateway.config.model import Config, Route
from gateway.errors import RouteNotFound
from gateway.oauth.resources import metadata, metadata_path, resource


class ResourceMetadataEndpoint:
    """The document of each resource that asks for a token; they change only with the configuration."""

    def __init__(self, config: Config) -> None:
        issuer = config.oauth.issuer
        self._documents: dict[tuple[str, str], bytes] = {}
        """By host, empty for the issuer's and any other, and path of the document."""
        for (host, path), scopes in _scopes(config.routes).items():
            document = metadata(resource(issuer, path, host), issuer, scopes)
            self._documents[host, metadata_path(path)] = orjson.dumps(document)

    async def handle(self, request: web.Request) -> web.Response:
        """
        Answer with the document; it is public, for browsers of any origin too.

        Raises:
            RouteNotFound: No route that asks for a token has this path.
        """
        host = (request.url.host or "").rstrip(".")
        body = self._documents.get((host, request.path)) or self._documents.get(("", request.path))
        if body is None:
            raise RouteNotFound
        headers = {"Content-Type": "application/json", "Cache-Control": "max-age=300", "Access-Control-Allow-Origin": "*"}
        return web.Response(body=body, headers=headers)


def _scopes(routes: Iterable[Route]) -> Mapping[tuple[str, str], set[str]]:
    """What is asked by host and path; the root stands for all of the host's."""
    asked: dict[tuple[str, str], set[str]] = {("", "/"): set()}
    for route in routes:
        if route.public:
            continue
        named = {*route.scopes_any}
        for scopes in route.scopes.values() if isinstance(route.scopes, Mapping) else (route.scopes,):
            named.update(scopes)
        for host in route.hosts or ("",):
            asked.setdefault((host.lower(), route.path), set()).update(named)
            asked.setdefault((host.lower(), "/"), set()).update(named)
    for (_, path), everything in asked.items():
        if path == "/":
            everything.update(asked["", "/"])  # routes without hosts are there at every host
    return asked
