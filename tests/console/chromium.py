"""A real browser for tests: one tab of a headless Chromium, driven over its DevTools protocol.  It waits for events."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)")


class Tab:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []
        self._seen = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; events that come meanwhile are kept."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params})
        while True:
            message = await self._receive()
            if message.get("id") == self._calls:
                result: dict[str, Any] = message.get("result", message)
                return result

    async def go(self, url: str) -> None:
        """Open an address, and wait until it is there."""
        await self._leading(self.call("Page.navigate", url=url))

    async def submit(self, selector: str, **fields: str) -> None:
        """Fill fields by their ids, press a button or a link, and wait for the next page."""
        filling = "".join(f"document.getElementById({name!r}).value = {value!r};" for name, value in fields.items())
        await self._leading(self.call("Runtime.evaluate", expression=f"{filling} document.querySelector({selector!r}).click()"))

    async def run(self, expression: str) -> Any:
        """What a script of the page gives, a promise's value too; None when the page gave way to the next one meanwhile."""
        said = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, userGesture=True)
        return said.get("result", {}).get("value")

    async def until(self, expression: str) -> None:
        """Wait, page by page, until a script says so."""
        async with asyncio.timeout(PATIENCE):
            while not await self.run(expression):
                await self._event("Page.loadEventFired")

    def complaints(self) -> list[str]:
        """What the browser said against a page."""
        entries = [event["params"]["entry"] for event in self.events if event.get("method") == "Log.entryAdded"]
        return [entry["text"] for entry in entries if "Failed to load resource" not in entry["text"]]

    def forms_sent(self) -> list[dict[str, str]]:
        """The header fields of each request that had an Origin, by lower-case name."""
        heads = [event["params"]["headers"] for event in self.events if event.get("method", "").endswith("WillBeSentExtraInfo")]
        lower = [{name.lower(): value for name, value in head.items()} for head in heads]
        return [head for head in lower if "origin" in head]

    async def _leading(self, call: Any) -> None:
        self._seen = len(self.events)
        await call
        await self._event("Page.loadEventFired")

    async def _event(self, method: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(event.get("method") == method for event in self.events[self._seen :]):
                await self._receive()
        self._seen = len(self.events)

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=PATIENCE)
        if "method" in message:
            self.events.append(message)
        return message


@asynccontextmanager
async def a_tab() -> AsyncIterator[Tab]:
    """A tab of a browser of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0", f"--user-data-dir={home}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            async with asyncio.timeout(PATIENCE):
                while not (line := await process.stderr.readline()).startswith(b"DevTools listening on"):
                    assert line, "chromium ended"
            drained = asyncio.create_task(process.stderr.read())
            base = line.decode().split("ws://")[1].partition("/")[0]
            async with aiohttp.ClientSession() as http:
                async with http.put(f"http://{base}/json/new?about:blank") as answer:
                    page = await answer.json()
                async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Network", "Log", "Runtime"):
                        await tab.call(f"{domain}.enable")
                    yield tab
        finally:
            process.terminate()
            await process.wait()
        await drained
