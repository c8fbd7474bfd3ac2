"""
Asking another authorization server: bounded in time and size, and nowhere else than where it was told.

No redirects, no proxies or logins from the environment, no cookies, no compressed answers, certificates always verified.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from gateway.oauth.key_sets import MAX_DOCUMENT

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "oauth2-gateway"}


class FetchFailed(Exception):
    """There is no answer, or none to work with; says why, for the log, without a word of what was sent or answered."""


class Fetcher:
    """The connections to one server."""

    def __init__(self, ca_file: Path | None, *, timeout: float, connections: int = 4) -> None:
        """
        Args:
            ca_file: Authorities of its certificates; None: the system's.
            timeout: Seconds for one question, connecting included.
            connections: At most so many at once.
        """
        self._ca_file = ca_file
        self._timeout = timeout
        self._connections = connections
        self._session: ClientSession | None = None

    async def get(self, url: str) -> bytes:
        """
        The document at a URL.

        Raises:
            FetchFailed: There is none with status 200.
        """
        status, body = await self._ask("GET", url, None, {})
        if status != 200:
            raise FetchFailed(f"status {status}")
        return body

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """
        Status and content of the answer to a form.

        Raises:
            FetchFailed: There is no answer.
        """
        return await self._ask("POST", url, form, headers)

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._timeout), self._open().request(
                method, url, data=form, headers=headers, allow_redirects=False
            ) as response:
                body = b""
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_DOCUMENT:
                        raise FetchFailed("the answer is too large")
                return response.status, body
        except TimeoutError:
            raise FetchFailed("no answer in time") from None
        except (ClientError, OSError, ValueError) as error:
            raise FetchFailed(type(error).__name__) from None

    def _open(self) -> ClientSession:
        if self._session is None:
            context = ssl.create_default_context(cafile=self._ca_file)
            connector = TCPConnector(ssl=context, limit=self._connections, keepalive_timeout=30)
            self._session = ClientSession(
                connector=connector, cookie_jar=DummyCookieJar(), headers=_HEADERS, trust_env=False, auto_decompress=False,
                timeout=ClientTimeout(total=self._timeout),
            )  # fmt: skip
        return self._session
