"""``gateway clients``: the authority's functions on the configured store, beside a running gateway or without one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from gateway.authority.enrolment import Traits
from gateway.authority.hasher import Hasher
from gateway.authority.operators import add_client, set_client
from gateway.config.certificates import Unusable, load_authorities
from gateway.config.model import Config
from gateway.config.oauth_rules import LONGEST_LIFE
from gateway.errors import ConfigFault, InvalidInput
from gateway.modes import answers, reach
from gateway.oauth.client_metadata import read_name, read_redirect_uris
from gateway.oauth.grants import grant_types
from gateway.oauth.records import JWT
from gateway.store.admissions import RedisAdmissions
from gateway.store.caller import RedisCaller
from gateway.store.clients import RedisClients
from gateway.store.connect import connect
from gateway.store.embedded import EmbeddedStore
from gateway.store.findings import RedisFindings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """What an operator works with."""

    clients: RedisClients
    admissions: RedisAdmissions
    hasher: Hasher
    findings: RedisFindings


def enrol(
    config: Config, username: str | None, password: str | None, scopes: frozenset[str], permissions: frozenset[str],
    redirect_uris: Sequence[str] = (), *, name: str = "", public: bool = False,
) -> dict[str, str]:
    """
    Make a client and return what is shown of it once.

    Raises:
        GatewayError: What was asked breaks a rule; its ``detail`` says which.
        Unavailable: The store can't be had.
    """
    _check_scopes(config, scopes)
    if (redirect_uris or public) and not config.oauth.sign_in:
        raise InvalidInput("oauth.sign_in is off, so there are no authorization codes")
    if public and not redirect_uris:
        raise InvalidInput("a public client needs --redirect-uri: it can have nothing but authorization codes")
    traits = Traits(read_name(name) if name else "", read_redirect_uris(list(redirect_uris)), public=public)

    async def act(desk: Desk) -> dict[str, str]:
        return asdict(await add_client(
            desk.clients, desk.hasher, username=username, password=password, scopes=scopes, permissions=permissions,
            traits=traits,
        ))  # fmt: skip

    return operate(config, act)


def change(config: Config, client_id: str, changes: Mapping[str, Any]) -> dict[str, object]:
    """
    Change a client, by the names of `gateway.oauth.ports.ClientStore.change_client`; returns what it is now.

    Raises:
        GatewayError: What was asked breaks a rule; its ``detail`` says which.
        Unavailable: The store can't be had.
    """
    checked = dict(changes)
    _check_scopes(config, checked.get("scopes", frozenset()))
    if checked.get("name"):
        read_name(checked["name"])
    if "redirect_uris" in checked:
        checked["redirect_uris"] = read_redirect_uris(list(checked["redirect_uris"]))
    offered = grant_types(refresh=True, sign_in=True)
    if set(checked.get("grants", ())) - set(offered):
        raise InvalidInput(f"the grants are {', '.join(offered)}")
    for name in ("access_ttl_ms", "refresh_ttl_ms"):
        if checked.get(name, 0) > LONGEST_LIFE // timedelta(milliseconds=1):
            raise InvalidInput(f"no token lives longer than {LONGEST_LIFE.days}d: what ended it is not remembered longer")
    if "plan" in checked and checked["plan"] not in config.plans:
        known = ", ".join(sorted(config.plans))
        raise InvalidInput(f"there is no such plan: write one of {known}" if known else "no plans are configured")
    if checked.get("access_token_format") == JWT and config.secrets is None and not config.store.url.startswith("embedded:"):
        raise InvalidInput("JWTs need secrets.current, which seals the key that signs them in the store")
    return operate(config, lambda desk: set_client(desk.clients, client_id, checked))


def _check_scopes(config: Config, scopes: frozenset[str]) -> None:
    strangers = " ".join(sorted(scopes - set(config.oauth.scopes)))
    if strangers:
        raise InvalidInput(f"oauth.scopes does not define {strangers}")


def operate(config: Config, act: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
    """
    Do something on the configured store.

    Raises:
        GatewayError: What was asked breaks a rule; its ``detail`` says which.
        ConfigFault: The store's ``ca_file`` can't be used.
        Unavailable: The store can't be had.
    """
    _check_trust(config)
    with ExitStack() as ends:
        return asyncio.run(_operate(config, _socket(config, ends), act))


def _check_trust(config: Config) -> None:
    """Read the store's ``ca_file``: of all files that the configuration names, the only one that these commands need."""
    if config.store.ca_file is not None:
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "ca_file", config.store.ca_file)
        except Unusable as unusable:
            raise ConfigFault([f"{config.store.ca_file}: store.{unusable.key}: {unusable}"]) from None


def _socket(config: Config, ends: ExitStack) -> Path | None:
    """The embedded store's socket: the running gateway's, or that of a store which runs for this command only."""
    if not config.store.url.startswith("embedded:"):
        return None
    store = EmbeddedStore(Path(config.store.url.removeprefix("embedded:")))
    if asyncio.run(_is_up(config, store.socket_path)):
        return store.socket_path
    ends.callback(store.stop)
    return store.start()


async def _is_up(config: Config, socket_path: Path) -> bool:
    redis = connect(config.store, socket_path=socket_path)
    try:
        return await answers(redis)
    finally:
        await redis.aclose()


async def _operate(config: Config, socket_path: Path | None, act: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
    redis, hasher = connect(config.store, socket_path=socket_path), Hasher()
    try:
        await reach(config, redis)
        caller = RedisCaller(redis)
        clients, admissions = RedisClients(caller, config.store.prefix), RedisAdmissions(caller, config.store.prefix)
        return await act(Desk(clients, admissions, hasher, RedisFindings(caller, config.store.prefix)))
    finally:
        hasher.close()
        await redis.aclose()
