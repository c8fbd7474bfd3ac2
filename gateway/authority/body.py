"""Request bodies of the own endpoints: small, of one media type, never coded, never decompressed (X06)."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.authority.asked import Asked, ShortRequest
from gateway.errors import BadRequest, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from gateway.oauth.form import parse_form, refuse_query

MAX_BODY = 64 * 1024
"""Bytes."""


async def read_form(request: Asked) -> dict[str, str]:
    """
    The parameters of a request to an OAuth endpoint.

    Raises:
        InvalidRequest: If it isn't a form, breaks a rule of `parse_form`, or has parameters in its URL.
        PayloadTooLarge, UnsupportedMediaType, BadRequest: As `read_bytes`.
    """
    if not isinstance(request, ShortRequest):
        refuse_query(request.rel_url.raw_query_string)
    if _media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequest("The body must be application/x-www-form-urlencoded")
    return parse_form(await read_bytes(request))


async def read_json_bytes(request: web.Request) -> bytes:
    """
    The body of a request that must be ``application/json``.

    Raises:
        UnsupportedMediaType: If it is of another type.
        PayloadTooLarge, BadRequest: As `read_bytes`.
    """
    if _media_type(request) != "application/json":
        raise UnsupportedMediaType("The body must be application/json")
    return await read_bytes(request)


async def read_optional_json_bytes(request: web.Request) -> bytes:
    """Like `read_json_bytes`, but a request without a body needs no type."""
    body = await read_bytes(request)
    if body and _media_type(request) != "application/json":
        raise UnsupportedMediaType("The body must be application/json")
    return body


async def read_bytes(request: Asked) -> bytes:
    """
    The whole body.

    Raises:
        UnsupportedMediaType: If it has a content coding.
        PayloadTooLarge: If it is longer than `MAX_BODY`; one that says so is not read at all.
        BadRequest: If it ended early.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must not have a Content-Encoding")
    if isinstance(request, ShortRequest):
        return request.body
    if (request.content_length or 0) > MAX_BODY:
        raise PayloadTooLarge
    content = request.content
    try:
        if content.is_eof() and content.exception() is None:  # it is here as a whole, as small ones are
            body = content.read_nowait()
            if len(body) > MAX_BODY:
                raise PayloadTooLarge
            return body
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise PayloadTooLarge from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise BadRequest("The body ended early") from None


def _media_type(request: Asked) -> str:
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
