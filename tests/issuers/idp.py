"""A real authorization server of somebody else's: signs with joserfc, publishes its keys on loopback, and counts who asks."""

from __future__ import annotations

import asyncio
import ssl
import time
from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

import orjson
from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

AUDIENCE = "https://api.example.com"
SigningKey = ECKey | RSAKey | OKPKey


def make_key(algorithm: str = "ES256") -> SigningKey:
    """A private key that can sign so."""
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])
    return RSAKey.generate_key(2048) if algorithm[1] == "S" else OKPKey.generate_key("Ed25519")


def published(key: SigningKey, kid: str | None = None, **members: Any) -> dict[str, Any]:
    """Its public part, as a key set holds it."""
    jwk: dict[str, Any] = dict(key.as_dict(private=False))
    jwk.pop("kid", None)
    return {**jwk, **({"kid": kid} if kid is not None else {}), **members}


def sign(claims: dict[str, Any] | bytes, key: Any, **header: Any) -> str:
    """A compact JWS."""
    content = claims if isinstance(claims, bytes) else orjson.dumps(claims)
    algorithms = [header["alg"]]
    return jws.serialize_compact(header, content, key, algorithms=algorithms)


class Idp:
    """The server; ``url`` is its issuer identifier."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.key = make_key(algorithm)
        self.kid = "first"
        self.keys = [published(self.key, self.kid)]
        self.asked: list[str] = []
        """Every request that reached its socket: method and path."""
        self.broken = False
        """Answer 500 to everything."""
        self.hold: asyncio.Event | None = None
        """Answer once it is set."""
        self.metadata_at = "/.well-known/oauth-authorization-server"
        self.metadata: dict[str, Any] = {}
        self.secret = "s3cr:t+ /%"
        """Of the client ``gateway``, who may introspect."""
        self.opaque: dict[str, dict[str, Any]] = {}
        """Token -> what introspection says of it; any other is inactive."""
        self.introspected: list[str] = []
        """Every token that was asked about."""
        self.asking = 0
        self.most_asking = 0
        """So many questions at a time there were."""
        self.answer: web.Response | None = None
        """What introspection answers to anything."""
        self.tls: ssl.SSLContext | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count("GET /keys")

    async def start(self) -> Idp:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self.hold is not None:
            self.hold.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self.key = make_key(self.algorithm)
        self.kid = f"after-{self.kid}"
        self.keys = [published(self.key, self.kid)]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a good token says; None leaves a claim out."""
        now = int(time.time())
        said = {
            "iss": self.url, "aud": AUDIENCE, "exp": now + 600, "iat": now, "sub": "ann", "client_id": "app", "scope": "read",
            "jti": "1", **changed,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}

    def token(self, *, key: Any = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token, good unless something is changed; header members of None are left out."""
        head = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return sign(self.claims(**changed), self.key if key is None else key, **head)

    async def _handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if request.path == "/introspect":
            return await self._introspect(request)
        if self.hold is not None:
            await self.hold.wait()
        if self.broken:
            return web.Response(status=500)
        if request.path == "/keys":
            return web.json_response({"keys": self.keys})
        if request.path == self.metadata_at:
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.metadata})
        return web.Response(status=404)

    def section(self, **changed: Any) -> dict[str, Any]:
        """What ``introspection`` of its entry says."""
        said = {"endpoint": f"{self.url}/introspect", "client_id": "gateway", "client_secret": self.secret, **changed}
        return {name: value for name, value in said.items() if value is not None}

    def mint(self, token: str, **changed: Any) -> str:
        """Have a token that is no JWT, good unless something is changed."""
        self.opaque[token] = {"active": True, "token_type": "Bearer", **self.claims(**changed)}
        return token

    async def _introspect(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.introspected.append(str(form["token"]))
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.asking -= 1
        if self.answer is not None or self.broken:
            return self.answer or web.Response(status=500)
        user, _, secret = b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode().partition(":")
        known = (form.get("client_id"), form.get("client_secret")) if not user else (unquote_plus(user), unquote_plus(secret))
        if known != ("gateway", self.secret):
            return web.json_response({"error": "invalid_client"}, status=401)
        assert form["token_type_hint"] == "access_token"
        return web.json_response(self.opaque.get(str(form["token"]), {"active": False}))
