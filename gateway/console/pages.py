"""
What a page is: a template, and headers that let it do nothing but be read and send forms (C04, C05).

No page has a script.  ``Referrer-Policy: no-referrer`` keeps what stands in our addresses from every other site;
``Cross-Origin-Opener-Policy`` keeps whoever opened the window out of it, an upstream's page of the same origin too, as those do
not send it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.console.room import ROOM
from gateway.errors import GatewayError, Headers

_HERE = Path(__file__).parent
_STYLES = (_HERE / "assets" / "pages.css").read_bytes()
STYLESHEET = f"pages-{sha256(_STYLES).hexdigest()[:16]}.css"
"""Another name for other contents, so that it may be kept for ever."""
_PASSED_ON = frozenset((hdrs.RETRY_AFTER, hdrs.ALLOW))
_HEADERS: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def templates() -> Environment:
    """The templates: everything that is put in is escaped, and what is missing is an error."""
    loader = FileSystemLoader(_HERE / "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["when"] = _when
    return environment


def render(
    request: web.Request, template: str, *, status: int = 200, form_action: Iterable[str] = (), headers: Headers = (),
    **values: Any,
) -> web.Response:
    """
    Answer with a page.

    Args:
        request: What was asked.
        template: Its file.
        status: Of the answer.
        form_action: Origins that sending a form of the page may lead to, by redirects too, beside our own.
        headers: More of them.
        values: What the template names.
    """
    room = request.app[ROOM]
    body = room.templates.get_template(template).render(site=room.site, places=room.places, **values)
    policy = _policy(form_action)
    lines = (*_HEADERS, ("Content-Security-Policy", policy), *headers)
    return web.Response(text=body, status=status, content_type="text/html", charset="utf-8", headers=lines)


def fault(request: web.Request, error: GatewayError, request_id: str) -> web.Response:
    """Answer with what went wrong; it never leads anywhere by itself."""
    headers = tuple((name, value) for name, value in error.headers if name in _PASSED_ON)
    response = render(request, "fault.html", status=error.status, headers=headers, error=error, request_id=request_id)
    if error.close:
        response.force_close()
    return response


async def stylesheet(_request: web.Request) -> web.Response:
    """Answer with the stylesheet."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=_STYLES, content_type="text/css", charset="utf-8", headers=headers)


def _when(milliseconds: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _policy(form_action: Iterable[str]) -> str:
    """The Content-Security-Policy; an origin that could end a directive would be a mistake of the caller."""
    targets = ["'self'", *form_action]
    if any(set(target) & set("; ,\r\n\t") for target in targets):
        raise ValueError("not an origin")
    return (
        f"default-src 'none'; style-src 'self'; form-action {' '.join(targets)}; frame-ancestors 'none'; base-uri 'none'"
    )
