"""``GET /.well-known/oauth-protected-resource[/route path]``: RFC 9728."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import orjson
from aiohttp import web

from gateway.config.model import OWN, Config, Route
from gateway.errors import RouteNotFound
from gateway.oauth.resources import metadata, metadata_path, resource


class ResourceMetadataEndpoint:
    """The document of each resource that asks for a token; they change only with the configuration."""

    def __init__(self, config: Config) -> None:
        issuer = config.oauth.issuer
        self._documents: dict[tuple[str, str], bytes] = {}
        """By host, empty for the issuer's and any other, and path of the document."""
        servers = _collect(config.routes, lambda route: route.issuers)
        for (host, path), scopes in _collect(config.routes, _scopes).items():
            names = servers[host, path] or {OWN: None}
            urls = [issuer if name == OWN else config.issuers[name].issuer for name in names]
            document = metadata(resource(issuer, path, host), urls, scopes)
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


def _collect(routes: Iterable[Route], said: Callable[[Route], Iterable[str]]) -> Mapping[tuple[str, str], dict[str, None]]:
    """What routes that ask for a token say, by host and path, in their order; the root stands for all of the host's."""
    found: dict[tuple[str, str], dict[str, None]] = {("", "/"): {}}
    for route in routes:
        if route.public:
            continue
        words = dict.fromkeys(said(route))
        for host in route.hosts or ("",):
            found.setdefault((host.lower(), route.path), {}).update(words)
            found.setdefault((host.lower(), "/"), {}).update(words)
    for (_, path), everything in found.items():
        if path == "/":
            everything.update(found["", "/"])  # routes without hosts are there at every host
    return found


def _scopes(route: Route) -> Iterable[str]:
    named = {*route.scopes_any}
    for scopes in route.scopes.values() if isinstance(route.scopes, Mapping) else (route.scopes,):
        named.update(scopes)
    return named
