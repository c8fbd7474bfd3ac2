"""How a refusal looks on the wire."""

from __future__ import annotations

from http import HTTPStatus

from gateway.errors import GatewayError
from gateway.oauth.refusals import refusal
from gateway.problem import problem

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def render(
    error: GatewayError, *, is_oauth: bool, request_id: str, token_endpoint: str, date: str, connection: str, head_only: bool,
    cors: bytes = b"", resource_metadata: str = "",
) -> bytes:  # fmt: skip
    """
    The answer to a request that is refused, as bytes.

    Args:
        error: Why.
        is_oauth: Whether it was for an OAuth endpoint, which refuses in RFC 6749's JSON.
        request_id: The request's id, to find it in the logs.
        token_endpoint: Absolute URL; a 401 tells with it where tokens come from.
        date: The value of Date.
        connection: The value of Connection; empty for none.
        head_only: Leave the body out, as after HEAD.
        cors: The lines of the CORS protocol, CRLF after each.
        resource_metadata: Absolute URL of the metadata of what was asked for; empty: unknown.
    """
    if is_oauth:
        status, headers, body = refusal(error)
    else:
        status, headers, body = problem(
            error, request_id=request_id, token_endpoint=token_endpoint, resource_metadata=resource_metadata
        )
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\nDate: {date}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}\r\n")
    if connection:
        lines.append(f"Connection: {connection}\r\n")
    head = "".join(lines).encode("latin-1") + cors + b"\r\n"
    return head if head_only else head + body
