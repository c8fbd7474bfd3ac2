"""The one middleware: turns whatever a handler raises into an answer.  Nothing else does."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.authority.asked import Asked, ShortRequest
from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, RouteNotFound
from gateway.oauth.refusals import refusal
from gateway.problem import problem

_log = logging.getLogger("gateway.authority")


def rescue(
    is_oauth: Callable[[str], bool], token_endpoint: str,
    page: Callable[[web.Request, GatewayError], web.Response | None] = lambda _request, _error: None,
) -> Middleware:
    """
    Build the middleware.

    Args:
        is_oauth: Whether a path's refusals are RFC 6749 JSON; those of all others are problem documents (RFC 9457).
        token_endpoint: Absolute URL for the 401s.
        page: What people see of a refusal; None for what is no page.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as caught:
            error = caught
        except web.HTTPException as caught:
            error = _of_aiohttp(caught)
        except Exception as caught:
            error = GatewayError(reason=type(caught).__name__)
            _log_failure(request, caught)
        _log_refusal(request, error)
        shown = page(request, error)
        if shown is not None:
            return shown
        if is_oauth(request.path):
            status, headers, body = refusal(error)
        else:
            status, headers, body = problem(error, request_id=request_id(request), token_endpoint=token_endpoint)
        response = web.Response(status=status, headers=headers, body=body)
        if error.close:
            response.force_close()
        return response

    return middleware


def request_id(request: Asked) -> str:
    """The request's id, as the edge set it."""
    return request.headers.get("X-Gateway-Request-Id", "")


def client_address(request: Asked) -> str:
    """Whose request it is, as the edge found out with ``trusted_proxies``; empty when it can't be known."""
    peer: str = request.headers.get("X-Gateway-Peer", "")
    return request.headers.get("X-Gateway-Client", peer)


def facts(request: Asked, **more: str | int) -> dict[str, dict[str, str | int]]:
    """The ``extra`` of a log record about a request: who asked for what, without anything that it sent as a secret."""
    if isinstance(request, ShortRequest):
        endpoint = request.path
    else:
        resource = request.match_info.route.resource
        endpoint = resource.canonical if resource else ""
    return {"facts": {
        "request_id": request_id(request),
        "peer": request.headers.get("X-Gateway-Peer", ""),
        **({"client": request.headers["X-Gateway-Client"]} if "X-Gateway-Client" in request.headers else {}),
        "method": request.method,
        "endpoint": endpoint,
        **more,
    }}  # fmt: skip


def _of_aiohttp(error: web.HTTPException) -> GatewayError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(frozenset(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return RouteNotFound()
    return BadRequest(reason=type(error).__name__)


def _log_refusal(request: Asked, error: GatewayError) -> None:
    level = logging.WARNING if error.status >= 500 else logging.INFO
    _log.log(level, "request.refused", extra=facts(request, status=error.status, code=error.code, reason=error.reason))


def _log_failure(request: Asked, error: Exception) -> None:
    """Where it happened and of what type it was: the text of an unexpected error could quote what a client sent."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
    _log.error("request.failed", extra=facts(request, error=type(error).__name__, frames=" < ".join(reversed(frames))))
