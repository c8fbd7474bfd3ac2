"""What all pages share, found through the request: functions of a page get nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment

from gateway.config.model import OAuth
from gateway.console.ports import Accounts
from gateway.console.sessions import Storage


@dataclass(frozen=True, slots=True)
class Places:
    """Where the pages are, as paths."""

    sign_in: str
    sign_out: str
    account: str
    authorize: str
    stylesheet: str


@dataclass(frozen=True, slots=True)
class Room:
    """One per application."""

    origin: str
    """The issuer, as browsers write it in ``Origin``."""
    site: str
    """Its host and port, as people call it."""
    places: Places
    templates: Environment
    storage: Storage
    accounts: Accounts


ROOM = web.AppKey("room", Room)


def places(oauth: OAuth, stylesheet: str) -> Places:
    """Where the pages are; ``stylesheet`` is the file's name."""
    own = f"{oauth.prefix}/oauth"
    account = f"{oauth.prefix}/account"
    return Places(f"{own}/sign-in", f"{own}/sign-out", account, f"{own}/authorize", f"{own}/assets/{stylesheet}")


def origin(issuer: str) -> str:
    """An issuer as an origin is written: without a port that goes without saying (RFC 6454 section 6.1)."""
    parts = urlsplit(issuer)
    return issuer.removesuffix(":443" if parts.scheme == "https" else ":80")
