"""Asks the token endpoint of an upstream's authorization server."""

from __future__ import annotations

import ssl

from gateway.config.model import OAuthCredential
from gateway.oauth.client_credentials import MAX_ANSWER, Granted, NoToken, read_answer, token_request


class TokenEndpoint:
    """
    One endpoint and the client that the gateway is there.

    A connection for each request, since there is one in an hour; no redirects, cookies, proxies of the environment or codings of
    the answer, and no more of it is read than a token needs.
    """

    def __init__(self, section: OAuthCredential) -> None:
        self._url = section.token_endpoint
        self._ca_file = section.ca_file
        self._tls: ssl.SSLContext | None = None
        self._form, self._authorization = token_request(
            section.client_id, section.client_secret.get_secret_value(), post=section.auth == "post", scope=section.scope,
            resource=section.resource, audience=section.audience,
        )  # fmt: skip

    async def fetch(self) -> Granted:
        """
        Get a token; how long that may take, the caller says.

        Raises:
            NoToken: There is none in the answer.
            OSError: The endpoint can't be reached, or its certificate is not good.
        """
        import aiohttp

        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._authorization:
            headers["Authorization"] = self._authorization
        if self._tls is None and self._url.startswith("https:"):
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        connector = aiohttp.TCPConnector(ssl=self._tls or True, force_close=True)
        jar = aiohttp.DummyCookieJar()
        try:
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=False, auto_decompress=False) as session,
                session.post(self._url, data=self._form.encode("ascii"), headers=headers, allow_redirects=False) as answer,
            ):
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > MAX_ANSWER:
                        break
                return read_answer(answer.status, bytes(body))
        except aiohttp.ClientError as error:
            raise NoToken(type(error).__name__) from None
